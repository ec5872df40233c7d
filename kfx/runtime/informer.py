"""Changes into the store, events to the listeners. From here to the queued key nothing waits."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from kfx.kube.model import KubeObject
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import Change, Dropped, Listed, ListEnd, Put, Reflector, is_older
from kfx.runtime.store import Store

T = TypeVar("T", bound=KubeObject)


class Informer(Generic[T]):
    """Keeps a store in step with the server and tells listeners what changed.

    Every object's events come in order; across objects none is promised. States in between may be
    missed, and a deletion with a re-creation may come as one update with another uid.
    """

    def __init__(self, reflector: Reflector[T], store: Store[T]) -> None:
        self.synced = asyncio.Event()
        self.store = store
        self.reflector = reflector
        self._listeners: list[Callable[[Event[T]], None]] = []

    def on_event(self, listener: Callable[[Event[T]], None]) -> None:
        """Tell ``listener`` of every change, and a late one of what is there; it must not wait or raise."""
        self._listeners.append(listener)
        for obj in self.store.all():
            listener(Event(None, obj, listed=True))

    async def follow(self) -> None:
        """Endless; cancelled by whoever started it. An error that leaves it is a defect."""
        async with aclosing(self.reflector.changes()) as changes:
            async for change in changes:
                self._apply(change)

    def _apply(self, change: Change[T]) -> None:
        if type(change) is Put:  # nearly all are, and this is the hot path
            self._put(change.obj)
            return
        match change:
            case Dropped(key, last, version):
                self._drop(key, last, version)
            case Listed(objects):
                for obj in objects:
                    self._put(obj, listed=True)
            case ListEnd(keys):
                for key in self.store.missing_from(keys):
                    self._tell(self.store.drop(key, listed=True))
                self.synced.set()

    def _put(self, obj: T, *, listed: bool = False) -> None:
        """Store first, listeners after: whoever is told can already read it."""
        if not listed and self._knows(obj):
            return
        self._tell(self.store.put(obj, listed=listed))

    def _drop(self, key: Request, last: T | None, version: str) -> None:
        known = self.store.get(key)
        if known is not None and is_older(version, known.metadata.resource_version):
            return
        self._tell(self.store.drop(key, last))

    def _knows(self, obj: T) -> bool:
        """A server may repeat an event, or send one that a list has overtaken."""
        known = self.store.get(Request(obj.metadata.namespace, obj.metadata.name))
        if known is None:
            return False
        held, sent = known.metadata.resource_version, obj.metadata.resource_version
        return held == sent or is_older(sent, held)

    def _tell(self, event: Event[T] | None) -> None:
        if event is not None:
            for listener in self._listeners:
                listener(event)
