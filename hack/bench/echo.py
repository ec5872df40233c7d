"""Custom resources answered by a ConfigMap and a status: how many a second, how soon, at what cost."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.bench.contender import PEERS, Contender, build_go_peer, install_kopf
from hack.bench.operators.echo import CONFIG_MAPS, Echo
from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import ApiError
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event

INDEX = 240
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
NAMESPACE, PARALLEL, RATE = "default", 32, 50
WARM_UP = 100  # objects before the clock starts: a new API server is slow at first
LIMIT = 300.0  # seconds for one contender


@dataclass(frozen=True, slots=True)
class Result:
    """Objects a second in a burst, with CPU seconds and peak MiB; milliseconds at 50 objects a second."""

    name: str
    per_second: float
    cpu_seconds: float
    peak_mib: float
    p50: float
    p99: float


def contenders() -> list[Contender]:
    """kfx and its peers."""
    go, kopf = str(build_go_peer()), str(install_kopf())
    return [
        Contender("kfx", (sys.executable, "-m", "hack.bench.operators.echo", "{}", "32")),
        Contender("controller-runtime, 32 workers", (go, "echo", "{}", "32")),
        Contender("controller-runtime, 1 worker", (go, "echo", "{}", "1")),
        Contender("kopf", (kopf, str(PEERS / "kopf" / "echo.py"), "{}")),
    ]


async def measure(count: int, paced: int) -> list[Result]:
    """All contenders, each on an API server of its own, and a bare client doing the same writes."""
    results = [await _bare(count)]
    for contender in contenders():
        with _cluster() as layout:
            log = cache_dir() / "bench" / f"{contender.name.partition(',')[0]}.log"
            async with _client(layout) as client, asyncio.timeout(LIMIT):
                await _define(client)
                with contender.running(str(layout.kubeconfig), log=log) as cost:
                    results.append(await _measure_one(contender.name, client, cost, count, paced))
    return results


async def _measure_one(name: str, client: Client, cost: Any, count: int, paced: int) -> Result:
    async with _done(client) as done:
        await _in_parallel(WARM_UP, lambda n: _echo(client, f"warm-{n}"))
        await done.wait_for(WARM_UP)
        before, began = cost.cpu_seconds, time.perf_counter()
        await _in_parallel(count, lambda n: _echo(client, f"burst-{n}"))
        await done.wait_for(count + WARM_UP)
        seconds = time.perf_counter() - began
        cpu = cost.cpu_seconds - before
        delays = await _pace(client, done, paced)
    return Result(name, count / seconds, cpu, cost.peak_mib, _quantile(delays, 0.5), _quantile(delays, 0.99))


async def _pace(client: Client, done: "_Done", count: int) -> list[float]:
    """Milliseconds from an object's being stored to the news of its status."""
    stored: dict[str, float] = {}

    async def one(number: int) -> None:
        await asyncio.sleep(number / RATE)
        await _echo(client, f"paced-{number}")
        stored[f"paced-{number}"] = time.perf_counter()

    already = len(done.at)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    await done.wait_for(already + count)
    return sorted(max(0.0, done.at[name] - at) * 1000 for name, at in stored.items())


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass
class _Done:
    """When each Echo was seen to be done."""

    at: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, event: Event[Echo]) -> None:
        if event.new is not None and event.new.status.done:
            self.at.setdefault(event.new.metadata.name, time.perf_counter())
            self.changed.set()

    async def wait_for(self, count: int) -> None:
        while len(self.at) < count:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def _done(client: Client) -> AsyncIterator[_Done]:
    cache, done = Cache(client), _Done()
    cache.informer(Echo)
    next(iter(cache._informers.values())).on_event(done.hear)
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        yield done


async def _bare(count: int) -> Result:
    """The three writes of each object by one client, and nothing else."""

    async def writes(number: int) -> None:
        name = f"bare-{number + WARM_UP}"
        await _echo(client, name)
        await client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {}}, namespace=NAMESPACE)
        status = {"status": {"done": True}}
        await client.patch(Echo.resource, NAMESPACE, name, status, subresource="status")

    with _cluster() as layout:
        async with _client(layout) as client:
            await _define(client)
            await _in_parallel(WARM_UP, lambda n: writes(-1 - n))
            before, began = time.process_time(), time.perf_counter()
            await _in_parallel(count, writes)
            seconds = time.perf_counter() - began
            return Result("bare client", count / seconds, time.process_time() - before, 0, 0, 0)


async def _in_parallel(count: int, work: Any) -> None:
    numbers = iter(range(count))

    async def take() -> None:
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(take())


async def _echo(client: Client, name: str) -> None:
    manifest = {
        "apiVersion": Echo.resource.api_version, "kind": "Echo",
        "metadata": {"name": name}, "spec": {"text": "x" * 64},
    }  # fmt: skip
    await client.create(Echo.resource, manifest, namespace=NAMESPACE)


@contextmanager
def _cluster() -> Iterator[Layout]:
    layout = Layout(INDEX, cache_dir(), linked=False)
    lifecycle.up(layout, lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False))
    try:
        yield layout
    finally:
        lifecycle.down(layout)


@asynccontextmanager
async def _client(layout: Layout) -> AsyncIterator[Client]:
    async with Client.connect(load_credentials(str(Path(layout.kubeconfig))), user_agent="bench") as client:
        yield client


async def _define(client: Client) -> None:
    """The kind, once it is served."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    names = {"plural": "echos", "singular": "echo", "kind": "Echo", "listKind": "EchoList"}
    manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "echos.bench.example.org"},
        "spec": {"group": "bench.example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await client.create(DEFINITIONS, manifest)
    async with asyncio.timeout(30):
        while True:
            try:
                await client.request("GET", Echo.resource.path(NAMESPACE))
            except ApiError:
                await asyncio.sleep(0.1)
            else:
                return
