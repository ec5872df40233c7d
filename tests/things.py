"""A small kind, and a server that plays back what it is told, for the tests of the read path."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from kfx.kube.decode import decoder_for, strict
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.model import KubeObject, Model
from kfx.kube.resource import Resource
from kfx.runtime.informer import Informer
from kfx.runtime.metrics import InformerMetrics, RuntimeMetrics
from kfx.runtime.reflector import Reflector
from kfx.runtime.store import Store


class ThingSpec(Model, kw_only=True):
    """``group`` is what things are indexed by."""

    group: str = ""


class Thing(KubeObject, kw_only=True):
    """An object with one field."""

    resource: ClassVar[Resource] = Resource("example.org", "v1", "things", "Thing")
    spec: ThingSpec = ThingSpec()


def raw(name: str, version: int | str, *, group: str = "", **metadata: Any) -> bytes:
    """A Thing as the server writes it."""
    found = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        **metadata,
    }
    return json.dumps({"metadata": found, "spec": {"group": group}}).encode()


def stray(name: str, version: int | str) -> bytes:
    """An object of another kind, by mistake among Things."""
    return b'{"kind":"Gadget",' + raw(name, version)[1:]


def thing(name: str, version: int | str = 1, *, group: str = "", **metadata: Any) -> Thing:
    """A Thing as it is read."""
    return decoder_for(Thing)(raw(name, version, group=group, **metadata))


def event(kind: str, name: str, version: int | str, **more: Any) -> WatchMessage:
    """One line of a watch."""
    return WatchMessage(kind, raw(name, version, **more))


def end_of_list(version: int) -> WatchMessage:
    """The bookmark that ends a streamed list."""
    return event("BOOKMARK", "", version, annotations={"k8s.io/initial-events-end": "true"})


FOREVER = "forever"

Script = list[Any]
"""Messages, exceptions, numbers (seconds of silence), or ``FOREVER``."""


async def play(script: Script) -> AsyncGenerator[WatchMessage, None]:
    """The messages of a script, in its time."""
    for step in script:
        if step == FOREVER:
            await asyncio.Event().wait()
        elif isinstance(step, Exception):
            raise step
        elif isinstance(step, int | float):
            await asyncio.sleep(step)
        else:
            yield step


class Scripted:
    """Answers each list with the next of ``lists`` and each watch with the next of ``watches``.

    ``asked`` tells what was asked for, and at which second.
    """

    def __init__(self, *, lists: list[Page | Exception], watches: list[Script]) -> None:
        self.lists, self.watches = list(lists), list(watches)
        self.asked: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.asked.append((what, asyncio.get_running_loop().time()))

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        self.note(f"list {continue_token}".strip())
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        self.note(f"watch {since}")
        async for message in play(self.watches.pop(0) if self.watches else [FOREVER]):
            yield message

    async def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        self.note("stream")
        async for message in play(self.watches.pop(0) if self.watches else [FOREVER]):
            yield message

    async def reachable(self) -> None:
        await asyncio.Event().wait()


def reflector_of(server: Any, *, metrics: InformerMetrics | None = None, **options: Any) -> Reflector[Thing]:
    """A reflector of Things."""
    found = metrics or RuntimeMetrics().informer("things.example.org")
    decode = strict(decoder_for(Thing), Thing.resource, kind="Thing", api_version="example.org/v1")
    return Reflector(Thing.resource, server, decode, metrics=found, **options)


def informer_of(server: Any, **options: Any) -> Informer[Thing]:
    """An informer of Things, indexed by group."""
    store: Store[Thing] = Store({"group": lambda found: (found.spec.group,)})
    return Informer(reflector_of(server, **options), store)
