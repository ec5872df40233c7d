"""Time limits for work that is mostly over long before: a timer is made only for what comes near its limit.

``asyncio.timeout`` and its timer take a tenth of the time that a whole admission request takes, and each
``get_running_loop`` is a system call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, cast

INTERVAL = 0.5
"""Seconds between two looks."""
NEVER = float("inf")


class TimeLimits:
    """Of any number of tasks; each ends exactly when it should."""

    def __init__(self) -> None:
        self.running: set[TimeLimit] = set()
        self.next_look = NEVER
        self.loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Only inside the block are limits kept that are more than INTERVAL away."""
        loop = self.loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look_for_ever(loop.time))
            try:
                yield
            finally:
                looking.cancel()
                self.next_look = NEVER

    def until(self, when: float) -> "TimeLimit":
        """A block of the task at hand that ends at ``when`` by the loop's clock."""
        return TimeLimit(self, when)

    async def _look_for_ever(self, clock: Callable[[], float]) -> None:
        while True:
            self.next_look = clock() + INTERVAL
            for limit in self.running:
                limit.arm_before(self.next_look)
            await asyncio.sleep(INTERVAL)


class TimeLimit:
    """``with``, in a task, raises TimeoutError at its end if it was cut, as ``asyncio.timeout`` does."""

    __slots__ = ("_cancelling", "_limits", "_task", "_timer", "_when", "has_expired")

    def __init__(self, limits: TimeLimits, when: float) -> None:
        self._limits = limits
        self._when = when
        self._timer: asyncio.TimerHandle | None = None
        self.has_expired = False

    def __enter__(self) -> "TimeLimit":
        limits = self._limits
        self._task = cast("asyncio.Task[Any]", asyncio.current_task(limits.loop))
        self._cancelling = self._task.cancelling()
        limits.running.add(self)
        if self._when < limits.next_look:
            self.arm_before(limits.next_look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failed: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.running.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if (
            self.has_expired
            and self._task.uncancel() <= self._cancelling
            and isinstance(failed, asyncio.CancelledError)
        ):
            raise TimeoutError from failed

    def arm_before(self, next_look: float) -> None:
        """Make the timer if that is the last chance to be in time."""
        if self._when < next_look and self._timer is None:
            self._timer = self._task.get_loop().call_at(self._when, self._expire)

    def _expire(self) -> None:
        self.has_expired = True
        self._task.cancel()
