"""Tells an object's owner, by an event, why its reconcile failed."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from kfx.katib.katib_config import KatibConfigError
from kfx.kube.errors import ApiError, Forbidden, TransportError
from kfx.kube.model import KubeObject
from kfx.runtime.controller import COME_AGAIN, OutOfTime, leaves
from kfx.runtime.plan import Note
from kfx.runtime.reconcile import Request, TerminalError
from kfx.runtime.store import Lister
from kfx.store.errors import StoreError

T = TypeVar("T", bound=KubeObject)

REASON = "ReconcileError"
PREFIX = "Failed to reconcile: "
_PASSING = (*COME_AGAIN, TransportError)
_SPOKEN = (ApiError, TerminalError, OutOfTime, StoreError, KatibConfigError)


class Recorder(Protocol):
    """Where notes go; never waits."""

    def note(self, owner: KubeObject, note: Note) -> None: ...


class FailureReporter(Generic[T]):
    """A controller's ``report``: one Warning for a failed reconcile, with Katib's reason and text.

    Nothing is said of what passes by itself, of a server that cannot be reached, which would not take the
    event either, and of a namespace that is going away, which takes none. ``prefix``: Katib's suggestion
    controller has none.
    """

    def __init__(self, objects: Lister[T], recorder: Recorder, *, prefix: str = PREFIX) -> None:
        self._objects = objects
        self._prefix = prefix
        self._recorder = recorder

    def __call__(self, request: Request, error: Exception) -> None:
        obj = self._objects.get(request) or self._objects.unreadable(request)
        text = "; ".join(_speak(error))
        if obj is not None and text:
            self._recorder.note(obj, Note("Warning", REASON, f"{self._prefix}{text}"))


def _speak(error: Exception) -> Iterator[str]:
    """The texts of the causes; of an unforeseen one only its type, as its text may hold anything."""
    for cause in leaves(error):
        if isinstance(cause, _PASSING) or is_namespace_ending(cause):
            continue
        yield str(cause) if isinstance(cause, _SPOKEN) else f"unforeseen {type(cause).__name__}, see the log"


def is_namespace_ending(error: BaseException) -> bool:
    """Whether nothing is made in the namespace any more. (Admission plugin NamespaceLifecycle.)"""
    if not isinstance(error, ApiError):
        return False
    gone = error.status == 404 and error.message.startswith('namespaces "')
    return gone or (isinstance(error, Forbidden) and "because it is being terminated" in error.message)
