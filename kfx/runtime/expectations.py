"""Read your writes: whether a cached object is older than what this process wrote to it, or deleted by it."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.runtime.ratelimit import loop_time

K = TypeVar("K")

BELIEVED_FOR = 60.0  # seconds; a store restored from a backup may never show the version again


class Expectations:
    """The versions written, each until the cache shows it or a minute has passed.

    Only the versions of one object are ever compared, as numbers, which Kubernetes guarantees since 1.35;
    anything else counts as up to date.
    """

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._written: OrderedDict[tuple[Resource, str, str], tuple[int, float]] = OrderedDict()
        self._deleted: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._written)

    def expect(self, obj: KubeObject, resource_version: str) -> None:
        """``obj`` was written and is at ``resource_version`` now."""
        if resource_version.isdecimal():
            key = (obj.resource, *obj.key)
            self._written[key] = (int(resource_version), self._clock() + BELIEVED_FOR)
            self._written.move_to_end(key)

    def forget(self, obj: KubeObject) -> None:
        """``obj`` is gone and will not be seen again."""
        self._written.pop((obj.resource, *obj.key), None)

    def expect_gone(self, uid: str) -> None:
        """The server has agreed to delete the object of this ``uid``, which it never takes back."""
        self._deleted[uid] = (0, self._clock() + BELIEVED_FOR)
        self._deleted.move_to_end(uid)

    def is_going(self, uid: str) -> bool:
        """Whether its deletion was agreed to within the last minute, though the cache may not show it yet."""
        _drop_old(self._deleted, self._clock())
        return uid in self._deleted

    def is_stale(self, obj: KubeObject) -> bool:
        """Whether ``obj`` was read before the last write to it had arrived."""
        _drop_old(self._written, self._clock())
        key = (obj.resource, *obj.key)
        version = obj.metadata.resource_version
        written = self._written.get(key)
        if written is not None and version.isdecimal() and int(version) < written[0]:
            return True
        self._written.pop(key, None)
        return False


def _drop_old(entries: OrderedDict[K, tuple[int, float]], now: float) -> None:
    while entries:
        key, (_, until) = next(iter(entries.items()))
        if until > now:
            return
        del entries[key]
