"""Whether the API server can be reached, said once for an outage and not once for every request."""

import asyncio
import time
from collections.abc import Callable

import structlog

REMINDER = 60.0  # seconds between two lines while an outage lasts

log = structlog.get_logger(logger_name="kfx.kube")


class Outage:
    """The outage that lasts, if one does. Whoever fails during it need not speak of it again."""

    def __init__(self, server: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._since: float | None = None
        self._said_at = 0.0
        self._none = asyncio.Event()
        self._none.set()

    def seen(self, problem: str) -> None:
        """No connection; ``problem`` says why."""
        now = self._clock()
        if self._since is None:
            self._since = now
            self._none.clear()
        elif now - self._said_at < REMINDER:
            return
        self._said_at = now
        log.warning(
            "no connection to the API server; trying again until there is one",
            error=problem,
            for_seconds=round(now - self._since),
        )

    def over(self) -> None:
        """An answer came."""
        if self._since is not None:
            log.info(
                "the API server answers again",
                server=self._server,
                after_seconds=round(self._clock() - self._since, 1),
            )
            self._since = None
            self._none.set()

    async def ended(self) -> None:
        """Return once no outage lasts, whoever finds out."""
        await self._none.wait()
