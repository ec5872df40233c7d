"""A pod, its trial, and the answer."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import jsonpatch
import msgspec
import pytest
from aiohttp import web

from kfx.apis.core import ConfigMap
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.injection import InjectionSettings
from kfx.kube.errors import ServerError
from kfx.kube.model import KubeObject
from kfx.registry.client import RegistryClient
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, InvalidRequest, Verdict
from kfx.runtime.plan import Note
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.image_commands import ImageCommands
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector
from kfx.webhooks.settings_reader import SettingsReader
from tests.experiment_cases import change
from tests.oci_registry import Registry, serving
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
        registries: RegistryClient | None = None,
        form: str = "classic",
    ) -> None:
        self.documents = Documents(answers)
        self.now = 0.0
        self.told: list[tuple[str, Note]] = []
        self._injector = PodInjector(
            client=self.documents,
            owners=OwnerWalk(client=self.documents, jobs={}, clock=lambda: self.now),
            trials=stored(Trial, *trials),
            suggestions=stored(Suggestion, *suggestions),
            config=KatibConfigReader(
                config_maps=stored(ConfigMap, *config), core_namespace="kubeflow", collector_image="kfx:1"
            ),
            images=ImageCommands(
                client=self.documents,
                registries=registries or RegistryClient(user_agent="test"),
                clock=lambda: self.now,
            ),
            settings=SettingsReader(
                InjectionSettings(db_manager_address="db:1", collector_image="kfx:1"),
                form=form,
                client=self.documents,
            ),
            recorder=self,
        )

    def note(self, owner: KubeObject, note: Note) -> None:
        self.told.append((str(owner), note))

    async def handle(self, pod: Any = BASE["pod"]) -> Verdict:
        return await self.judge(request(pod))

    def handle_now(self, pod: Any) -> Verdict | None:
        return self._injector.handle_now(request(pod))

    async def judge(self, request: AdmissionRequest) -> Verdict:
        return await self._injector.handle(request)

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


OWNED = change(
    BASE["pod"],
    {"/metadata/ownerReferences": JOB["metadata"]["ownerReferences"]},  # type: ignore[index]
)
PUSHING = change(TRIAL, {"/spec/metricsCollector": {"collector": {"kind": "Push"}}})


@pytest.mark.parametrize("trial", [TRIAL, PUSHING])
async def test_what_needs_no_wait_is_said_at_once(trial: dict[str, Any]) -> None:
    world = World(trials=(trial,), suggestions=(BASE["suggestion"],))
    verdict = world.handle_now(OWNED)
    assert isinstance(verdict, Allowed)
    assert verdict.patch
    assert verdict == await world.handle(OWNED)
    assert world.reads == []


@pytest.mark.parametrize(
    ("pod", "world"),
    [
        pytest.param(OWNED, {"suggestions": (BASE["suggestion"],)}, id="no trial in the cache"),
        pytest.param(OWNED, {"trials": (TRIAL,)}, id="no suggestion in the cache"),
        pytest.param(
            OWNED,
            {"trials": (TRIAL,), "suggestions": (BASE["suggestion"],), "form": "auto"},
            id="the server's version unknown",
        ),
        pytest.param(
            change(OWNED, {}, ["/spec/containers/0/command"]),
            {"trials": (TRIAL,), "suggestions": (BASE["suggestion"],)},
            id="the image's words unknown",
        ),
        pytest.param(
            change(OWNED, {}, ["/metadata/ownerReferences"]),
            {"trials": (TRIAL,), "suggestions": (BASE["suggestion"],)},
            id="nobody's pod",
        ),
    ],
)
def test_what_must_wait_is_not_said_at_once(pod: dict[str, Any], world: dict[str, Any]) -> None:
    assert World(**world).handle_now(pod) is None


async def test_a_cached_namesake_of_the_trial_is_not_believed() -> None:
    world = World(trials=(change(TRIAL, {"/metadata/uid": "of-old"}),))
    assert len(names(await world.handle())) == 2
    assert "Trial user/exp-aaaa" in world.reads


async def test_a_job_of_a_trial_that_was_replaced_is_left_alone() -> None:
    world = World({**SERVER, ("Trial", "exp-aaaa"): change(TRIAL, {"/metadata/uid": "another"})})
    assert await world.handle() == Allowed()


@pytest.mark.parametrize(
    ("gone", "remove", "code"),
    [
        pytest.param(("Trial", "exp-aaaa"), [], 500, id="P12 Trial missing"),
        pytest.param(("Job", "exp-aaaa"), [], 200, id="P12 Job missing"),
        pytest.param((), ["/metadata/ownerReferences"], 200, id="P12 no owners"),
    ],
)
async def test_a_pod_whose_trial_cannot_be_told_is_put_off_and_that_of_nobody_left_alone(
    gone: tuple[str, str], remove: list[str], code: int
) -> None:
    world = World({key: value for key, value in SERVER.items() if key != gone})
    verdict = await world.handle(change(BASE["pod"], {}, remove))
    assert verdict == Allowed() if code == 200 else isinstance(verdict, Denied) and verdict.code == code


async def test_a_pod_of_nobody_costs_no_read() -> None:
    """P12: it passes unchanged."""
    world = World()
    await world.handle(change(BASE["pod"], {}, ["/metadata/ownerReferences"]))
    assert world.reads == []


async def test_a_trial_that_cannot_be_read_puts_the_pod_off() -> None:
    """P12: one that is gone, too."""
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
    pod = change(BASE["pod"], {"/spec/containers/0/command": ["sh"], "/spec/containers/0/args": None})
    verdict = await World().handle(pod)
    assert isinstance(verdict, Denied)
    assert (verdict.code, "sh alone has nothing to run" in verdict.message) == (400, True)


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        ({"/spec/containers": 1}, r"Expected `array \| null`, got `int` - at `\$.spec.containers`"),
        ({"/spec/containers/0/command": "sh"}, "command"),
        ({"/metadata/labels": {"a": 1}}, "metadata.labels"),
        ({"/metadata/ownerReferences": [1]}, "ownerReferences"),
    ],
)
async def test_what_is_no_pod_is_refused_by_its_field(pod: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"request.object is no pod: .*{text}"):
        await World().handle(change(BASE["pod"], pod))


async def test_a_trial_that_cannot_be_decoded_puts_the_pod_off() -> None:
    broken = change(TRIAL, {"/spec/primaryPodLabels": 1})
    verdict = await World({**SERVER, ("Trial", "exp-aaaa"): broken}).handle()
    assert isinstance(verdict, Denied)
    assert verdict.code == 500


@pytest.mark.parametrize(
    ("form", "version", "native"),
    [
        ("classic", {"major": "1", "minor": "36"}, False),
        ("auto", {"major": "1", "minor": "29"}, True),
        ("auto", {"major": "1", "minor": "29+"}, True),
        ("auto", {"major": "2", "minor": "0"}, True),
        ("auto", {"major": "1", "minor": "28"}, False),
        ("native", {"major": "1", "minor": "36"}, True),
        ("native", {"major": "1", "minor": "28"}, False),
        ("native", {}, False),
        ("native", refusal(ServerError, 503), False),
    ],
)
async def test_a_native_sidecar_needs_the_flag_and_a_server_that_knows_it(
    form: str, version: Any, native: bool
) -> None:
    world = World({**SERVER, ("", "/version"): version}, form=form)
    assert ("metrics-logger-and-collector" in names(await world.handle())) is not native


async def test_the_servers_version_is_asked_for_until_it_was_told() -> None:
    world = World({**SERVER, ("", "/version"): refusal(ServerError, 503)}, form="auto")
    assert "metrics-logger-and-collector" in names(await world.handle())
    world.documents.tell(("", "/version"), {"major": "1", "minor": "34"})
    for _ in range(2):
        assert names(await world.handle()) == ["main"]
    assert world.reads.count(" /version/") == 2


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
    pod = change(BASE["pod"], {"/spec/containers/0/command": ["sh"], "/spec/containers/0/args": None})
    verdict = await world.handle(pod)
    assert isinstance(verdict, Denied)
    assert world.told == [
        ("Trial user/exp-aaaa", Note("Warning", "PodRefused", f"a pod was refused: {verdict.message}"))
    ]
    await world.handle()
    assert len(world.told) == 1


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with serving(Registry()) as registry:
        yield registry


@pytest.fixture
async def registries() -> AsyncIterator[RegistryClient]:
    client = RegistryClient(user_agent="test")
    async with client.running():
        yield client


def commandless(registry: Registry, tag: str = "1") -> dict[str, Any]:
    image = {"/spec/containers/0/image": f"{registry.host}/app:{tag}"}
    pod: dict[str, Any] = change(BASE["pod"], image, ["/spec/containers/0/command"])
    return pod


@pytest.mark.real_time
async def test_a_container_without_a_command_runs_what_its_image_says(
    registry: Registry, registries: RegistryClient
) -> None:
    registry.image("app", "1", entrypoint=["python3", "x.py"], cmd=["--default"])
    verdict = await World(registries=registries).handle(commandless(registry))
    assert isinstance(verdict, Allowed)
    changed = jsonpatch.apply_patch(commandless(registry), list(verdict.patch or ()))
    assert changed["spec"]["containers"][0]["args"] == [
        "python3 x.py --lr=0.1 1>/var/log/katib/metrics.log 2>&1 && echo completed > /var/log/katib/$$$$.pid"
    ]


@pytest.mark.real_time
@pytest.mark.parametrize(("status", "code"), [(404, 400), (503, 500)])
async def test_an_image_that_cannot_be_asked_is_told_with_its_container_and_the_remedy(
    registry: Registry, registries: RegistryClient, status: int, code: int
) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="words of the registry")

    registry.answers["/v2/app/manifests/2"] = refuse
    world = World(registries=registries)
    verdict = await world.handle(commandless(registry, "2"))
    assert isinstance(verdict, Denied)
    assert verdict.code == code
    assert verdict.message.startswith(
        f"container main of Trial exp-aaaa has no command, and its image {registry.host}/app:2 cannot be "
        f"asked for one: {registry.host}"
    )
    assert verdict.message.endswith("; or set command in the Experiment's trialTemplate")
    assert "words of the registry" not in verdict.message
    assert [note.reason for _, note in world.told] == ["PodRefused"]


@pytest.mark.parametrize("kind", ["Push", "Custom", "PrometheusMetric"])
async def test_no_registry_is_asked_for_a_command_that_nobody_wraps(kind: str) -> None:
    collector = {"kind": kind, "customCollector": {"name": "mine", "image": "i"}}
    config = "runtime: {metricsCollectors: [{kind: PrometheusMetric, image: prom}]}"
    config = f"kind: KatibConfig\napiVersion: config.kubeflow.org/v1beta1\n{config}"
    world = World(
        {
            **SERVER,
            ("Trial", "exp-aaaa"): change(TRIAL, {"/spec/metricsCollector": {"collector": collector}}),
        },
        config=({**BROKEN, "data": {"katib-config.yaml": config}},),
    )
    pod = change(BASE["pod"], {}, ["/spec/containers/0/command"])
    assert isinstance(await world.handle(pod), Allowed)
