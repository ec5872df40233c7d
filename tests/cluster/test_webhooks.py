"""The three webhooks as a real API server calls them, with the rules that are shipped."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from hack.cluster.layout import Layout
from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.config import TRIAL_RESOURCES
from kfx.controllers.jobs import parse_trial_resources
from kfx.controllers.templates import TemplateReader
from kfx.katib.compaction import compact
from kfx.katib.injection import InjectionSettings
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import AlreadyExists, ApiError, NotFound
from kfx.kube.resource import Resource
from kfx.registry.client import RegistryClient
from kfx.runtime.admission import AdmissionServer
from kfx.runtime.cache import Cache
from kfx.runtime.certs import FileCertificates
from kfx.runtime.metrics import RuntimeMetrics
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from kfx.webhooks.experiment_validator import NAMESPACES, ExperimentValidator
from kfx.webhooks.image_commands import SECRETS, SERVICE_ACCOUNTS, ImageCommands
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector
from kfx.webhooks.settings_reader import SettingsReader
from tests.oci_registry import Registry, serving
from tests.serving import new_pair, write_pair

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CONFIG = Path(__file__).resolve().parents[2] / "config"
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
HOOKS = {
    kind: Resource("admissionregistration.k8s.io", "v1", f"{kind.lower()}s", kind, namespaced=False)
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
}
JOBS = Resource("batch", "v1", "jobs", "Job")
PODS = Resource("", "v1", "pods", "Pod")
IMAGE = "kfx.local/kfx:1"
SETTINGS = InjectionSettings(db_manager_address="katib-db-manager.kubeflow:6789", collector_image=IMAGE)


@pytest.fixture
async def client(cluster: Layout, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of an API server that asks kfx's webhooks; the parameter is the form of the sidecar."""
    pair = new_pair()
    write_pair(tmp_path, pair)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="test")
        )
        await prepare(client)
        form = getattr(request, "param", "classic")
        server = await start(stack, client, FileCertificates(tmp_path), form)
        await register(client, server.bound[1], b64encode(pair.authorities[0]).decode())
        yield client
        for resource in HOOKS.values():
            await client.delete(resource, "", "katib.kubeflow.org")


async def start(
    stack: AsyncExitStack, client: Client, certificates: FileCertificates, form: str
) -> AdmissionServer:
    metrics = RuntimeMetrics(CollectorRegistry())
    cache = Cache(client, metrics=metrics)
    trials, suggestions = cache.informer(Trial, transform=compact), cache.informer(Suggestion)
    config = KatibConfigReader(
        config_maps=cache.informer(ConfigMap, namespace="kubeflow"),
        core_namespace="kubeflow",
        collector_image=IMAGE,
    )
    jobs = {kind: cache.dynamic(kind) for kind in parse_trial_resources(TRIAL_RESOURCES)}
    validator = ExperimentValidator(
        client=client,
        templates=TemplateReader(client=client, core_namespace="kubeflow"),
        config=config,
        algorithms=ALGORITHMS,
        trial_resources=TRIAL_RESOURCES,
    )
    injector = PodInjector(
        client=client,
        owners=OwnerWalk(client=client, jobs=jobs),
        trials=trials,
        suggestions=suggestions,
        config=config,
        images=await open_images(stack, client),
        settings=SettingsReader(SETTINGS, form=form, client=client),
    )
    server = AdmissionServer(
        host="127.0.0.1",
        port=0,
        handlers=[ExperimentDefaulter(), validator, injector],
        certificates=certificates,
        metrics=metrics,
    )
    await stack.enter_async_context(certificates.running())
    await stack.enter_async_context(cache.running())
    assert await cache.wait_for_sync(asyncio.Event())
    await stack.enter_async_context(server.serving())
    return server


async def open_images(stack: AsyncExitStack, client: Client) -> ImageCommands:
    registries = RegistryClient(user_agent="test")
    await stack.enter_async_context(registries.running())
    return ImageCommands(client=client, registries=registries, clock=time.monotonic)


async def prepare(client: Client) -> None:
    for path in sorted((CONFIG / "crd" / "bases").glob("*.yaml")):
        await create(client, CRDS, yaml.safe_load(path.read_text()))
    await create(client, NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}})
    label = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    await client.patch(NAMESPACES, "", "default", {"metadata": {"labels": label}})
    async with asyncio.timeout(30):
        while not await is_served(client):
            await asyncio.sleep(0.1)


async def is_served(client: Client) -> bool:
    """Whether all three kinds are there to be asked for."""
    try:
        for kind in (Experiment, Suggestion, Trial):
            await client.request("GET", kind.resource.path("default"))
    except NotFound:
        return False
    return True


async def register(client: Client, port: int, bundle: str) -> None:
    for document in yaml.safe_load_all((CONFIG / "webhook" / "manifests.yaml").read_text()):
        for hook in document["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
        await client.create(HOOKS[document["kind"]], document)
    async with asyncio.timeout(30):
        while not await defaulted(client):
            await asyncio.sleep(0.1)


async def defaulted(client: Client) -> bool:
    """Whether the API server asks already."""
    found = await client.create(Experiment.resource, sample(name="probe"), namespace="default", dry_run=True)
    return "resumePolicy" in found["spec"]


async def create(client: Client, resource: Resource, manifest: dict[str, Any]) -> None:
    try:
        await client.create(resource, manifest)
    except AlreadyExists:
        return


def sample(*, name: str, **spec: Any) -> dict[str, Any]:
    document = yaml.safe_load((CONFIG / "samples" / "random.yaml").read_text())
    return {**document, "metadata": {"name": name}, "spec": {**document["spec"], **spec}}


async def submit(client: Client, manifest: dict[str, Any], *, namespace: str = "default") -> dict[str, Any]:
    return await client.create(Experiment.resource, manifest, namespace=namespace)


async def refusal(client: Client, manifest: dict[str, Any], *, namespace: str = "default") -> ApiError:
    with pytest.raises(ApiError) as caught:
        await submit(client, manifest, namespace=namespace)
    return caught.value


async def test_the_sample_is_stored_with_its_defaults(client: Client) -> None:
    manifest = sample(name="whole")
    manifest["metadata"] = {"generateName": "whole-"}
    manifest["spec"]["unheardOf"] = 1
    stored = (await submit(client, manifest))["spec"]
    assert stored["metricsCollectorSpec"] == {"collector": {"kind": "StdOut"}}
    assert stored["parameters"][1]["feasibleSpace"]["distribution"] == "uniform"
    assert stored["trialTemplate"]["successCondition"].startswith("status.conditions")
    assert stored["unheardOf"] == 1


async def test_an_unknown_algorithm_is_refused_with_those_there_are(client: Client) -> None:
    failed = await refusal(client, sample(name="a", algorithm={"algorithmName": "best"}))
    assert failed.status == 400
    assert failed.message.startswith(
        'admission webhook "validator.experiment.katib.kubeflow.org" denied the request: '
        "spec.algorithm.algorithmName: Invalid value"
    )
    assert failed.message.endswith("this kfx answers: random")


async def test_a_quoted_number_is_refused_by_its_field(client: Client) -> None:
    failed = await refusal(client, sample(name="a", maxTrialCount="3"))
    assert failed.status == 400
    assert "denied the request: spec.maxTrialCount: expected int, found str" in failed.message


async def test_a_namespace_without_the_label_is_refused_with_the_command(client: Client) -> None:
    failed = await refusal(client, sample(name="a"), namespace="bare")
    assert failed.status == 400
    assert "kubectl label namespace bare" in failed.message


async def test_two_trials_run_at_most_two_at_a_time(client: Client) -> None:
    """K1: as the API server stores it."""
    manifest = sample(name="two", maxTrialCount=2, maxFailedTrialCount=1)
    del manifest["spec"]["parallelTrialCount"]
    assert (await submit(client, manifest))["spec"]["parallelTrialCount"] == 2


async def test_an_experiment_stored_without_defaults_can_still_be_changed(client: Client) -> None:
    """K2: the old object is defaulted before it is compared."""
    hooks = {}
    for resource in HOOKS.values():
        document = await client.get_document(resource, "", "katib.kubeflow.org")
        hooks[resource] = {**document, "metadata": {"name": "katib.kubeflow.org"}}
        await client.delete(resource, "", "katib.kubeflow.org")
    async with asyncio.timeout(30):
        while await defaulted(client):
            await asyncio.sleep(0.1)
        await submit(client, sample(name="older"))
        for resource, document in hooks.items():
            await client.create(resource, document)
        while not await defaulted(client):
            await asyncio.sleep(0.1)
    more = await client.patch(Experiment.resource, "default", "older", {"spec": {"maxTrialCount": 20}})
    assert more["spec"]["parameters"][1]["feasibleSpace"]["distribution"] == "uniform"


async def test_only_the_counts_may_be_changed(client: Client) -> None:
    await submit(client, sample(name="fixed"))
    more = await client.patch(Experiment.resource, "default", "fixed", {"spec": {"maxTrialCount": 20}})
    assert more["spec"]["maxTrialCount"] == 20
    with pytest.raises(ApiError, match="spec: Forbidden"):
        await client.patch(Experiment.resource, "default", "fixed", {"spec": {"objective": {"goal": 1}}})


async def test_a_finalizer_goes_though_the_namespace_has_lost_its_label(client: Client) -> None:
    manifest = sample(name="going")
    manifest["metadata"]["finalizers"] = ["test.local/hold"]
    await submit(client, manifest)
    key = "katib.kubeflow.org/metrics-collector-injection"
    await client.patch(NAMESPACES, "", "default", {"metadata": {"labels": {key: None}}})
    await client.delete(Experiment.resource, "default", "going")
    await client.patch(Experiment.resource, "default", "going", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await client.get_document(Experiment.resource, "default", "going")


def reference(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": document["metadata"]["name"],
        "uid": document["metadata"]["uid"],
        "controller": True,
    }


def pod(name: str, *owners: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "training", "image": "trainer", "command": ["python3", "train.py", "--lr=0.1"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": [reference(owner) for owner in owners]},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


async def trial(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Trial and its Job."""
    suggestion = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Suggestion",
        "metadata": {"name": "e"},
        "spec": {"algorithm": {"algorithmName": "random"}},
    }
    await client.create(Suggestion.resource, suggestion, namespace="default")
    document = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Trial",
        "metadata": {"name": "e-1", "labels": {"katib.kubeflow.org/experiment": "e"}},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "metricsCollector": {"collector": {"kind": "StdOut"}},
            "primaryContainerName": "training",
            "runSpec": {"apiVersion": "batch/v1", "kind": "Job"},
        },
    }
    owner = await client.create(Trial.resource, document, namespace="default")
    template = {"spec": pod("x")["spec"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "e-1", "ownerReferences": [reference(owner)]},
        "spec": {"template": template, "suspend": True},
    }
    return owner, await client.create(JOBS, job, namespace="default")


async def test_a_pod_of_a_trial_gets_its_collector_and_any_other_nothing(client: Client) -> None:
    _, job = await trial(client)
    found = await client.create(PODS, pod("e-1-x", job), namespace="default")
    training, collector = found["spec"]["containers"]
    assert training["args"] == [
        "python3 train.py --lr=0.1 1>/var/log/katib/metrics.log 2>&1 "
        "&& echo completed > /var/log/katib/$$$$.pid"
    ]
    assert (collector["image"], collector["command"]) == (IMAGE, ["kfx", "metrics-collector"])
    assert found["spec"]["shareProcessNamespace"] is True
    assert found["metadata"]["labels"]["katib.kubeflow.org/trial"] == "e-1"
    other = await client.create(PODS, pod("other"), namespace="default")
    assert len(other["spec"]["containers"]) == 1
    assert "katib.kubeflow.org/trial" not in other["metadata"].get("labels", {})


async def test_a_pod_that_cannot_be_wrapped_is_refused_with_the_remedy(client: Client) -> None:
    job = await client.get_document(JOBS, "default", "e-1")
    manifest = pod("e-1-y", job)
    manifest["spec"]["containers"][0]["command"] = ["sh"]
    with pytest.raises(ApiError) as caught:
        await client.create(PODS, manifest, namespace="default")
    assert caught.value.status == 400
    assert "container training of Trial e-1 cannot be wrapped: sh alone has nothing to run" in str(
        caught.value
    )


@pytest.mark.parametrize("client", ["auto"], indirect=True)
async def test_the_collector_can_be_an_init_container_that_stays(client: Client) -> None:
    job = await client.get_document(JOBS, "default", "e-1")
    found = await client.create(PODS, pod("e-1-n", job), namespace="default")
    (training,), (collector,) = found["spec"]["containers"], found["spec"]["initContainers"]
    assert training["name"] == "training"
    assert (collector["name"], collector["restartPolicy"]) == ("metrics-logger-and-collector", "Always")
    assert collector["args"][-2:] == ["-native", "true"]
    mount = {"name": "metrics-volume", "mountPath": "/var/log/katib"}
    assert mount in collector["volumeMounts"]
    assert mount in training["volumeMounts"]


async def test_an_image_behind_the_service_accounts_login_says_what_the_container_runs(
    client: Client,
) -> None:
    job = await client.get_document(JOBS, "default", "e-1")
    async with serving(Registry(auth="bearer")) as registry:
        registry.image("team/app", "1", entrypoint=["python3", "train.py"], cmd=["--default"])
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, **registry.secret()}
        await client.create(SECRETS, secret, namespace="default")
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "trainer"},
            "imagePullSecrets": [{"name": "pull"}],
        }
        await client.create(SERVICE_ACCOUNTS, account, namespace="default")
        manifest = pod("e-1-z", job)
        manifest["spec"]["serviceAccountName"] = "trainer"
        manifest["spec"]["containers"] = [{"name": "training", "image": f"{registry.host}/team/app:1"}]
        found = await client.create(PODS, manifest, namespace="default")
        assert found["spec"]["containers"][0]["args"][0].startswith("python3 train.py --default 1>")
        manifest["spec"]["containers"][0]["image"] = f"{registry.host}/team/other:1"
        manifest["metadata"]["name"] = "e-1-o"
        with pytest.raises(ApiError) as caught:
            await client.create(PODS, manifest, namespace="default")
    assert caught.value.status == 400
    assert "has no such image (404); or set command in the Experiment's trialTemplate" in str(caught.value)
    assert registry.password not in str(caught.value)
