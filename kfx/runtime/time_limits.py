"""Time limits for work that is mostly over long before: a timer is made only for what comes near its limit.

A timer for each admission request costs a tenth of what the whole request does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

INTERVAL = 0.5
"""Seconds between two looks."""


class TimeLimits:
    """Of any number of ``asyncio.timeout(None)`` blocks, which end exactly when they should."""

    def __init__(self) -> None:
        self._far: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Only inside the block are limits kept that were more than INTERVAL away."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look_for_ever())
            try:
                yield
            finally:
                looking.cancel()

    def set(self, block: asyncio.Timeout, when: float) -> None:
        """Let ``block``, which has been entered, end at ``when`` by the loop's clock."""
        if when < asyncio.get_running_loop().time() + INTERVAL:
            block.reschedule(when)
        else:
            self._far[block] = when

    def drop(self, block: asyncio.Timeout) -> None:
        """To be called before the block is left."""
        self._far.pop(block, None)

    async def _look_for_ever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(INTERVAL)
            next_look = clock() + INTERVAL
            for block in [block for block, when in self._far.items() if when < next_look]:
                block.reschedule(self._far.pop(block))
