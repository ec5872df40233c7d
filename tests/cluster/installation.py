"""What the tests of a whole installation share: objects, the process's probes, and what it wrote."""

import asyncio
import socket
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import yaml

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import AlreadyExists, NotFound
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from tests.cluster.test_webhooks import CONFIG, HOOKS, prepare
from tests.serving import get

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CORE, NAME = "kubeflow", "katib-controller"


@asynccontextmanager
async def prepared(credentials: Credentials) -> AsyncIterator[Client]:
    """A client of an API server that knows Katib's kinds; what an installation made is gone afterwards."""
    async with Client.connect(credentials, user_agent="test") as client:
        await prepare(client)
        await ensure(client, NAMESPACES, CORE)
        yield client
        for resource in WEBHOOK_CONFIGURATIONS:
            await remove(client, resource, "", "katib.kubeflow.org")
        await remove(client, CONFIG_MAPS, CORE, "katib-config")
        await remove(client, DEPLOYMENTS, CORE, NAME)


async def prepared_client(credentials: Credentials) -> AsyncIterator[Client]:
    """To be made a module's fixture ``client``."""
    async with prepared(credentials) as client:
        yield client


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def ensure(client: Client, resource: Resource, name: str, namespace: str = "", **fields: Any) -> None:
    """Make it unless it is there."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
    try:
        await client.create(resource, manifest)
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
