"""Mappings that forget: what was not asked for longest, and what is too old."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

LARGEST_CACHE = 4096  # keys

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LeastRecentlyUsed(Generic[K, V]):
    """A mapping that drops what was not asked for longest once it holds ``size`` keys."""

    def __init__(self, size: int = LARGEST_CACHE) -> None:
        self._size = size
        self._items: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key]

    def get_or(self, key: K, make: Callable[[], V]) -> V:
        """The value of ``key``, made now if there is none."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._size:
            self._items.popitem(last=False)


class Expiring(Generic[K, V]):
    """A mapping of at most ``size`` keys, each for a time of its own. ``clock`` counts seconds."""

    def __init__(self, clock: Callable[[], float], size: int = LARGEST_CACHE) -> None:
        self._clock = clock
        self._items: LeastRecentlyUsed[K, tuple[float, V]] = LeastRecentlyUsed(size)

    def get(self, key: K) -> V | None:
        """The value, ``None`` once its time is over."""
        found = self._items.get(key)
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, key: K, value: V, seconds: float) -> None:
        self._items.put(key, (self._clock() + seconds, value))
