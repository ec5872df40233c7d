"""Katib's installation on a control plane without a node, piece by piece, and kfx asked about it."""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.layout import Layout
from hack.cluster.tokens import write_token_kubeconfig
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.commands.platform_facts import ENDPOINT_SLICES, LEASE, SERVICES
from kfx.katib.names import CERTIFICATE_SECRET, LABEL_INJECTION, SERVICE, WEBHOOK_CONFIGURATION
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import AlreadyExists, NotFound
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from tests.cluster.katib import NAMESPACE, manifest
from tests.serving import new_pair

CONFIG = Path(__file__).resolve().parents[2] / "config"
CORE = "kubeflow"
COLLECTOR = "metrics-logger-and-collector"
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
KATIB = (Experiment, Suggestion, Trial)


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Ask = Callable[..., Awaitable[Answer]]
"""``kfx WORDS`` as somebody calls it."""


async def ask(kubeconfig: Path, *words: str) -> Answer:
    """``kfx WORDS`` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kfx", *words, "--kubeconfig", str(kubeconfig),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return Answer(process.returncode or 0, out.decode(), err.decode())


async def ensure(client: Client, resource: Resource, manifest: dict[str, Any], namespace: str = "") -> None:
    """It is there, as ``manifest`` says or as it was before."""
    with suppress(AlreadyExists):
        await client.create(resource, manifest, namespace=namespace)


async def grant_rights(client: Client, folder: Path = CONFIG / "rbac") -> None:
    """Make the account and the rights that a folder of ``config`` describes."""
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            for document in yaml.safe_load_all(path.read_text()):
                await ensure(client, guess_resource(document["apiVersion"], document["kind"]), document)


def account_of_kfx(layout: Layout, folder: Path) -> Credentials:
    """Those of ServiceAccount kubeflow/katib-controller, by a token in a kubeconfig of ``folder``."""
    file = folder / "kubeconfig"
    write_token_kubeconfig(layout, namespace=CORE, service_account="katib-controller", file=file)
    return load_credentials(str(file))


async def install_definitions(client: Client) -> None:
    for path in sorted((CONFIG / "crd" / "bases").glob("*.yaml")):
        await ensure(client, DEFINITIONS, yaml.safe_load(path.read_text()))
    async with asyncio.timeout(30):
        for kind in KATIB:
            while not await is_served(client, kind.resource):
                await asyncio.sleep(0.1)


async def is_served(client: Client, resource: Resource) -> bool:
    try:
        await client.request("GET", resource.path("default"))
    except NotFound:
        return False
    return True


async def label(client: Client, value: str | None, namespace: str = "default") -> None:
    await client.patch(NAMESPACES, "", namespace, {"metadata": {"labels": {LABEL_INJECTION: value}}})


async def install_webhooks(client: Client, *, ready: bool = True) -> None:
    """With a Service, its endpoint and a certificate that fits; nobody listens, and nobody minds."""
    pair = new_pair()
    await ensure(client, NAMESPACES, {"metadata": {"name": CORE}})
    data = {"tls.crt": b64encode(pair.cert_pem).decode(), "tls.key": b64encode(pair.key_pem).decode()}
    await ensure(client, SECRETS, {"metadata": {"name": CERTIFICATE_SECRET}, "data": data}, CORE)
    service = {"metadata": {"name": SERVICE}, "spec": {"ports": [{"port": 443}]}}
    await ensure(client, SERVICES, service, CORE)
    endpoints = {
        "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.99.0.1"], "conditions": {"ready": ready}}],
        "ports": [{"port": 8443}],
    }
    await ensure(client, ENDPOINT_SLICES, endpoints, CORE)
    kinds = {resource.kind: resource for resource in WEBHOOK_CONFIGURATIONS}
    for document in yaml.safe_load_all((CONFIG / "webhook" / "manifests.yaml").read_text()):
        for hook in document["webhooks"]:
            hook["clientConfig"]["caBundle"] = b64encode(pair.authorities[0]).decode()
            hook["failurePolicy"] = "Ignore"
            hook["timeoutSeconds"] = 1
        await ensure(client, kinds[document["kind"]], document)


async def remove_webhooks(client: Client) -> None:
    for resource in WEBHOOK_CONFIGURATIONS:
        await forget(client, resource, WEBHOOK_CONFIGURATION)
    for resource, name in ((SECRETS, CERTIFICATE_SECRET), (SERVICES, SERVICE), (ENDPOINT_SLICES, SERVICE)):
        await forget(client, resource, name, CORE)


async def forget(client: Client, resource: Resource, name: str, namespace: str = "") -> None:
    with suppress(NotFound):
        await client.delete(resource, namespace, name)


async def lead(client: Client, *, ago: float = 0, holder: str = "kfx-1_test", namespace: str = CORE) -> None:
    """The Lease as a leader has left it that many seconds ago."""
    await ensure(client, NAMESPACES, {"metadata": {"name": namespace}})
    await forget(client, LEASES, LEASE, namespace)
    renewed = f"{datetime.now(UTC) - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}
    await client.create(LEASES, {"metadata": {"name": LEASE}, "spec": spec}, namespace=namespace)


async def set_pod(client: Client, name: str, status: dict[str, Any], namespace: str = "default") -> None:
    """The kubelet's or the scheduler's part."""
    await client.patch(Pod.resource, namespace, name, {"status": status}, subresource="status")


def container(name: str, **state: Any) -> dict[str, Any]:
    """An entry of ``status.containerStatuses``."""
    entry = {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    return entry | {"state": state}


def trial_pod(
    trial: str, containers: Sequence[str] = ("train", "metrics-logger-and-collector")
) -> dict[str, Any]:
    """As the webhook would have left it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": trial, "labels": {"katib.kubeflow.org/trial": trial}},
        "spec": {"containers": [{"name": name, "image": "example.org/train"} for name in containers]},
    }


async def create(client: Client, name: str, **changes: Any) -> None:
    await client.create(Experiment.resource, manifest(name, **changes), namespace=NAMESPACE)


def flat(text: str) -> str:
    """Without the line breaks that a terminal's width has made."""
    return " ".join(text.split())
