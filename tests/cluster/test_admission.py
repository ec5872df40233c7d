"""A real API server calls the admission server, trusting what the server itself has told it to trust."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from hack.cluster import tokens
from hack.cluster.layout import Layout
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import ApiError, NotFound, TransportError
from kfx.kube.resource import Resource
from kfx.runtime import certs
from kfx.runtime.admission import AdmissionServer, Allowed, Denied
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.certs import Identity, SelfSigned
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.pki import Pair
from kfx.runtime.reconcile import Request
from tests.serving import NAME, Answering, new_pair

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
MUTATING, VALIDATING = WEBHOOK_CONFIGURATIONS
CONFIGURATION, SECRET = "test-webhooks", "webhook-cert"


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Client]:
    async with Client.connect(load_credentials(str(kubeconfig)), user_agent="test") as client:
        yield client


@pytest.fixture
async def client(cluster: Layout) -> AsyncIterator[Client]:
    async with connected(cluster.kubeconfig) as client:
        yield client
        for resource in WEBHOOK_CONFIGURATIONS:
            await remove(client, resource, "", CONFIGURATION)
        await remove(client, SECRETS, "default", SECRET)


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "POLL_INTERVAL", 0.1)
    monkeypatch.setattr(certs, "RETRY_INTERVAL", 0.1)


async def remove(client: Client, resource: Resource, namespace: str, name: str) -> None:
    try:
        await client.delete(resource, namespace, name)
    except NotFound:
        return


def source(client: Client, *, settle_time: float = 0.5) -> SelfSigned:
    return SelfSigned(
        client,
        secret=Request("default", SECRET),
        identity=Identity(
            common_name="test-ca", organization="test", dns_names=[NAME], ip_addresses=["127.0.0.1"]
        ),
        webhook_configurations=[CONFIGURATION, "does-not-exist"],
        settle_time=settle_time,
    )


@asynccontextmanager
async def serving(client: Client, handler: Answering, **options: Any) -> AsyncIterator[int]:
    """The port of an admission server that says it is ready."""
    certificates = source(client, **options)
    server = AdmissionServer(
        host="127.0.0.1",
        port=0,
        handlers=[handler],
        certificates=certificates,
        metrics=RuntimeMetrics(CollectorRegistry()),
    )
    async with server.serving():
        await until_ready(certificates)
        await until(lambda: server.ready() is None)
        yield server.bound[1]


async def until_ready(certificates: SelfSigned) -> None:
    await until(lambda: certificates.ready() is None)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def configure(client: Client, resource: Resource, port: int, *, webhooks: int = 1) -> None:
    """Webhooks for ConfigMaps labelled ``judged``; no caBundle: that is for the server to fill in."""
    hooks = [
        {
            "name": f"judge{number}.test.local",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/judge"},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                }
            ],
            "objectSelector": {"matchLabels": {"judged": "yes"}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        for number in range(webhooks)
    ]
    manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": CONFIGURATION},
        "webhooks": hooks,
    }
    await client.create(resource, manifest)


async def bundles(client: Client, resource: Resource) -> list[bytes]:
    found = await client.get_document(resource, "", CONFIGURATION)
    return [b64decode(each["clientConfig"].get("caBundle", "")) for each in found["webhooks"]]


async def until_trusted(client: Client, resource: Resource) -> bytes:
    """The bundle, once every webhook has one and the same."""
    async with asyncio.timeout(30):
        while len(found := set(await bundles(client, resource))) != 1 or b"" in found:
            await asyncio.sleep(0.05)
    return found.pop()


async def try_create(client: Client) -> dict[str, Any]:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "judged-", "namespace": "default", "labels": {"judged": "yes"}},
    }
    return await client.create(CONFIG_MAPS, manifest)


async def create_once_trusted(client: Client, handler: Answering | None = None) -> dict[str, Any]:
    """The API server takes a moment to notice a bundle; until then the call of the webhook fails.

    And one to notice a configuration: until ``handler`` has seen it, what is created is created unseen.
    """
    async with asyncio.timeout(30):
        while True:
            try:
                made = await try_create(client)
                if handler is None or handler.seen is not None:
                    return made
            except ApiError as failed:
                if "failed calling webhook" not in failed.message:
                    raise
            await asyncio.sleep(0.1)


async def stored(client: Client) -> dict[str, bytes]:
    secret = await client.get_document(SECRETS, "default", SECRET)
    return {key: b64decode(value) for key, value in secret["data"].items()}


async def store(client: Client, content: dict[str, bytes]) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": SECRET, "namespace": "default"},
        "data": {key: b64encode(value).decode() for key, value in content.items()},
    }
    await client.create(SECRETS, manifest)


async def test_a_create_is_denied_with_the_handlers_words(client: Client) -> None:
    handler = Answering(Denied("the name is not to my liking", code=422))
    async with serving(client, handler) as port:
        await configure(client, VALIDATING, port)
        with pytest.raises(ApiError) as caught:
            await create_once_trusted(client, handler)
    assert caught.value.status == 422
    assert caught.value.message == (
        'admission webhook "judge0.test.local" denied the request: the name is not to my liking'
    )
    assert handler.seen is not None
    assert handler.seen.user_info.username == "kfx-admin"
    assert handler.seen.kind.kind == "ConfigMap"


async def test_a_create_is_changed_as_the_handler_says(client: Client) -> None:
    patch = [{"op": "add", "path": "/data", "value": {"seen": "yes"}}]
    handler = Answering(Allowed(patch=patch, warnings=["looked at"]))
    async with serving(client, handler) as port:
        await configure(client, MUTATING, port)
        made = await create_once_trusted(client, handler)
    assert made["data"] == {"seen": "yes"}


async def test_a_failing_handler_fails_the_create_and_says_so(client: Client) -> None:
    handler = Answering(KeyError("inner"))
    async with serving(client, handler) as port:
        await configure(client, VALIDATING, port)
        with pytest.raises(ApiError, match=r"panic: KeyError \[recovered\]") as caught:
            await create_once_trusted(client, handler)
    assert caught.value.status == 500


async def test_every_webhook_is_given_the_bundle_and_a_wiped_one_gets_it_back(client: Client) -> None:
    async with serving(client, Answering()) as port:
        for resource in WEBHOOK_CONFIGURATIONS:
            await configure(client, resource, port, webhooks=2)
            bundle = await until_trusted(client, resource)
            assert bundle == (await stored(client))["ca.crt"]
        wiped = [{"name": "judge1.test.local", "clientConfig": {"caBundle": ""}}]
        await client.patch(
            VALIDATING,
            "",
            CONFIGURATION,
            {"webhooks": wiped},
            content_type="application/strategic-merge-patch+json",
        )
        assert await until_trusted(client, VALIDATING) == bundle
        await create_once_trusted(client)


@pytest.mark.parametrize("found", ["no secret", "an empty secret", "an old pair"])
async def test_replicas_that_start_together_agree_on_one_certificate(client: Client, found: str) -> None:
    if found == "an empty secret":
        await store(client, {})
    elif found == "an old pair":
        old = new_pair("renamed.svc", now=datetime.now(UTC))
        await store(client, {"ca.crt": old.bundle, "tls.crt": old.cert_pem, "tls.key": old.key_pem})
    replicas = [source(client) for _ in range(4)]
    async with AsyncExitStack() as running:
        for replica in replicas:
            await running.enter_async_context(replica.running())
        for replica in replicas:
            await until_ready(replica)
        served = {(await presented(replica)).cert_pem for replica in replicas}
    assert served == {(await stored(client))["tls.crt"]}


async def presented(replica: SelfSigned) -> Pair:
    assert replica._pair is not None
    return replica._pair


async def test_a_replica_that_comes_back_serves_the_stored_certificate(client: Client) -> None:
    async with serving(client, Answering()):
        before = await stored(client)
    async with serving(client, Answering()):
        assert await stored(client) == before


async def test_a_secret_that_manifests_left_empty_is_filled_and_keeps_its_kind(client: Client) -> None:
    await store(client, {"ca.key": b"left by another controller"})
    async with serving(client, Answering()):
        content = await stored(client)
    assert set(content) == {"ca.crt", "tls.crt", "tls.key"}


async def test_a_deleted_secret_comes_back_with_the_same_certificate(client: Client) -> None:
    async with serving(client, Answering()):
        before = await stored(client)
        await client.delete(SECRETS, "default", SECRET)
        async with asyncio.timeout(30):
            while await exists(client) is False:
                await asyncio.sleep(0.05)
        assert await stored(client) == before


async def exists(client: Client) -> bool:
    try:
        await stored(client)
    except NotFound:
        return False
    return True


async def test_a_renewal_refuses_nobody(client: Client) -> None:
    """K23: old and new are trusted side by side."""
    old = new_pair(NAME, now=datetime.now(UTC) - timedelta(days=250))
    await store(client, {"ca.crt": old.bundle, "tls.crt": old.cert_pem, "tls.key": old.key_pem})
    async with serving(client, Answering(), settle_time=3.0) as port:
        await configure(client, VALIDATING, port)
        await create_once_trusted(client)
        deadline = asyncio.get_running_loop().time() + 6
        while asyncio.get_running_loop().time() < deadline:
            await try_create(client)
        content = await stored(client)
        assert content["tls.crt"] != old.cert_pem
        assert content["ca.crt"].endswith(old.bundle)
        assert content["ca.crt"].count(b"BEGIN CERTIFICATE") == 2
        assert await until_trusted(client, VALIDATING) == content["ca.crt"]


async def test_a_renewed_certificate_is_served_only_after_the_bundles_have_settled(client: Client) -> None:
    old = new_pair(NAME, now=datetime.now(UTC) - timedelta(days=250))
    await store(client, {"ca.crt": old.bundle, "tls.crt": old.cert_pem, "tls.key": old.key_pem})
    patient, quick = source(client, settle_time=3600), source(client, settle_time=0)
    async with patient.running(), quick.running():
        await until_ready(patient)
        await until_ready(quick)
        renewed = (await stored(client))["tls.crt"]
        async with asyncio.timeout(30):
            while (await presented(quick)).cert_pem != renewed:
                await asyncio.sleep(0.05)
        assert (await presented(patient)).cert_pem == old.cert_pem


async def test_without_rights_on_secrets_one_replica_serves_from_memory(
    cluster: Layout, client: Client, tmp_path: Path
) -> None:
    await allow_webhook_configurations_only(client)
    kubeconfig = tmp_path / "kubeconfig"
    tokens.write_token_kubeconfig(cluster, namespace="default", service_account="default", file=kubeconfig)
    with capture_logs() as lines:
        async with connected(kubeconfig) as limited, serving(limited, Answering(Denied("no"))) as port:
            await configure(client, VALIDATING, port)
            with pytest.raises(ApiError, match="denied the request: no"):
                await create_once_trusted(client)
    assert not await exists(client)
    (said,) = [line["error"] for line in lines if "kept in memory only" in line["event"]]
    assert said == (
        f"the role grants no get on Secret default/{SECRET}; in namespace default grant the rule "
        f'{{apiGroups: [""], resources: ["secrets"], resourceNames: ["{SECRET}"], verbs: ["get", "patch"]}}'
    )


async def test_without_rights_on_webhook_configurations_it_is_not_ready_and_says_why(
    cluster: Layout, client: Client, tmp_path: Path
) -> None:
    for resource in (ROLES, BINDINGS):
        await remove(client, resource, "", "webhooks-only")
    kubeconfig = tmp_path / "kubeconfig"
    tokens.write_token_kubeconfig(cluster, namespace="default", service_account="default", file=kubeconfig)
    async with connected(kubeconfig) as limited:
        certificates = source(limited)
        async with certificates.running():
            await until(lambda: "mutatingwebhookconfigurations" in (certificates.ready() or ""))


async def allow_webhook_configurations_only(client: Client) -> None:
    api = "rbac.authorization.k8s.io"
    metadata = {"name": "webhooks-only"}
    rule = {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": [each.plural for each in WEBHOOK_CONFIGURATIONS],
        "verbs": ["get", "patch"],
    }
    await client.create(
        ROLES, {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": [rule]}
    )
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "webhooks-only"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "default"}],
    }
    await client.create(BINDINGS, binding)


async def test_an_api_server_that_is_not_there_does_not_keep_it_from_starting(
    tmp_path: Path, cluster: Layout
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.api_server, "https://127.0.0.1:9"))
    async with connected(kubeconfig) as nowhere:
        with pytest.raises(TransportError):
            await nowhere.get_document(SECRETS, "default", SECRET)
        certificates = source(nowhere)
        async with certificates.running():
            assert certificates.ready() == "no certificate yet"
            assert certificates.verifier() is None
            await until(lambda: "127.0.0.1" in (certificates.ready() or ""))
