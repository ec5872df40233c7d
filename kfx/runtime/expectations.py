"""Read your writes: whether a cached object is older than what this process wrote to it."""

from collections import OrderedDict
from collections.abc import Callable

from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.runtime.ratelimit import loop_time

BELIEVED_FOR = 60.0  # seconds; a store restored from a backup may never show the version again


class Expectations:
    """The versions written, each until the cache shows it or a minute has passed.

    Only the versions of one object are ever compared, as numbers, which Kubernetes guarantees since 1.35;
    anything else counts as up to date.
    """

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._written: OrderedDict[tuple[Resource, str, str], tuple[int, float]] = OrderedDict()

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

    def is_stale(self, obj: KubeObject) -> bool:
        """Whether ``obj`` was read before the last write to it had arrived."""
        self._drop_old()
        key = (obj.resource, *obj.key)
        version = obj.metadata.resource_version
        written = self._written.get(key)
        if written is not None and version.isdecimal() and int(version) < written[0]:
            return True
        self._written.pop(key, None)
        return False

    def _drop_old(self) -> None:
        now = self._clock()
        while self._written:
            key, (_, until) = next(iter(self._written.items()))
            if until > now:
                return
            del self._written[key]
