"""Which keys an event concerns. Handlers compute; the watch does the enqueueing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from kfx.kube.model import KubeObject
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request


class EventHandler(Protocol):
    """From an event to the keys to look at; pure, and must not raise."""

    def requests(self, event: Event[Any]) -> Iterable[Request]: ...


@dataclass(frozen=True, slots=True)
class EnqueueRequestForObject:
    """The object itself."""

    def requests(self, event: Event[KubeObject]) -> Iterable[Request]:
        metadata = event.obj.metadata
        return (Request(metadata.namespace, metadata.name),)


@dataclass(frozen=True, slots=True)
class EnqueueRequestForOwner:
    """The owners of one group and kind, in any version, before and after the change.

    By default only the controlling owner counts. ``namespaced`` is False for owners that live in no
    namespace.
    """

    group: str
    kind: str
    controller_only: bool = True
    namespaced: bool = True

    def requests(self, event: Event[KubeObject]) -> Iterable[Request]:
        found: dict[Request, None] = {}
        for obj in (event.old, event.new):
            if obj is None:
                continue
            namespace = obj.metadata.namespace if self.namespaced else ""
            for owner in obj.metadata.owner_references or ():
                if (
                    owner.kind == self.kind
                    and _group(owner.api_version) == self.group
                    and (owner.controller or not self.controller_only)
                ):
                    found[Request(namespace, owner.name)] = None
        return found


def takes_unreadable(handler: "EventHandler") -> bool:
    """Whether it is told, too, of objects of which hardly more than the metadata can be read.

    Those that look at metadata alone are, and whoever says so with an attribute ``takes_unreadable``.
    """
    simple = isinstance(handler, EnqueueRequestForObject | EnqueueRequestForOwner)
    return simple or getattr(handler, "takes_unreadable", False) is True


@dataclass(frozen=True, slots=True)
class EnqueueRequestsFromMapFunc:
    """Whatever ``func`` names for the state before and the state after the change."""

    func: Callable[[Any], Iterable[Request]]

    def requests(self, event: Event[KubeObject]) -> Iterable[Request]:
        return {
            request: None for obj in (event.old, event.new) if obj is not None for request in self.func(obj)
        }


def _group(api_version: str) -> str:
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""
