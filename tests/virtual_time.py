"""An event loop whose clock jumps to the next timer as soon as every task waits.

Nothing sleeps for real; a task that waits for nothing that can happen is a deadlock and fails the test,
and so does one that is still busy after a virtual day. For tests without sockets or threads only.
"""

import asyncio
import selectors

ONE_DAY = 86_400.0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("deadlock: every task waits and no timer is set")
            self.now += timeout
            if self.now > ONE_DAY:
                raise AssertionError("livelock: still busy after a day of virtual time")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and moves only by jumps."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now
