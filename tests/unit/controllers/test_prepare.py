"""What becomes of an Experiment that no webhook has seen."""

from dataclasses import dataclass, field

import msgspec

from kfx.apis.experiment import Experiment
from kfx.controllers.prepare import Preparer
from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import decode_experiment
from kfx.katib.katib_config import EMPTY_CONFIG, with_built_ins
from kfx.katib.validation import ValidationContext
from kfx.kube.model import Condition
from tests.experiment_cases import load


@dataclass
class Context:
    """Counts how often the rules were asked."""

    algorithms: tuple[str, ...] = ("random",)
    asked: list[ValidationContext] = field(default_factory=list)

    def __call__(self) -> ValidationContext:
        self.asked.append(
            ValidationContext(
                algorithms=self.algorithms,
                config=with_built_ins(EMPTY_CONFIG, collector_image="kfx:1"),
                trial_resources=("Job.v1.batch",),
            )
        )
        return self.asked[-1]


def submitted(*begun: str, generation: int = 1, defaulted: bool = False) -> Experiment:
    document = load("base.yaml")
    document["metadata"] = {"name": "e", "namespace": "ns", "uid": "1", "generation": generation}
    found = decode_experiment(default_experiment(document) if defaulted else document)
    conditions = tuple(Condition(type=kind, status="True") for kind in begun)
    return msgspec.structs.replace(found, status=msgspec.structs.replace(found.status, conditions=conditions))


def test_what_is_missing_is_filled_in_as_the_webhook_would() -> None:
    found = Preparer(Context())(submitted())
    assert isinstance(found, Experiment)
    assert found.spec == submitted(defaulted=True).spec
    assert found.spec.resume_policy == "Never"


def test_what_the_webhook_has_seen_stays_as_it_is() -> None:
    experiment = submitted(defaulted=True)
    assert Preparer(Context())(experiment) == experiment


def test_what_can_never_run_is_refused_with_the_webhooks_text() -> None:
    found = Preparer(Context(algorithms=("grid",)))(submitted())
    assert isinstance(found, str)
    assert found.startswith("spec.algorithm.algorithmName: Invalid value")


def test_an_experiment_that_has_begun_is_judged_no_more() -> None:
    context = Context(algorithms=("grid",))
    assert isinstance(Preparer(context)(submitted("Created", "Running")), Experiment)
    assert context.asked == []


def test_each_generation_is_looked_at_once() -> None:
    context = Context()
    prepare = Preparer(context)
    for generation in (1, 1, 2, 2, 2):
        prepare(submitted(generation=generation))
    assert len(context.asked) == 2


def test_the_status_is_todays_though_the_specification_is_known() -> None:
    prepare = Preparer(Context())
    prepare(submitted())
    later = prepare(submitted("Created", "Running"))
    assert isinstance(later, Experiment)
    assert [c.type for c in later.status.conditions] == ["Created", "Running"]


def test_of_many_experiments_only_the_latest_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr("kfx.controllers.prepare.REMEMBERED", 2)
    context = Context()
    prepare = Preparer(context)
    each = [
        msgspec.structs.replace(
            submitted(), metadata=msgspec.structs.replace(submitted().metadata, uid=str(number))
        )
        for number in range(3)
    ]
    for experiment in (*each, each[2], each[0]):
        prepare(experiment)
    assert len(context.asked) == 4
