"""Secured /metrics of the whole process, as shipped, with tokens that a real API server has to judge."""

import asyncio
import base64
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from prometheus_client import CollectorRegistry

from hack.cluster.binaries import CONTROL_PLANE, find
from hack.cluster.layout import Layout
from hack.cluster.tokens import write_token_kubeconfig
from kfx.build import Parts, build_manager
from kfx.config import load_config
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import AlreadyExists
from kfx.kube.resource import Resource, guess_resource
from kfx.kube.transport import Transport
from kfx.runtime.access import AccessReviewer
from kfx.runtime.cert_store import SECRETS
from kfx.runtime.health import MetricsServer
from kfx.store.observations import ObservationStore
from tests.serving import Answer, get, read_answer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CONFIG = Path(__file__).resolve().parents[2] / "config"
NAMESPACE, MONITORING = "kubeflow", "default"
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SHIPPED = ["namespace/namespace.yaml"] + [
    f"{folder}/{name}.yaml"
    for folder, names in {
        "rbac": ("service_account", "cluster_role", "cluster_role_binding", "role", "role_binding"),
        "components/metrics-auth": ("reviewer_role", "reviewer_role_binding", "reader_role"),
    }.items()
    for name in names
]
READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "prometheus"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "katib-controller-metrics-reader",
    },
    "subjects": [{"kind": "ServiceAccount", "namespace": MONITORING, "name": "prometheus"}],
}


async def prepare(client: Client) -> None:
    manifests = [yaml.safe_load((CONFIG / path).read_text()) for path in SHIPPED]
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": MONITORING}}
        for name in ("prometheus", "stranger")
    ]
    for manifest in [*manifests, *accounts, READER]:
        with suppress(AlreadyExists):
            await client.create(guess_resource(manifest["apiVersion"], manifest["kind"]), manifest)


@dataclass
class Page:
    """/metrics of a running process, and how a scraper trusts it."""

    port: int
    trust: ssl.SSLContext

    async def get(self, token: str) -> Answer:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.trust, server_hostname=f"katib-controller.{NAMESPACE}.svc"
            )
            try:
                head = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
                writer.write(head.encode())
                return await read_answer(reader)
            finally:
                writer.transport.abort()


@pytest.fixture
async def page(client: Client, cluster: Layout, tmp_path: Path) -> AsyncIterator[Page]:
    """kfx with its own rights and the component's, and a certificate that it has issued itself."""
    await prepare(client)
    file = tmp_path / "kubeconfig"
    write_token_kubeconfig(cluster, namespace=NAMESPACE, service_account="katib-controller", file=file)
    credentials, port, stop = load_credentials(str(file)), free_port(), asyncio.Event()
    flags = {
        "metrics-addr": f"127.0.0.1:{port}", "metrics-secure": "true", "webhook-port": free_port(),
        "healthz-addr": 0, "db-manager-addr": 0, "cert-dir": tmp_path,
    }  # fmt: skip
    config = load_config([f"--{name}={value}" for name, value in flags.items()], {})
    async with (
        ObservationStore.open(tmp_path / "observations.db") as store,
        Transport.open(credentials) as transport,
        asyncio.TaskGroup() as group,
    ):
        parts = Parts(config, credentials, transport, store, stop)
        group.create_task(build_manager(parts).run(stop))
        try:
            yield Page(port, await trust_in_secret(client))
        finally:
            stop.set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def trust_in_secret(client: Client) -> ssl.SSLContext:
    """What a scraper trusts: ca.crt of the Secret where kfx keeps its certificate."""
    async with asyncio.timeout(30):
        while True:
            found = await client.request("GET", SECRETS.path(NAMESPACE))
            named = {secret["metadata"]["name"]: secret["data"] for secret in found["items"]}
            if "katib-webhook-cert" in named:
                break
            await asyncio.sleep(0.1)
    authority = base64.b64decode(named["katib-webhook-cert"]["ca.crt"]).decode()
    return ssl.create_default_context(cadata=authority)


async def token_of(client: Client, name: str, **spec: Any) -> str:
    path = ACCOUNTS.path(MONITORING, name, "token")
    answer = await client.request("POST", path, body={"spec": {"expirationSeconds": 600, **spec}})
    return str(answer["status"]["token"])


def signed(cluster: Layout, token: str, key: rsa.RSAPrivateKey | None = None, **claims: int) -> str:
    """``token`` with other claims, signed anew: by the cluster's own key unless told otherwise."""
    head, body, _ = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=="))
    if key is None:
        loaded = serialization.load_pem_private_key((cluster.pki / "sa.key").read_bytes(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        key = loaded
    text = f"{head}.{unpadded(json.dumps({**content, **claims}).encode())}"
    return f"{text}.{unpadded(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


async def test_the_api_server_decides_who_reads_the_metrics(
    client: Client, cluster: Layout, page: Page
) -> None:
    good = await token_of(client, "prometheus")
    scraped = await page.get(good)
    assert scraped.status == 200
    assert b"\nrest_client_requests_total{" in scraped.body
    refused = await page.get(await token_of(client, "stranger"))
    assert refused.status == 403
    assert b"system:serviceaccount:default:stranger has no right to get /metrics" in refused.body
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    bad = {
        "none": "",
        "garbage": "abc",
        "forged": signed(cluster, good, another),
        "expired": signed(cluster, good, iat=1_000_000_000, nbf=1_000_000_000, exp=1_000_000_600),
        "for somebody else": await token_of(client, "prometheus", audiences=["https://other.example.org"]),
    }
    assert {name: (await page.get(token)).status for name, token in bad.items()} == dict.fromkeys(bad, 401)
    assert (await page.get(signed(cluster, good))).status == 200, "what was expired was refused for that"


def test_the_component_turns_it_on_in_what_is_installed(cluster: Layout, tmp_path: Path) -> None:
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(CONFIG / "default", tmp_path.resolve())],
        "components": [os.path.relpath(CONFIG / "components" / "metrics-auth", tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    kubectl = find(CONTROL_PLANE, cluster.cache)["kubectl"]
    ran = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, check=True)
    found = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(ran.stdout)}
    assert ("ClusterRole", "katib-controller-metrics-reader") in found
    assert ("ClusterRoleBinding", "katib-controller-metrics-auth") in found
    (container,) = found["Deployment", "katib-controller"]["spec"]["template"]["spec"]["containers"]
    assert load_config([word for word in container["args"] if "$" not in word], {}).metrics_secure
    service = found["Service", "katib-controller"]
    assert service["metadata"]["annotations"]["prometheus.io/scheme"] == "https"


async def test_a_process_without_the_right_to_ask_lets_nobody_in(
    client: Client, cluster: Layout, tmp_path: Path
) -> None:
    await prepare(client)
    file = tmp_path / "kubeconfig"
    write_token_kubeconfig(cluster, namespace=MONITORING, service_account="stranger", file=file)
    good = await token_of(client, "prometheus")
    async with Client.connect(load_credentials(str(file)), user_agent="test") as powerless:
        server = MetricsServer("127.0.0.1:0", CollectorRegistry(), access=AccessReviewer(powerless))
        async with server.serving():
            assert server.bound is not None
            answer = await get(server.bound[1], "/metrics", [f"Authorization: Bearer {good}"])
    assert answer.status == 500
    assert b"its log names the missing right" in answer.body
