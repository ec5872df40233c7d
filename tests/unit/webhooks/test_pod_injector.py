"""A pod, its trial, and the answer."""

from collections.abc import Mapping
from typing import Any

import jsonpatch
import msgspec

from kfx.apis.core import ConfigMap
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.injection import InjectionSettings
from kfx.kube.errors import ServerError
from kfx.kube.model import KubeObject
from kfx.runtime.admission import Allowed, Denied, Verdict
from kfx.runtime.plan import Note
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector
from tests.experiment_cases import change
from tests.unit.katib.test_injection import BASE
from tests.unit.webhooks.documents import Answer, Documents, refusal, request

TRIAL = BASE["trial"]
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "exp-aaaa",
        "uid": "job-uid",
        "ownerReferences": [
            {"apiVersion": "kubeflow.org/v1beta1", "kind": "Trial", "name": "exp-aaaa", "uid": "trial-uid"}
        ],
    },
}
SERVER: Mapping[tuple[str, str], Answer] = {
    ("Job", "exp-aaaa"): JOB,
    ("Trial", "exp-aaaa"): TRIAL,
    ("Suggestion", "exp"): BASE["suggestion"],
}


def stored(kind: Any, *documents: dict[str, Any]) -> Any:
    store: Store[Any] = Store()
    for document in documents:
        store.put(msgspec.json.decode(msgspec.json.encode(document), type=kind))
    return store


class World:
    """A server's answers and what the caches hold of them."""

    def __init__(
        self,
        answers: Mapping[tuple[str, str], Answer] = SERVER,
        *,
        trials: tuple[dict[str, Any], ...] = (),
        suggestions: tuple[dict[str, Any], ...] = (),
        config: tuple[dict[str, Any], ...] = (),
    ) -> None:
        self.documents = Documents(answers)
        self.told: list[tuple[str, Note]] = []
        self._injector = PodInjector(
            client=self.documents,
            owners=OwnerWalk(client=self.documents, jobs={}),
            trials=stored(Trial, *trials),
            suggestions=stored(Suggestion, *suggestions),
            config=KatibConfigReader(
                config_maps=stored(ConfigMap, *config), core_namespace="kubeflow", collector_image="kfx:1"
            ),
            settings=InjectionSettings(db_manager_address="db:1", collector_image="kfx:1"),
            recorder=self,
        )

    def note(self, owner: KubeObject, note: Note) -> None:
        self.told.append((str(owner), note))

    async def handle(self, pod: dict[str, Any] = BASE["pod"]) -> Verdict:
        return await self._injector.handle(request(pod))

    @property
    def reads(self) -> list[str]:
        return [f"{kind} {namespace}/{name}" for kind, namespace, name in self.documents.reads]


def names(verdict: Verdict, pod: dict[str, Any] = BASE["pod"]) -> list[str]:
    assert isinstance(verdict, Allowed)
    changed = jsonpatch.apply_patch(pod, list(verdict.patch or ()))
    return [container["name"] for container in changed["spec"]["containers"]]


async def test_a_pod_of_a_trial_gets_its_collector() -> None:
    world = World()
    verdict = await world.handle()
    assert names(verdict) == ["main", "metrics-logger-and-collector"]
    assert world.reads == ["Job user/exp-aaaa", "Trial user/exp-aaaa", "Suggestion user/exp"]


async def test_without_a_config_map_the_collector_is_kfxs_own() -> None:
    verdict = await World().handle()
    assert isinstance(verdict, Allowed)
    (sidecar,) = [o["value"] for o in verdict.patch or () if o["path"] == "/spec/containers/-"]
    assert (sidecar["image"], sidecar["command"]) == ("kfx:1", ["kfx", "metrics-collector"])


async def test_what_the_caches_hold_is_not_read() -> None:
    world = World(trials=(TRIAL,), suggestions=(BASE["suggestion"],))
    assert len(names(await world.handle())) == 2
    assert world.reads == ["Job user/exp-aaaa"]


async def test_a_cached_namesake_of_the_trial_is_not_believed() -> None:
    world = World(trials=(change(TRIAL, {"/metadata/uid": "of-old"}),))
    assert len(names(await world.handle())) == 2
    assert "Trial user/exp-aaaa" in world.reads


async def test_a_job_of_a_trial_that_was_replaced_is_left_alone() -> None:
    world = World({**SERVER, ("Trial", "exp-aaaa"): change(TRIAL, {"/metadata/uid": "another"})})
    assert await world.handle() == Allowed()


async def test_a_pod_of_nobody_is_left_alone() -> None:
    pod = change(BASE["pod"], {}, ["/metadata/ownerReferences"])
    world = World()
    assert await world.handle(pod) == Allowed()
    assert world.reads == []


async def test_a_pod_whose_job_is_gone_is_left_alone() -> None:
    assert await World({}).handle() == Allowed()


async def test_a_trial_that_cannot_be_read_puts_the_pod_off() -> None:
    for answer in (None, refusal(ServerError, 503)):
        answers = {key: value for key, value in SERVER.items() if key[0] != "Trial"}
        verdict = await World({**answers, **({("Trial", "exp-aaaa"): answer} if answer else {})}).handle()
        assert isinstance(verdict, Denied)
        assert verdict.code == 500
        assert "its creator will try again" in verdict.message


async def test_a_suggestion_that_is_not_there_refuses_the_pod() -> None:
    answers = {key: value for key, value in SERVER.items() if key[0] != "Suggestion"}
    verdict = await World(answers).handle()
    assert isinstance(verdict, Denied)
    assert (verdict.code, "Suggestion 'exp' of Trial exp-aaaa is not there" in verdict.message) == (400, True)


async def test_a_suggestion_that_cannot_be_read_puts_the_pod_off() -> None:
    verdict = await World({**SERVER, ("Suggestion", "exp"): refusal(ServerError, 503)}).handle()
    assert isinstance(verdict, Denied)
    assert verdict.code == 500


async def test_a_pod_that_cannot_be_wrapped_is_refused() -> None:
    verdict = await World().handle(change(BASE["pod"], {}, ["/spec/containers/0/command"]))
    assert isinstance(verdict, Denied)
    assert (verdict.code, "set command" in verdict.message) == (400, True)


BROKEN = {
    "metadata": {"name": "katib-config", "namespace": "kubeflow"},
    "data": {"katib-config.yaml": "kind: Foo"},
}


async def test_a_broken_configuration_refuses_only_the_pods_that_need_it() -> None:
    verdict = await World(config=(BROKEN,)).handle()
    assert isinstance(verdict, Denied)
    assert verdict.code == 400
    pushing = change(TRIAL, {"/spec/metricsCollector": {"collector": {"kind": "Push"}}})
    world = World({**SERVER, ("Trial", "exp-aaaa"): pushing}, config=(BROKEN,))
    assert names(await world.handle()) == ["main"]
    assert world.reads == ["Job user/exp-aaaa", "Trial user/exp-aaaa"]


async def test_a_pod_that_was_here_before_gets_no_patch() -> None:
    verdict = await World().handle()
    assert isinstance(verdict, Allowed)
    again = await World().handle(jsonpatch.apply_patch(BASE["pod"], list(verdict.patch or ())))
    assert again == Allowed()


async def test_a_refusal_is_told_to_the_trial_as_only_the_job_controller_reads_the_answer() -> None:
    world = World(trials=(TRIAL,))
    verdict = await world.handle(change(BASE["pod"], {}, ["/spec/containers/0/command"]))
    assert isinstance(verdict, Denied)
    assert world.told == [
        ("Trial user/exp-aaaa", Note("Warning", "PodRefused", f"a pod was refused: {verdict.message}"))
    ]
    await world.handle()
    assert len(world.told) == 1
