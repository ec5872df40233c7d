"""The API server of all contenders, and the objects on it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack.bench.contender import ROOT
from hack.bench.operators.echo import CONFIG_MAPS, Echo
from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir
from hack.cluster.tokens import write_token_kubeconfig
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import ApiError, TransportError
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import WorkQueue

CONFIG = ROOT / "config"
INDEX = 254  # beyond those that tests take
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NAMESPACE, PARALLEL = "bench", 32
ATTEMPTS, SETTLE = 100, 3.0


@contextmanager
def cluster(index: int = INDEX) -> Iterator[Layout]:
    """etcd, API server and controller manager for the length of the block."""
    layout = Layout(index, cache_dir(), linked=False)
    lifecycle.up(layout, lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False))
    try:
        yield layout
    finally:
        lifecycle.down(layout)


@asynccontextmanager
async def prepared(layout: Layout) -> AsyncIterator[Client]:
    """A client, once the namespace is there and the kind is served."""
    async with Client.connect(load_credentials(str(layout.kubeconfig)), user_agent="bench") as client:
        await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        await client.create(DEFINITIONS, definition())
        await served(client, Echo.resource)
        yield client


def definition() -> dict[str, Any]:
    """The kind."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    names = {"plural": "echos", "singular": "echo", "kind": "Echo", "listKind": "EchoList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "echos.bench.example.org"},
        "spec": {"group": "bench.example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def define_katib(client: Client) -> None:
    """Katib's definitions, as they are installed; return once they are served."""
    for path in sorted((CONFIG / "crd" / "bases").glob("*.yaml")):
        await client.create(DEFINITIONS, yaml.safe_load(path.read_text(encoding="utf-8")))
    for kind in (Experiment, Suggestion, Trial):
        await served(client, kind.resource)


async def give_rights(layout: Layout, client: Client, kubeconfig: Path) -> None:
    """Install kfx's ServiceAccount with its roles, and write a kubeconfig with a token of it."""
    files = [CONFIG / "namespace" / "namespace.yaml", *sorted((CONFIG / "rbac").glob("*.yaml"))]
    for path in files:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] != "Kustomization":
                await client.create(guess_resource(document["apiVersion"], document["kind"]), document)
    await asyncio.to_thread(
        write_token_kubeconfig,
        layout,
        namespace="kubeflow",
        service_account="katib-controller",
        file=kubeconfig,
    )


async def served(client: Client, resource: Resource) -> None:
    """Return once the kind can be listed; TimeoutError after ten seconds."""
    for _ in range(ATTEMPTS):
        try:
            await client.request("GET", resource.path(NAMESPACE))
        except ApiError:
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{resource} is not served")


async def make(client: Client, name: str) -> None:
    """One Echo."""
    manifest = {
        "apiVersion": Echo.resource.api_version, "kind": "Echo",
        "metadata": {"name": name}, "spec": {"text": "x" * 64},
    }  # fmt: skip
    await client.create(Echo.resource, manifest, namespace=NAMESPACE)


async def make_all(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """``work`` for each number below ``count``, some at a time."""
    numbers = iter(range(count))

    async def take() -> None:
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(take())


async def clear(client: Client) -> None:
    """Delete what a contender has left, and let the API server and the garbage collector come to rest."""
    for resource in (CONFIG_MAPS, Echo.resource):
        for _ in range(ATTEMPTS):
            try:
                await client.request("DELETE", resource.path(NAMESPACE))
                break
            except (ApiError, TransportError):
                await asyncio.sleep(1)
    for _ in range(ATTEMPTS):
        if not (await client.list_page(Echo.resource, namespace=NAMESPACE, limit=1)).items:
            await asyncio.sleep(SETTLE)
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the Echos do not go away")


@dataclass
class Done:
    """When each Echo was seen to be done, by ``time.perf_counter``."""

    at: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def requests(self, event: Event[Any]) -> Iterable[Request]:
        """Listens as an event handler, and has nothing queued."""
        if event.new is not None and event.new.status.done:
            self.at.setdefault(event.new.metadata.name, time.perf_counter())
            self.changed.set()
        return ()

    async def wait_for(self, count: int) -> None:
        """Return once so many were seen."""
        while len(self.at) < count:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[Done]:
    """Hears of every Echo inside the block."""
    cache, done = Cache(client), Done()
    cache.watch(Echo, done, WorkQueue[Request]())
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        yield done
