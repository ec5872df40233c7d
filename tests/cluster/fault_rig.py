"""A cache and a client behind the proxy of faults, and what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event
from tests.cluster.fault_proxy import FaultProxy, fault_proxy

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
WATCH = r"configmaps\?watch=true.*resourceVersion=\d"
STREAM = "sendInitialEvents=true"
_NUMBERS = count()


@dataclass
class Rig:
    """A cache behind the proxy, and a client that reaches the server past it."""

    direct: Client
    client: Client
    proxy: FaultProxy
    namespace: str
    told: list[tuple[str, str]] = field(default_factory=list)

    async def put(self, *names: str, text: str = "x") -> None:
        for name in names:
            manifest = {"metadata": {"name": name, "labels": {"app": "test"}}, "data": {"text": text}}
            await self.direct.create(CONFIG_MAPS, manifest, namespace=self.namespace)

    async def drop(self, *names: str) -> None:
        for name in names:
            await self.direct.delete(CONFIG_MAPS, self.namespace, name)

    def hear(self, event: Event[Any]) -> None:
        kind = "gone" if event.new is None else "came" if event.old is None else "changed"
        self.told.append((kind, event.obj.metadata.name))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Callable[[], set[str]]]:
        """The names in the cache."""
        cache = Cache(self.client)
        lister = cache.dynamic(CONFIG_MAPS, namespace=self.namespace, label_selector="app=test")
        next(iter(cache._informers.values())).on_event(self.hear)
        async with cache.running():
            assert await cache.wait_for_sync(asyncio.Event())
            yield lambda: {obj.metadata.name for obj in lister.all()}


@asynccontextmanager
async def rigged(credentials: Credentials) -> AsyncIterator[Rig]:
    """A rig with a namespace of its own."""
    async with (
        fault_proxy(credentials) as proxy,
        Client.connect(credentials, user_agent="test") as direct,
        Client.connect(Credentials(proxy.url), user_agent="behind-the-proxy") as client,
    ):
        namespace = f"space-{next(_NUMBERS)}"
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await direct.create(NAMESPACES, manifest)
        yield Rig(direct, client, proxy, namespace)


async def until(true: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)
