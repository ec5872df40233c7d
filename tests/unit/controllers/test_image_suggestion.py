from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import yaml

from kfx.apis.apps import Deployment, DeploymentStatus, Service, ServiceSpec
from kfx.apis.common import AlgorithmSpec
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion, SuggestionStatus
from kfx.controllers.exchanges import Exchanges
from kfx.controllers.image_suggestion import READY_PATIENCE, ImageSuggestions
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.katib.image_suggestion import Proposal, Word
from kfx.katib.katib_config import EMPTY_CONFIG, RuntimeConfig, parse_runtime_config
from kfx.kube.model import ObjectMeta
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request
from kfx.services.algorithm_client import Endpoint, Question
from tests.katib_objects import NOW, condition, conditions, experiment, owner, said, suggestion, trial
from tests.unit.controllers.parts import Plans, Seconds, images_of, store_of, tallies_of

KEY = Request("ns", "e")
ENDPOINT = Endpoint(address="10.96.0.7", host="e-random.ns")
RUNNING = ("Created", "DeploymentReady", "Running")
RUNTIME = {"suggestions": [{"algorithmName": "random", "image": "some"}]}
CONFIG = parse_runtime_config({"katib-config.yaml": yaml.safe_dump({"runtime": RUNTIME})})


class Answers(Exchanges):
    """Says what it is told to say, and keeps what is asked."""

    def __init__(self, word: Word = Word()) -> None:  # noqa: B008 — frozen
        super().__init__(lambda _: pytest.fail("nobody is dialled here"))
        self.word = word
        self.validated: list[tuple[Request, str, Endpoint, Experiment]] = []
        self.proposed: list[tuple[Request, Endpoint, int, Question]] = []
        self.forgotten: list[Request] = []

    def validate(self, key: Request, uid: str, endpoint: Endpoint, experiment: Experiment) -> Word:
        self.validated.append((key, uid, endpoint, experiment))
        return self.word

    def propose(
        self,
        key: Request,
        uid: str,
        endpoint: Endpoint,
        status: SuggestionStatus,
        requests: int,
        question: Any,
    ) -> Word:
        self.proposed.append((key, endpoint, requests, question()))
        return self.word

    def forget(self, key: Request) -> None:
        self.forgotten.append(key)


def meta(uid: str, **more: Any) -> ObjectMeta:
    given = {"name": "e-random", "namespace": "ns", "owner_references": owner("Suggestion", "e", "s-uid")}
    return ObjectMeta(uid=uid, **{**given, **more})


def deployment(*words: Any, **more: Any) -> Deployment:
    return Deployment(metadata=meta("d-uid", **more), status=DeploymentStatus(conditions=conditions(*words)))


def service(address: str = "10.96.0.7", **more: Any) -> Service:
    return Service(metadata=meta("v-uid", **more), spec=ServiceSpec(cluster_ip=address))


READY = (deployment("Available"), service())


async def reconcile(
    of: Suggestion | None,
    *objects: Deployment | Service,
    experiments: Sequence[Experiment] = (experiment("Created"),),
    trials: Sequence[Any] = (),
    answers: Exchanges | None = None,
    images: ImageSuggestions | None = None,
    config: RuntimeConfig = CONFIG,
    algorithms: Any = None,
) -> Plan:
    plans = Plans()
    reconciler = SuggestionReconciler(
        suggestions=store_of(of),
        experiments=store_of(*experiments),
        trials=tallies_of(*trials),
        algorithms=algorithms or {},
        images=images
        or images_of(*objects, exchanges=Answers() if answers is None else answers, config=config),
        writer=plans,  # type: ignore[arg-type]
        now=lambda: NOW,
    )
    await reconciler.reconcile(KEY)
    return plans.last if plans.made else Plan()


async def test_what_is_missing_is_made_in_katibs_order() -> None:
    found = await reconcile(suggestion("Created", requests=2))
    assert [create.resource.kind for create in found.create] == ["Service", "Deployment"]
    assert said(found.status.conditions) == ["Created", "-DeploymentReady"]


@pytest.mark.parametrize("there", [READY[:1], READY[1:]], ids=["no service", "no deployment"])
async def test_what_somebody_has_deleted_is_made_again(there: tuple[Any, ...]) -> None:
    answers = Answers()
    found = await reconcile(suggestion(*RUNNING, requests=2), *there, answers=answers)
    assert [create.resource.kind for create in found.create] == ["Service", "Deployment"]
    assert answers.proposed == []


async def test_what_belongs_to_somebody_else_counts_as_missing() -> None:
    others = owner("Suggestion", "e", "earlier")
    there = (deployment("Available", owner_references=others), service(owner_references=others))
    found = await reconcile(suggestion("Created", requests=2), *there)
    assert len(found.create) == 2
    assert said(found.status.conditions) == ["Created", "-DeploymentReady"]


async def test_where_all_is_there_katib_config_is_not_asked() -> None:
    """In Katib an algorithm that has gone from katib-config can neither go on nor be cleaned up."""
    found = await reconcile(suggestion(*RUNNING, requests=2), *READY, config=EMPTY_CONFIG)
    assert found.create == ()
    ended = await reconcile(suggestion(*RUNNING, "Succeeded"), *READY, config=EMPTY_CONFIG)
    assert len(ended.delete) == 2


async def test_an_algorithm_without_an_image_is_told_in_katibs_words_and_looked_for_again() -> None:
    found = await reconcile(suggestion("Created", requests=2), config=EMPTY_CONFIG)
    text = (
        "failed to find suggestion config for algorithm: random in ConfigMap: katib-config; add an entry, or "
        "use one of: none"
    )
    assert found == Plan(notes=(Note("Warning", "ReconcileError", text),), requeue_after=30.0)


async def test_settings_are_validated_where_the_service_is() -> None:
    answers = Answers()
    found = await reconcile(suggestion("Created", requests=2), *READY, answers=answers)
    assert said(found.status.conditions) == ["Created", "DeploymentReady"]
    ((key, uid, endpoint, of),) = answers.validated
    assert (key, uid, endpoint, of.metadata.uid) == (KEY, "s-uid", ENDPOINT, "e-uid")


async def test_settings_that_are_refused_fail_it() -> None:
    found = await reconcile(
        suggestion("Created"), *READY, answers=Answers(Word(problem="ValidateAlgorithmSettings Error: no"))
    )
    assert said(found.status.conditions) == ["Created", "DeploymentReady", "Failed"]


async def test_the_algorithm_is_told_trials_and_changed_settings() -> None:
    of = suggestion(*RUNNING, requests=4, names=("e-1", "e-2"))
    settings = of.status.suggestions[0].parameter_assignments
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, algorithm_settings=settings))
    trials = [
        trial("Succeeded", name="e-1", value="1"),
        trial("Running", name="e-2", age=1),
        trial("MetricsUnavailable", name="e-3", age=2),
    ]
    answers = Answers()
    await reconcile(of, *READY, trials=trials, answers=answers)
    ((key, endpoint, requests, question),) = answers.proposed
    assert (key, endpoint, requests) == (KEY, ENDPOINT, 4)
    assert [t.metadata.name for t in question.trials] == ["e-1", "e-2"]
    assert (question.start, question.count, question.requests, question.busy) == (2, 2, 4, True)
    assert question.experiment.spec.algorithm.algorithm_settings == settings


async def test_its_answer_is_written() -> None:
    proposal = Proposal(start=0, requests=1, assignments=suggestion(names=("e-1",)).status.suggestions)
    found = await reconcile(
        suggestion(*RUNNING, requests=1), *READY, answers=Answers(Word(proposal=proposal))
    )
    assert [a.name for a in found.status.suggestions] == ["e-1"]


@pytest.mark.parametrize("address", ["", "None"])
async def test_a_service_without_an_address_is_waited_for(address: str) -> None:
    answers = Answers()
    there = (READY[0], service(address))
    found = await reconcile(suggestion("Created", requests=2), *there, answers=answers)
    assert said(found.status.conditions) == ["Created", "DeploymentReady"]
    assert answers.validated == []


async def test_a_deployment_that_does_not_become_available_is_told_after_a_while() -> None:
    clock = Seconds()
    failure = condition("ReplicaFailure", message="exceeded quota")
    images = images_of(
        deployment("-Available", failure, condition("Progressing", message="fine")),
        service(),
        exchanges=Answers(),
        config=CONFIG,
        clock=clock,
    )
    of = suggestion("Created", condition("-DeploymentReady", reason="DeploymentNotReady"))
    assert await reconcile(of, images=images) == Plan(requeue_after=READY_PATIENCE)
    clock.now += READY_PATIENCE - 1
    assert (await reconcile(of, images=images)).notes == ()
    clock.now += 1
    found = await reconcile(of, images=images)
    text = (
        "Deployment ns/e-random of the algorithm is not available for 180 s: exceeded quota; look at "
        "kubectl -n ns describe pods -l katib.kubeflow.org/deployment=e-random"
    )
    assert found == Plan(notes=(Note("Warning", "DeploymentNotReady", text),), requeue_after=READY_PATIENCE)
    assert (await reconcile(of, images=images)).notes == ()


@pytest.mark.parametrize("ended", ["Succeeded", "Failed"])
async def test_12_5_one_that_has_ended_lets_its_pod_and_its_talk_go(ended: str) -> None:
    """12.5.3: and D12, one that failed too."""
    answers = Answers()
    found = await reconcile(suggestion("Created", ended), *READY, answers=answers)
    assert [each.resource.kind for each in found.delete] == ["Deployment", "Service"]
    assert found.status is None
    assert answers.forgotten == [KEY]


async def test_12_5_one_that_is_gone_is_forgotten() -> None:
    """12.5.4: the rest is the garbage collector's."""
    answers = Answers()
    assert await reconcile(None, answers=answers) == Plan()
    assert answers.forgotten == [KEY]


@pytest.mark.parametrize("experiments", [(), (experiment("Created", deleting=True),)], ids=["gone", "going"])
async def test_nothing_is_made_without_a_living_experiment(experiments: Sequence[Experiment]) -> None:
    assert await reconcile(suggestion("Created", requests=2), experiments=experiments) == Plan()


class Inside:
    """An algorithm inside kfx."""

    name = "random"

    def validate(self, _experiment: Experiment) -> str | None:
        return None

    def suggest(self, *_: Any) -> list[Any]:
        return [()]


async def test_what_runs_inside_is_asked_there_though_there_is_an_image() -> None:
    found = await reconcile(suggestion("Created", requests=1), algorithms={"random": Inside()})
    assert said(found.status.conditions) == ["Created", "DeploymentReady", "Running"]
    assert found.create == ()


async def test_what_does_not_run_inside_gets_its_image() -> None:
    found = await reconcile(suggestion("Created", requests=1), algorithms={"tpe": Inside()})
    assert [create.resource.kind for create in found.create] == ["Service", "Deployment"]


async def test_a_rule_in_an_image_takes_the_algorithm_with_it() -> None:
    of = suggestion("Created", requests=1)
    stopping = AlgorithmSpec(algorithm_name="medianstop")
    of = msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, early_stopping=stopping))
    runtime = {**RUNTIME, "earlyStoppings": [{"algorithmName": "medianstop", "image": "some"}]}
    config = parse_runtime_config({"katib-config.yaml": yaml.safe_dump({"runtime": runtime})})
    found = await reconcile(of, algorithms={"random": Inside()}, config=config)
    kinds = [create.resource.kind for create in found.create]
    assert kinds == ["Service", "ServiceAccount", "Role", "RoleBinding", "Deployment"]
