"""How long something has been so, as this process has seen it."""

from collections.abc import Callable, Hashable


class Stopwatches:
    """One clock a key, running from the first look until it is stopped.

    Whoever starts one stops it when the key is gone, so that no more are kept than there are keys.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def start(self, key: Hashable) -> bool:
        """Whether this is the first look since it was stopped last."""
        first = key not in self._since
        self.elapsed(key)
        return first

    def elapsed(self, key: Hashable) -> float:
        """Seconds since the first look; 0 at the first."""
        now = self._clock()
        return now - self._since.setdefault(key, now)

    def stop(self, key: Hashable) -> None:
        """Forget the key; the next look is the first again."""
        self._since.pop(key, None)
