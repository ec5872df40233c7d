"""How long a key waits before it is tried again. Used by :class:`kfx.runtime.workqueue.WorkQueue`."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T", bound=Hashable)
T_contra = TypeVar("T_contra", bound=Hashable, contravariant=True)

LARGEST_EXPONENT = 60  # 2.0 ** 1024 would overflow; any sane cap is reached long before


def loop_time() -> float:
    """The running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


class RateLimiter(Protocol[T_contra]):
    """Answers how long to wait, and counts that as one more failure."""

    def when(self, item: T_contra) -> float:
        """Seconds to wait before ``item`` is tried again."""
        ...

    def forget(self, item: T_contra) -> None:
        """Count ``item``'s failures from 0 again."""
        ...

    def failures(self, item: T_contra) -> int:
        """How often ``item`` has waited since it was last forgotten."""
        ...


class ExponentialBackoff(Generic[T]):
    """``base · 2ⁿ`` seconds after n earlier failures of the same item, at most ``cap``."""

    def __init__(self, base: float = 0.005, cap: float = 1000.0) -> None:
        self._base = base
        self._cap = cap
        self._failures: dict[T, int] = {}

    def when(self, item: T) -> float:
        earlier = self._failures.get(item, 0)
        self._failures[item] = earlier + 1
        return min(self._cap, self._base * 2.0 ** min(earlier, LARGEST_EXPONENT))

    def forget(self, item: T) -> None:
        self._failures.pop(item, None)

    def failures(self, item: T) -> int:
        return self._failures.get(item, 0)


class TokenBucket(Generic[T]):
    """``rate`` tries a second, shared by all items, ``burst`` of them at once."""

    def __init__(
        self, rate: float = 10.0, burst: int = 100, *, clock: Callable[[], float] = loop_time
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._free_at: float | None = None  # when the last reserved token will have been earned

    def when(self, item: T) -> float:
        now = self._clock()
        full_at = now - self._burst / self._rate
        earned = full_at if self._free_at is None else max(self._free_at, full_at)
        self._free_at = earned + 1 / self._rate
        return max(0.0, self._free_at - now)

    def forget(self, item: T) -> None:
        """A reserved token is not given back."""

    def failures(self, item: T) -> int:
        return 0


class MaxOf(Generic[T]):
    """The longest wait any of several limiters asks for."""

    def __init__(self, *limiters: RateLimiter[T]) -> None:
        self._limiters = limiters

    def when(self, item: T) -> float:
        return max(limiter.when(item) for limiter in self._limiters)

    def forget(self, item: T) -> None:
        for limiter in self._limiters:
            limiter.forget(item)

    def failures(self, item: T) -> int:
        return max(limiter.failures(item) for limiter in self._limiters)
