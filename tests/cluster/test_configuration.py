"""The whole process and its configuration: katib-config as it changes, certificates, a foreign controller."""

import asyncio
import shutil
import socket
import subprocess
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from hack.cluster import tokens
from hack.cluster.layout import Layout
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.controllers.foreign import DEPLOYMENTS, ForeignController, Self, foreign_gauge
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import AlreadyExists, ApiError, NotFound
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from kfx.runtime.pki import Pair, names_of, read_pair
from kfx.runtime.reconcile import Request
from kfx.runtime.tls import dial, verifier_of
from tests.cluster.katib import manifest, working
from tests.cluster.test_webhooks import CONFIG, HOOKS, prepare, register, sample
from tests.serving import get

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CORE, NAME = "kubeflow", "katib-controller"
KATIB = "example.org/katib-controller:v0.19.0"


@pytest.fixture
def credentials(cluster: Layout) -> Credentials:
    return load_credentials(str(cluster.kubeconfig))


@pytest.fixture
async def client(credentials: Credentials) -> AsyncIterator[Client]:
    async with Client.connect(credentials, user_agent="test") as client:
        await prepare(client)
        await ensure(client, NAMESPACES, {"metadata": {"name": CORE}})
        yield client
        for resource in WEBHOOK_CONFIGURATIONS:
            await remove(client, resource, "", "katib.kubeflow.org")
        await remove(client, CONFIG_MAPS, CORE, "katib-config")
        await remove(client, DEPLOYMENTS, CORE, NAME)


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def ensure(client: Client, resource: Resource, fields: dict[str, Any]) -> None:
    try:
        await client.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **fields})
    except AlreadyExists:
        return


async def remove(client: Client, resource: Resource, namespace: str, name: str) -> None:
    try:
        await client.delete(resource, namespace, name, propagation="Background")
    except NotFound:
        return


async def until(true: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await true()):
            await asyncio.sleep(0.05)
    return found


async def verdict(client: Client) -> str:
    """Of the webhooks on an Experiment that is in order: ``""``, or why it is refused."""
    try:
        await client.create(Experiment.resource, sample(name="probe"), namespace="default", dry_run=True)
    except ApiError as refused:
        return refused.message
    return ""


async def state(client: Client, data: dict[str, str | None]) -> None:
    """katib-config with this ``data`` and no other."""
    try:
        await client.patch(CONFIG_MAPS, CORE, "katib-config", {"data": data})
    except NotFound:
        fields = {"metadata": {"name": "katib-config", "namespace": CORE}, "data": data}
        await ensure(client, CONFIG_MAPS, fields)


NEW, OLD = "katib-config.yaml", "metrics-collector-sidecar"
STATES: list[tuple[dict[str, str | None], str]] = [
    (
        {NEW: "runtime: {metricsCollectors: [{kind: StdOut}]}"},
        "required value for image config",
    ),
    ({NEW: "runtime: {metricsCollectors: [{kind: StdOut, image: theirs}]}"}, ""),
    ({NEW: "runtime: {suggestions: foo}"}, "Expected `array`, got `str` - at `$.runtime.suggestions`"),
    ({NEW: None, OLD: '{"StdOut": {"image": "theirs"}}'}, ""),
    ({OLD: '{"StdOut": {"image": " "}}'}, "required value for image configuration of metrics collector kind"),
    ({OLD: '{"StdOut": 1}'}, "failed to decode metrics-collector-sidecar (StdOut) in ConfigMap katib-config"),
    ({OLD: None, "other": ""}, "failed to find katib-config.yaml in ConfigMap: katib-config"),
]


async def test_katib_config_acts_as_it_changes_in_both_of_its_forms(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    health, port = free_ports(2)
    flags = (f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, credentials, tmp_path, *flags):
        await until_ready(health)
        await register(client, port, b64encode((tmp_path / "tls.crt").read_bytes()).decode())
        assert await until_verdict(client, "") == ""
        for data, reason in STATES:
            await state(client, data)
            assert reason in await until_verdict(client, reason), data
        await client.delete(CONFIG_MAPS, CORE, "katib-config")
        assert await until_verdict(client, "") == ""


async def until_verdict(client: Client, reason: str) -> str:
    async def told() -> list[str]:
        found = await verdict(client)
        return [found] if (reason in found if reason else not found) else []

    (found,) = await until(told)
    return str(found)


async def register_without_bundle(client: Client) -> None:
    for document in yaml.safe_load_all((CONFIG / "webhook" / "manifests.yaml").read_text()):
        await client.create(HOOKS[document["kind"]], document)


async def bundles(client: Client) -> list[bytes]:
    found = [await client.get_document(each, "", "katib.kubeflow.org") for each in WEBHOOK_CONFIGURATIONS]
    return [b64decode(h["clientConfig"].get("caBundle", "")) for each in found for h in each["webhooks"]]


async def stored(client: Client, name: str) -> dict[str, bytes]:
    try:
        secret = await client.get_document(SECRETS, CORE, name)
    except NotFound:
        return {}
    return {key: b64decode(value) for key, value in secret["data"].items()}


async def test_an_enabled_generator_issues_for_its_service_and_mends_a_wiped_bundle_in_10_s(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {webhookServiceName: hooks, webhookSecretName: hooks-cert}}")
    await register_without_bundle(client)
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    # complete files are in --cert-dir as well, and lose
    async with working(client, credentials, tmp_path, *flags):
        await until_ready(health)
        content = await stored(client, "hooks-cert")
        assert set(content) == {"ca.crt", "tls.crt", "tls.key"}
        assert await bundles(client) == [content["ca.crt"]] * 3
        pair = as_pair(content)
        assert "hooks.kubeflow.svc" in names_of(pair)
        assert await dial(("127.0.0.1", port), verifier_of(pair, "hooks.kubeflow.svc")) is None
        assert await dial(("127.0.0.1", port), verifier_of(pair, "katib-controller.kubeflow.svc")) is not None
        wiped = [{"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]
        await client.patch(HOOKS["MutatingWebhookConfiguration"], "", "katib.kubeflow.org", wiped)
        assert b"" in await bundles(client)
        await until(lambda: all_are(client, content["ca.crt"]), seconds=10)
    await remove(client, SECRETS, CORE, "hooks-cert")


OPENSSL = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -set_serial 0 \\
  -subj /O=katib/CN=katib-ca -addext subjectAltName=DNS:katib-ca
echo "subjectAltName=DNS:katib-controller.kubeflow.svc" > names
openssl req -newkey rsa:2048 -nodes -keyout pkcs8.key -out csr -subj /CN=katib-controller.kubeflow.svc
openssl rsa -in pkcs8.key -traditional -out tls.key
openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -set_serial 1 -days 365 -extfile names -out tls.crt
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl gives the serial number 0")
async def test_the_certificate_that_katib_made_is_served_as_it_is(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    subprocess.run(["sh", "-ec", OPENSSL], cwd=tmp_path, check=True, capture_output=True)
    katibs = {name: (tmp_path / name).read_bytes() for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")}
    data = {key: b64encode(value).decode() for key, value in katibs.items()}
    await ensure(client, SECRETS, {"metadata": {"name": "katibs-cert", "namespace": CORE}, "data": data})
    await register_without_bundle(client)
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {webhookSecretName: katibs-cert}}")
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, credentials, tmp_path, *flags):
        await until_ready(health)
        assert await stored(client, "katibs-cert") == katibs
        assert await bundles(client) == [katibs["ca.crt"]] * 3
    await remove(client, SECRETS, CORE, "katibs-cert")


async def all_are(client: Client, bundle: bytes) -> bool:
    return await bundles(client) == [bundle] * 3


def as_pair(content: dict[str, bytes]) -> Pair:
    return read_pair(content["tls.crt"], content["tls.key"], content["ca.crt"], now=datetime.now(UTC))


async def until_ready(port: int, path: str = "/readyz?verbose") -> None:
    async def ready() -> bool:
        return (await readiness(port, path)).startswith("200")

    await until(ready)


async def readiness(port: int, path: str = "/readyz?verbose") -> str:
    try:
        answer = await get(port, path)
    except OSError as refused:
        return str(refused)
    return f"{answer.status} {answer.body.decode()}"


async def install_katib(client: Client) -> str:
    """Katib's Deployment with a pod that is ready though no node runs it; the pod's name."""
    labels = {"katib.kubeflow.org/component": "controller"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": NAME, "image": KATIB}], "automountServiceAccountToken": False},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    await ensure(client, DEPLOYMENTS, {"metadata": {"name": NAME, "namespace": CORE}, "spec": spec})

    async def made() -> Any:
        page = await client.request(
            "GET", Pod.resource.path(CORE), query={"labelSelector": "katib.kubeflow.org/component=controller"}
        )
        return [
            each["metadata"]["name"]
            for each in page["items"]
            if not each["metadata"].get("deletionTimestamp")
        ]

    (name,) = await until(made)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await client.patch(
        Pod.resource,
        CORE,
        name,
        {"status": {"conditions": [ready], "phase": "Running"}},
        subresource="status",
    )

    async def available() -> bool:
        found = await client.get_document(DEPLOYMENTS, CORE, NAME)
        return bool(found.get("status", {}).get("availableReplicas"))

    await until(available)
    return str(name)


async def test_another_controller_is_left_alone_until_it_is_scaled_down(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {webhookSecretName: waiting-cert}}")
    await register_without_bundle(client)
    await install_katib(client)
    experiment = manifest("theirs", most=1, parallel=1)
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, credentials, tmp_path, *flags) as platform:
        try:
            await until(lambda: says(health, "[-]foreign-controller failed: Deployment kubeflow/"))
            assert platform.metrics.registry.get_sample_value("kfx_foreign_controller") == 1
            with pytest.raises(ApiError, match="failed calling webhook"):
                await client.create(Experiment.resource, experiment)
            assert await bundles(client) == [b""] * 3
            assert await stored(client, "waiting-cert") == {}
            await client.patch(DEPLOYMENTS, CORE, NAME, {"spec": {"replicas": 0}})
            await until_ready(health)
            assert platform.metrics.registry.get_sample_value("kfx_foreign_controller") == 0
            assert await bundles(client) == [(await stored(client, "waiting-cert"))["ca.crt"]] * 3
            for resource in WEBHOOK_CONFIGURATIONS:
                await remove(client, resource, "", "katib.kubeflow.org")
            await until(lambda: created(client, experiment))
            await until(lambda: exists(client, Suggestion.resource, "theirs"))
        finally:
            await remove(client, Experiment.resource, "default", "theirs")
            await remove(client, SECRETS, CORE, "waiting-cert")


async def says(port: int, text: str) -> bool:
    return text in await readiness(port)


async def created(client: Client, experiment: dict[str, Any]) -> bool:
    """The API server calls a webhook that is gone for a moment still."""
    try:
        await client.create(Experiment.resource, experiment)
    except ApiError as failed:
        if "failed calling webhook" not in failed.message:
            raise
        return False
    return True


async def exists(client: Client, resource: Resource, name: str) -> bool:
    try:
        await client.get_document(resource, "default", name)
    except NotFound:
        return False
    return True


async def waits(client: Client, **own: Any) -> bool:
    """Whether a process that is ``own`` is held back by what the API server has now."""
    gauge = foreign_gauge(CollectorRegistry())
    foreign = ForeignController(
        client, namespace=CORE, own=Self(image=str(own.pop("image", "example.org/kfx")), **own), gauge=gauge
    )

    async def decided() -> str | None:
        reason = foreign.check()
        return reason if reason is None or "runs another" in reason else ""

    async with foreign.running(), asyncio.timeout(30):
        while (reason := await decided()) == "":
            await asyncio.sleep(0.05)
    return reason is not None


async def test_a_pod_of_the_deployment_and_whoever_shares_its_lease_need_not_wait(client: Client) -> None:
    pod = await install_katib(client)
    lease = Request(CORE, "shared-with-katib")
    assert await waits(client)
    assert await waits(client, pod=Request(CORE, "some-node"), lease=lease)
    assert not await waits(client, image=KATIB)
    assert not await waits(client, pod=Request(CORE, pod))
    metadata = {"name": lease.name, "namespace": CORE}
    await ensure(client, LEASES, {"metadata": metadata, "spec": {"holderIdentity": f"{pod}_1234"}})
    assert await waits(client)
    assert not await waits(client, lease=lease)
    await remove(client, LEASES, CORE, lease.name)


async def apply_roles(client: Client, folder: Path) -> None:
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        if path.name == "kustomization.yaml":
            continue
        kind = document["kind"]
        everywhere = kind.startswith("ClusterRole")
        resource = replace(guess_resource(document["apiVersion"], kind), namespaced=not everywhere)
        namespace = CORE if resource.namespaced else ""
        document["metadata"] = {"name": document["metadata"]["name"], "namespace": namespace}
        await remove(client, resource, namespace, document["metadata"]["name"])
        await client.create(resource, document)


@pytest.mark.parametrize("roles", ["rbac", "rbac/katib"])
async def test_the_rights_of_either_role_do_for_certificates_and_the_look_at_others(
    cluster: Layout, client: Client, tmp_path: Path, roles: str
) -> None:
    await apply_roles(client, CONFIG / roles)
    await ensure(client, SECRETS, {"metadata": {"name": "katib-webhook-cert", "namespace": CORE}})
    await register_without_bundle(client)
    kubeconfig = tmp_path / "kubeconfig"
    tokens.write_token_kubeconfig(cluster, namespace=CORE, service_account=NAME, file=kubeconfig)
    (tmp_path / "katib-config.yaml").write_text("init: {certGenerator: {enable: true}}")
    health, port = free_ports(2)
    flags = (
        f"--katib-config={tmp_path / 'katib-config.yaml'}",
        f"--healthz-addr=127.0.0.1:{health}",
        f"--webhook-port={port}",
        "--trial-resources=Job.v1.batch",
    )
    credentials = load_credentials(str(kubeconfig))
    with capture_logs() as lines:
        async with working(client, credentials, tmp_path, *flags):
            for check in ("foreign-controller", "certificates"):
                await until_ready(health, f"/readyz/{check}")
            content = await stored(client, "katib-webhook-cert")
            assert await bundles(client) == [content["ca.crt"]] * 3
    # Katib's role does not let pods be followed, which is not what is asked here
    assert [line for line in lines if "grant" in str(line) and line.get("resource") != "pods"] == []
    pod = await install_katib(client)
    async with Client.connect(credentials, user_agent="test") as limited:
        assert await waits(limited)
        assert not await waits(limited, pod=Request(CORE, pod))
    await remove(client, SECRETS, CORE, "katib-webhook-cert")
