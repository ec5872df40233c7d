"""What a reconciler is asked, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import msgspec


class Request(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """Which object to look at; deliberately nothing about why."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Result:
    """``requeue_after``: seconds until the request comes again by itself; ``None`` for not at all."""

    requeue_after: float | None = None


class TerminalError(Exception):
    """Trying again cannot help; a change to the object might."""


class StaleRead(Exception):
    """The cache has not caught up with what this process wrote, or with what others did; read again soon."""


class Reconciler(Protocol):
    """Brings the world one step closer to what the object asks for.

    Level-triggered: it is told which object, never what happened, and must find out by reading.
    Any exception is a retry with back-off, save :class:`TerminalError`.
    """

    async def reconcile(self, request: Request) -> Result: ...
