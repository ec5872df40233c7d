"""Another controller of the same objects, and the rights needed to see it and to keep certificates."""

import asyncio
import ssl
from dataclasses import replace
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
from kfx.controllers.foreign import ForeignController, Self, foreign_gauge
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import ApiError, NotFound
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from kfx.runtime.reconcile import Request
from tests.cluster.installation import (
    CORE,
    DEPLOYMENTS,
    NAME,
    bundles,
    ensure,
    free_ports,
    prepared_client,
    readiness,
    register_without_bundle,
    remove,
    stored,
    until,
    until_ready,
)
from tests.cluster.katib import manifest, working
from tests.cluster.test_webhooks import CONFIG

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

KATIB = "example.org/katib-controller:v0.19.0"


client = pytest.fixture(prepared_client)


async def install_katib(client: Client) -> str:
    """Katib's Deployment with a pod that is ready though no node runs it; the pod's name."""
    labels = {"katib.kubeflow.org/component": "controller"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": NAME, "image": KATIB}], "automountServiceAccountToken": False},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    await ensure(client, DEPLOYMENTS, NAME, CORE, spec=spec)

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
            await shake_hands(port)
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


async def shake_hands(port: int) -> None:
    """Whatever the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.transport.abort()


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
    await ensure(client, LEASES, lease.name, CORE, spec={"holderIdentity": f"{pod}_1234"})
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
    await ensure(client, SECRETS, "katib-webhook-cert", CORE)
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
