"""From one kind's events to one controller's queue."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kfx.kube.model import Unreadable
from kfx.runtime.event import Event
from kfx.runtime.handler import EventHandler
from kfx.runtime.predicate import Predicate, resource_version_changed
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import LOW, NORMAL, Priority


class RequestQueue(Protocol):
    """The side of a work queue on which keys are put in."""

    def add(self, item: Request, *, priority: Priority = Priority.NORMAL) -> None: ...


class DelayingQueue(Protocol):
    """A queue that can be asked to wait."""

    def add_after(self, item: Request, delay: float, *, priority: Priority = Priority.NORMAL) -> None: ...


@dataclass(frozen=True, slots=True)
class Gathering:
    """Lets a key wait for ``seconds`` of it: whatever else concerns it in that time costs no further look."""

    queue: DelayingQueue
    seconds: Callable[[Request], float]

    def add(self, item: Request, *, priority: Priority = Priority.NORMAL) -> None:
        self.queue.add_after(item, self.seconds(item), priority=priority)


@dataclass(frozen=True, slots=True)
class Watch:
    """A predicate, a handler and the queue behind them."""

    handler: EventHandler
    queue: RequestQueue
    predicate: Predicate = resource_version_changed

    def offer(self, event: Event[Any]) -> None:
        """Queue what the event concerns; what a first list brought waits behind fresh changes."""
        if not self.predicate(event):
            return
        priority = LOW if event.listed and event.old is None else NORMAL
        for request in self.handler.requests(event):
            self.queue.add(request, priority=priority)

    def offer_unreadable(self, event: Event[Unreadable]) -> None:
        """As :meth:`offer`, past the predicate, which may look at what cannot be read."""
        for request in self.handler.requests(event):
            self.queue.add(request)
