from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from kfx.apis.common import AlgorithmSpec, NameValue
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.controllers.image_suggestion import ImageSuggestions
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.katib.suggestion import give_up
from kfx.kube.model import Unreadable
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request, Result, TerminalError
from tests.katib_objects import NOW, experiment, said, suggestion, trial, unreadable
from tests.unit.controllers.parts import Plans, images_of, store_of, tallies_of

KEY = Request("ns", "e")


class Counting:
    """Suggestion number i is i; more than ``size`` there are not."""

    name = "counting"

    def __init__(self, size: int = 100, problem: str | None = None) -> None:
        self.size = size
        self.problem = problem
        self.told: list[str] = []

    def validate(self, experiment: Experiment) -> str | None:
        return self.problem

    def suggest(
        self, experiment: Experiment, trials: Sequence[Trial], start: int, count: int
    ) -> list[tuple[NameValue, ...]]:
        self.told = [t.metadata.name for t in trials]
        return [(NameValue(name="x", value=str(i)),) for i in range(start, min(start + count, self.size))]


async def reconcile(
    of: Suggestion | None,
    *,
    experiments: Sequence[Experiment] = (experiment("Created"),),
    trials: Sequence[Trial] = (),
    algorithm: Any = None,
    unreadable: Unreadable | None = None,
    images: ImageSuggestions | None = None,
    **more: Any,
) -> Plan:
    plans = Plans()
    reconciler = SuggestionReconciler(
        suggestions=store_of(of, unreadable),
        experiments=store_of(*experiments),
        trials=tallies_of(*trials),
        algorithms={"random": algorithm or Counting()},
        images=images or images_of(),
        writer=plans,  # type: ignore[arg-type]
        now=lambda: NOW,
        **more,
    )
    assert await reconciler.reconcile(KEY) == Result(plans.last.requeue_after if plans.made else None)
    return plans.last if plans.made else Plan()


async def test_a_suggestion_that_is_gone_needs_nothing() -> None:
    assert await reconcile(None) == Plan()


async def test_the_algorithm_is_asked_from_where_it_stopped() -> None:
    found = await reconcile(suggestion("Created", "Running", requests=3, names=("a",)))
    assert found.status is not None
    assert [s.parameter_assignments[0].value for s in found.status.suggestions] == ["0", "1", "2"]
    assert found.status.suggestion_count == 3


async def test_no_point_is_drawn_twice_after_assignments_were_given_up() -> None:
    of = suggestion("Created", "Running", requests=4, names=("a", "b", "c", "d"))
    of = msgspec.structs.replace(of, status=give_up(of.status, {"b", "c"}))
    found = await reconcile(of)
    assert [s.parameter_assignments[0].value for s in found.status.suggestions][2:] == ["4", "5"]


async def test_one_that_was_deleted_and_made_again_draws_no_point_of_the_trials_there_are() -> None:
    trials = [trial("Succeeded", name=f"e-{i}", value="1") for i in range(3)]
    found = await reconcile(suggestion("Created", "Running", requests=2), trials=trials)
    assert [s.parameter_assignments[0].value for s in found.status.suggestions] == ["3", "4"]
    assert (found.status.suggestion_count, found.status.assignments_made) == (2, 5)


async def test_one_that_does_not_decode_is_told_with_the_remedy() -> None:
    stand_in = unreadable(Suggestion, "Expected `int`, got `str` - at `$.spec.requests`")
    found = await reconcile(None, unreadable=stand_in)
    text = (
        "Suggestion ns/e cannot be read: spec.requests: expected int, found str; "
        "write the value without quotes, or delete the object"
    )
    assert found == Plan(notes=(Note("Warning", "ReconcileError", text),))
    gone = unreadable(Suggestion, "Expected `int`, got `str` - at `$.spec.requests`", deleting=True)
    assert await reconcile(None, unreadable=gone) == Plan()


async def test_nothing_is_asked_before_it_is_created() -> None:
    algorithm = Counting()
    found = await reconcile(suggestion(requests=3), algorithm=algorithm, trials=[trial("Succeeded")])
    assert said(found.status.conditions) == ["Created"]
    assert algorithm.told == []


async def test_only_trials_of_this_experiment_are_told() -> None:
    algorithm = Counting()
    stranger = trial("Succeeded", name="stranger", value="1")
    stranger = Trial(
        metadata=type(stranger.metadata)(name="stranger", namespace="ns", labels=stranger.metadata.labels)
    )
    of = suggestion("Created", "Running", requests=3, names=("e-1",))
    await reconcile(of, trials=[trial("Succeeded", value="1"), stranger], algorithm=algorithm)
    assert algorithm.told == ["e-1"]


@pytest.mark.parametrize(
    ("algorithm", "changed", "text"),
    [
        (Counting(problem="x is wrong"), {}, "ValidateAlgorithmSettings Error: x is wrong"),
        (None, {"algorithm": AlgorithmSpec(algorithm_name="oracle")}, "unknown algorithm name oracle"),
        (
            None,
            {"early_stopping": AlgorithmSpec(algorithm_name="medianstop")},
            "ValidateEarlyStoppingSettings Error: unknown algorithm name medianstop; remove",
        ),
    ],
)
async def test_what_the_algorithm_refuses_fails_the_suggestion(
    algorithm: Any, changed: dict[str, Any], text: str
) -> None:
    of = experiment("Created")
    spec = {f: getattr(of.spec, f) for f in of.spec.__struct_fields__} | changed
    of = Experiment(metadata=of.metadata, spec=type(of.spec)(**spec), status=of.status)
    found = await reconcile(suggestion("Created", requests=3), experiments=[of], algorithm=algorithm)
    assert said(found.status.conditions) == ["Created", "DeploymentReady", "Failed"]
    assert text in found.status.conditions[-1].message
    assert found.status.suggestions == ()


@pytest.mark.parametrize(
    "experiments",
    [(), (experiment("Created", deleting=True),)],
    ids=["gone", "going"],
)
async def test_nothing_is_asked_without_a_living_experiment(experiments: Sequence[Experiment]) -> None:
    of = suggestion("Created", requests=3)
    assert await reconcile(of, experiments=experiments) == Plan()


async def test_nothing_is_asked_for_a_namesake() -> None:
    assert await reconcile(suggestion("Created", requests=3, experiment_uid="earlier")) == Plan()


async def test_an_exhausted_algorithm_ends_the_suggestion() -> None:
    of = suggestion("Created", "Running", requests=3, names=("e-1",))
    found = await reconcile(of, algorithm=Counting(size=1), trials=[trial("Succeeded", value="1")])
    assert said(found.status.conditions)[-1] == "Succeeded"


async def test_what_no_webhook_has_seen_is_prepared_first() -> None:
    of = suggestion("Created", requests=1)
    assert await reconcile(of, prepare=lambda _: "spec.objective is required") == Plan()


async def test_a_suggestion_that_runs_under_an_algorithm_of_others_does_not_wait_in_silence() -> None:
    with pytest.raises(TerminalError, match=r"does not run inside kfx, which has \w+; start anew"):
        await reconcile(
            suggestion("Created", "DeploymentReady", "Running", requests=2),
            experiments=[with_algorithm("tpe")],
        )


def with_algorithm(name: str) -> Experiment:
    of = experiment("Created", "Running")
    algorithm = msgspec.structs.replace(of.spec.algorithm, algorithm_name=name)
    return msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, algorithm=algorithm))
