"""What one reconcile decided, as plain values. Performed by :class:`kfx.runtime.writer.Writer`.

Order of performance: finalizers, intent, create, patch, status, delete, release, notes, counts.
Creates come after the intent, which proves with its resourceVersion that the owner is what was read, and
before the status, which may only speak of what exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kfx.kube.model import KubeObject, Model
from kfx.kube.resource import Resource


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes event about the owner, posted once the writes it speaks of have succeeded.

    ``type`` is ``Normal`` or ``Warning``.
    """

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make an object whose name is fixed by what is already stored.

    ``manifest`` is complete (apiVersion, kind, metadata with name, namespace and the owner as controller).
    If the name is taken, it counts as made when its controller's uid is ``owner_uid``, else it is an error.
    ``None``: an object that nobody controls.
    """

    resource: Resource
    manifest: Mapping[str, Any]
    owner_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A JSON merge patch of another object; the server refuses it if ``target`` has changed since."""

    target: KubeObject
    changes: Mapping[str, Any]
    subresource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove exactly the object that was read (by uid). ``propagation``: Foreground, Background or "".

    ``resource_version``: only in the state that was read; the server refuses it if that has changed.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    propagation: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """One step of a counter, taken only after every write has succeeded."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one reconcile wants written; empty when the world is right.

    ``add_finalizers``: names to append to the owner before anything else. ``intent``, ``status``: complete
    new statuses of the owner, written as the difference to what was read. ``release``: finalizers to drop
    from the owner once all else is done. ``requeue_after``: seconds.
    """

    add_finalizers: tuple[str, ...] = ()
    intent: Model | None = None
    create: tuple[Create, ...] = ()
    patch: tuple[Patch, ...] = ()
    status: Model | None = None
    delete: tuple[Delete, ...] = ()
    release: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    counts: tuple[Count, ...] = ()
    requeue_after: float | None = None

    def requeued_within(self, seconds: float) -> "Plan":
        """The same, with another look after so many seconds at the latest."""
        after = seconds if self.requeue_after is None else min(seconds, self.requeue_after)
        return replace(self, requeue_after=after)
