"""An algorithm and a rule for early stopping that run in images, against a real API server and gRPC.

kfx speaks as its own service account with the rights of config/rbac. The test plays the kubelet: no node runs
the pods, so it says of them that they are ready; the images' services answer on this machine.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from grpc import StatusCode

from hack.cluster.layout import Layout
from kfx.apis.apps import Deployment, Service
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.build import utc_now
from kfx.katib.compose import VOLUME_CLAIMS
from kfx.katib.suggestion_objects import PERSISTENT_VOLUMES, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import AlreadyExists, NotFound
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.events import EVENTS
from tests.algorithm_service import AlgorithmService, Served, serving
from tests.cluster.crds import install_crds
from tests.cluster.katib import NAMESPACE, Platform, condition, manifest, words, working
from tests.cluster.site import account_of_kfx, grant_rights

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

CONFIG = Path(__file__).resolve().parents[2] / "config"
CORE = "kubeflow"
PODS = Resource("", "v1", "pods", "Pod")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
KATIB_CONFIG = {
    "apiVersion": "config.kubeflow.org/v1beta1",
    "kind": "KatibConfig",
    "runtime": {
        "suggestions": [
            {
                "algorithmName": "random",
                "image": "example.org/random",
                "persistentVolumeSpec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": "/tmp/state"},
                },
                "persistentVolumeClaimSpec": {"storageClassName": "none"},
            },
        ],
        "metricsCollectors": [{"kind": "StdOut", "image": "example.org/collector"}],
        "earlyStoppings": [{"algorithmName": "medianstop", "image": "example.org/medianstop"}],
    },
}


async def make(client: Client, *documents: dict[str, Any]) -> None:
    for document in documents:
        with suppress(AlreadyExists):
            await client.create(guess_resource(document["apiVersion"], document["kind"]), document)


@pytest.fixture
async def client(cluster: Layout) -> AsyncIterator[Client]:
    """The administrator of a cluster with Katib's kinds, katib-config and nobody's rights."""
    async with Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="test") as client:
        await install_crds(client)
        await make(client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CORE}})
        metadata = {"name": "katib-config", "namespace": CORE}
        data = {"katib-config.yaml": yaml.safe_dump(KATIB_CONFIG)}
        await make(client, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        yield client


@pytest.fixture
async def credentials(client: Client, cluster: Layout, tmp_path: Path) -> Credentials:
    """kfx's service account with its own rights."""
    await grant_rights(client)
    return account_of_kfx(cluster, tmp_path)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(AlgorithmService()) as found:
        yield found


@pytest.fixture
async def platform(
    client: Client, credentials: Credentials, served: Served, tmp_path: Path
) -> AsyncIterator[Platform]:
    flags = ("--suggestions=image",)
    async with working(client, credentials, tmp_path, *flags, dial=served.dial) as platform:
        yield platform


def experiment(name: str, **spec: Any) -> dict[str, Any]:
    return manifest(name, most=2, **{"earlyStopping": {"algorithmName": "medianstop"}, **spec})


async def has_gone(platform: Platform, kind: Any, name: str) -> bool:
    try:
        await platform.read(kind, name)
    except NotFound:
        return True
    return False


async def become_ready(platform: Platform, name: str) -> None:
    """As the kubelet would say of the one pod of the Deployment."""

    async def waiting() -> Any:
        found = await platform.items(PODS, f"katib.kubeflow.org/deployment={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    (pod,) = await platform.until(waiting)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": utc_now()}
    status = {"phase": "Running", "conditions": [ready]}
    await platform.client.patch(
        PODS, NAMESPACE, pod["metadata"]["name"], {"status": status}, subresource="status"
    )


async def until_said(platform: Platform, name: str, *said: str) -> dict[str, Any]:
    async def so() -> Any:
        with suppress(NotFound):
            found = await platform.read(Suggestion, name)
            return found if words(found) == list(said) else None

    try:
        found: dict[str, Any] = await platform.until(so)
    except TimeoutError:
        seen = words(await platform.read(Suggestion, name))
        pytest.fail(f"Suggestion {name} says {seen}, not {list(said)}; {await events(platform, name)}")
    return found


async def test_an_experiment_runs_by_an_image_and_goes_on_from_its_volume(
    platform: Platform, served: Served
) -> None:
    """12.5.1, 12.5.2, 12.5.3: from the objects to their end, and once more."""
    name, pods = "image", "image-random"
    await platform.client.create(
        Experiment.resource, experiment(name, resumePolicy="FromVolume"), namespace=NAMESPACE
    )
    await until_said(platform, name, "Created", "-DeploymentReady")
    await check_objects(platform, pods)
    assert served.dialled == []
    await become_ready(platform, pods)
    await until_said(platform, name, "Created", "DeploymentReady", "Running")
    await run_to_the_end(platform, name, trials=2)
    assert [(each.host, port) for each, port in served.dialled] == [
        (f"{pods}.{NAMESPACE}", 6789),
        (f"{pods}.{NAMESPACE}", 6788),
    ]
    # it goes on: the volumes are there, Deployment and Service are made anew
    await platform.client.patch(Experiment.resource, NAMESPACE, name, {"spec": {"maxTrialCount": 3}})
    await until_said(platform, name, "Created", "-Running", "-DeploymentReady")
    await become_ready(platform, pods)
    await run_to_the_end(platform, name, trials=1)
    last = served.service.of("GetSuggestions")[-1]
    assert (len(last.trials), last.current_request_number) == (2, 1)
    assert served.service.most_in_hand == 1
    assert await events(platform, name) == []
    await platform.client.delete(PERSISTENT_VOLUMES, "", f"{pods}-{NAMESPACE}")


async def check_objects(platform: Platform, pods: str) -> None:
    for kind in (Service.resource, VOLUME_CLAIMS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS):
        made = await platform.read(kind, pods)
        assert made["metadata"]["ownerReferences"][0]["kind"] == "Suggestion", kind
    deployment = await platform.read(Deployment, pods)
    images = [c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]]
    assert images == ["example.org/random", "example.org/medianstop"]
    await platform.client.get_document(PERSISTENT_VOLUMES, "", f"{pods}-{NAMESPACE}")


async def run_to_the_end(platform: Platform, name: str, *, trials: int) -> None:
    """Trials with the rule; then Deployment and Service go, the volume stays."""
    for trial in await platform.running_trials(name, trials):
        await platform.finish(trial, value="0.5")
    found = await until_said(platform, name, "Created", "-Running", "-DeploymentReady", "Succeeded")
    assert words(await platform.ended(Experiment, name))[-1] == "Succeeded"
    assert found["status"]["suggestionCount"] == found["spec"]["requests"]
    (rule,) = found["status"]["suggestions"][-1]["earlyStoppingRules"]
    assert rule == {"name": "loss", "value": "0.5", "comparison": "greater", "startStep": 4}
    await gone(platform, f"{name}-random")
    await platform.read(VOLUME_CLAIMS, f"{name}-random")


async def gone(platform: Platform, name: str) -> None:
    async def both() -> bool:
        return await has_gone(platform, Deployment, name) and await has_gone(platform, Service, name)

    await platform.until(both)


async def events(platform: Platform, name: str) -> list[str]:
    found = await platform.items(EVENTS)
    return [
        f"{e['reason']}: {e['message']}"
        for e in found
        if e["involvedObject"]["kind"] == "Suggestion" and e["involvedObject"]["name"] == name
    ]


async def test_an_algorithm_that_hangs_or_refuses_holds_nobody_up(platform: Platform, served: Served) -> None:
    """12.5.8: one waits for its answer, one is refused, and the third runs."""
    served.service.failures["ValidateAlgorithmSettings"] = [
        None,
        (StatusCode.INVALID_ARGUMENT, "no such setting"),
    ]
    for name in ("hangs", "refused", "runs"):
        await platform.client.create(Experiment.resource, experiment(name), namespace=NAMESPACE)
        await become_ready(platform, f"{name}-random")
        if name == "hangs":
            async with asyncio.timeout(30):
                await served.service.arrived.wait()
        if name == "refused":
            failed = await platform.ended(Suggestion, name)
            assert words(failed) == ["Created", "DeploymentReady", "Failed"]
            told = condition(failed, "Failed")
            assert told is not None
            assert told["message"] == ("Validation failed: ValidateAlgorithmSettings Error: no such setting")
            assert words(await platform.ended(Experiment, name))[-1] == "Failed"
            await gone(platform, f"{name}-random")
    for trial in await platform.running_trials("runs", 2):
        await platform.finish(trial, value="0.5")
    await platform.ended(Experiment, "runs")
    assert words(await platform.read(Suggestion, "hangs")) == ["Created", "DeploymentReady"]
    for name in ("hangs", "refused", "runs"):  # the next process is not to ask for them
        await platform.client.delete(Experiment.resource, NAMESPACE, name)
        await platform.until(partial(has_gone, platform, Experiment, name))


async def test_a_service_that_is_taken_away_is_made_anew_and_trials_go_on_meanwhile(
    platform: Platform, served: Served
) -> None:
    """3.9, 12.5.2: the pod became unavailable later; Running stays True."""
    name, pods = "away", "away-random"
    asked = experiment(name, parallelTrialCount=1)
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    await become_ready(platform, pods)
    (first,) = await platform.running_trials(name, 1)
    for kind in (Deployment, Service):
        before = (await platform.read(kind, pods))["metadata"]["uid"]
        await platform.client.delete(kind.resource, NAMESPACE, pods, propagation="Background")
        await platform.until(partial(is_another, platform, kind, pods, before))
    await until_said(platform, name, "Created", "Running", "-DeploymentReady")
    calls = len(served.service.of("GetSuggestions"))
    await platform.finish(first, value="0.5")
    await platform.ended(Trial, first)
    await asyncio.sleep(1)
    assert len(served.service.of("GetSuggestions")) == calls
    assert words(await platform.read(Experiment, name))[-1] == "Running"
    await become_ready(platform, pods)
    (second,) = await platform.running_trials(name, 1, besides=[first])
    await until_said(platform, name, "Created", "Running", "DeploymentReady")
    await platform.finish(second, value="0.4")
    assert words(await platform.ended(Experiment, name))[-1] == "Succeeded"
    assert len(served.service.of("ValidateAlgorithmSettings")) == 1


async def is_another(platform: Platform, kind: Any, name: str, uid: str) -> bool:
    try:
        return bool((await platform.read(kind, name))["metadata"]["uid"] != uid)
    except NotFound:
        return False


async def test_an_algorithm_that_katib_config_does_not_name_is_told(platform: Platform) -> None:
    await platform.client.create(
        Experiment.resource, experiment("unnamed", algorithm={"algorithmName": "tpe"}), namespace=NAMESPACE
    )
    failed = await platform.ended(Experiment, "unnamed")
    assert words(failed)[-1] == "Failed"
    told = condition(failed, "Failed")
    assert told is not None
    assert "failed to find suggestion config for algorithm: tpe in ConfigMap: katib-config" in told["message"]
