"""Changes into the store, events to the listeners. From here to the queued key nothing waits."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from kfx.kube.model import KubeObject, Unreadable
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import Change, Dropped, Listed, ListEnd, Put, Reflector, is_older
from kfx.runtime.store import Store

T = TypeVar("T", bound=KubeObject)


class Informer(Generic[T]):
    """Keeps a store in step with the server and tells listeners what changed.

    Every object's events come in order; across objects none is promised. States in between may be
    missed, and a deletion with a re-creation may come as one update with another uid.

    What was known of an object that does not decode any more stays, since acting on an old state is safer
    than acting on a seeming deletion; beside it stands what can be read of the new one.
    """

    def __init__(self, reflector: Reflector[T], store: Store[T]) -> None:
        self.synced = asyncio.Event()
        self.store = store
        self.reflector = reflector
        self._listeners: list[Callable[[Event[T]], None]] = []
        self._concerned: list[Callable[[Event[Unreadable]], None]] = []

    def on_event(self, listener: Callable[[Event[T]], None]) -> None:
        """Tell ``listener`` of every change, and a late one of what is there; it must not wait or raise."""
        self._listeners.append(listener)
        for obj in self.store.all():
            listener(Event(None, obj, listed=True))

    def on_unreadable(self, listener: Callable[[Event[Unreadable]], None]) -> None:
        """As :meth:`on_event`, for objects whose newest state does not decode; nobody else is told."""
        self._concerned.append(listener)
        for obj in self.store.all_unreadable():
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
                    self._forget(key, None, listed=True)
                self.store.problem = self.reflector.problem
                self.synced.set()

    def _put(self, obj: T | Unreadable, *, listed: bool = False) -> None:
        """Store first, listeners after: whoever is told can already read it."""
        if not listed and self._knows(obj):
            return
        if isinstance(obj, Unreadable):
            self._tell_concerned(self.store.put_unreadable(obj, listed=listed))
        else:
            self._tell(self.store.put(obj, listed=listed))

    def _drop(self, key: Request, last: T | None, version: str) -> None:
        known = self._held(key)
        if known is not None and is_older(version, known.metadata.resource_version):
            return
        self._forget(key, last)

    def _forget(self, key: Request, last: T | None, *, listed: bool = False) -> None:
        stood_in = self.store.drop_unreadable(key, listed=listed)
        self._tell(self.store.drop(key, last, listed=listed))
        self._tell_concerned(stood_in)

    def _knows(self, obj: KubeObject) -> bool:
        """A server may repeat an event, or send one that a list has overtaken."""
        known = self._held(Request(obj.metadata.namespace, obj.metadata.name))
        if known is None:
            return False
        held, sent = known.metadata.resource_version, obj.metadata.resource_version
        return held == sent or is_older(sent, held)

    def _held(self, key: Request) -> KubeObject | None:
        """The newest state that is known."""
        return self.store.unreadable(key) or self.store.get(key)

    def _tell(self, event: Event[T] | None) -> None:
        if event is not None:
            for listener in self._listeners:
                listener(event)

    def _tell_concerned(self, event: Event[Unreadable] | None) -> None:
        if event is not None:
            for listener in self._concerned:
                listener(event)
