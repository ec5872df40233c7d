"""Turns: so many at a time, the others in the order in which they came.

``asyncio.Semaphore`` looks at all who wait at each acquisition, even where nobody does.
"""

import asyncio
from collections import deque


class Turns:
    """``count`` may be held at one time."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def take(self) -> bool:
        """Whether there was a turn to take at once."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Take a turn as soon as it is this caller's."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiters.remove(waiter)
            else:
                self.give_back()  # it was handed over, but nobody is here any more
            raise

    def give_back(self) -> None:
        """To the first who waits, if anybody does."""
        for waiter in self._waiters:
            if not waiter.done():
                self._waiters.remove(waiter)
                waiter.set_result(None)
                return
        self._free += 1
