"""How late the event loop is: what blocks it delays watches, probes and the renewal of the lease alike."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kfx.runtime.metrics import RuntimeMetrics

INTERVAL = 0.1
"""Seconds that the probe sleeps; what it wakes later than that is the lag."""
WINDOW = 10.0
"""Seconds for which a lag is remembered."""
LIMIT = 5.0
"""Seconds; twice as much costs the lease, whose renewals have 10 s."""


class LoopLag:
    """Measures inside ``running()`` how late the loop wakes a short sleep.

    Every lag goes into the histogram ``kfx_loop_lag_seconds``, the largest of the last 10 s into the gauge
    ``kfx_loop_lag_max_seconds``. ``limit``: seconds of lag from which :meth:`check` fails. ``clock``:
    seconds that pass also while the loop is blocked; the loop's own may stand still meanwhile.
    """

    def __init__(
        self,
        metrics: RuntimeMetrics | None = None,
        *,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        metrics = metrics or RuntimeMetrics()
        self._lags = metrics.loop_lag
        self._limit = limit
        self._clock = clock
        # two lags are INTERVAL apart at least, so no more than these can be of the last WINDOW seconds
        self._seen: deque[tuple[float, float]] = deque(maxlen=int(WINDOW / INTERVAL) + 1)
        self._due: float | None = None
        metrics.loop_lag_max.set_function(self.largest)

    def largest(self) -> float:
        """The largest lag of the last 10 s, in seconds; 0 before the first."""
        now = self._clock()
        found = [lag for seen_at, lag in self._seen if now - seen_at <= WINDOW]
        if self._due is not None:
            found.append(now - self._due)  # whoever asks may be served before the probe that is late
        return max([0.0, *found])

    def check(self) -> str | None:
        """For liveness: why the loop is not well, None while it is."""
        worst = self.largest()
        if worst <= self._limit:
            return None
        return (
            f"the event loop was blocked for {worst:.1f} s within the last {WINDOW:g} s "
            f"(limit {self._limit:g} s)"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure inside the block."""
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(self._measure(), name="loop-lag")
            try:
                yield
            finally:
                probe.cancel()
                self._due = None

    async def _measure(self) -> None:
        while True:
            due = self._due = self._clock() + INTERVAL
            await asyncio.sleep(INTERVAL)
            now = self._clock()
            lag = max(0.0, now - due)
            self._seen.append((now, lag))
            self._lags.observe(lag)
