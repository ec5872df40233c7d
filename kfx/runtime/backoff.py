"""How long to leave a server alone after it failed to answer a reflector (client-go's figures)."""

import asyncio
import random


class Backoff:
    """Seconds to wait after a failure: 0.8 doubling to 30, each times a random factor in [1, 2).

    Starts afresh when the last failure is two minutes past the wait it caused.
    """

    def __init__(self, *, base: float = 0.8, cap: float = 30.0, healthy: float = 120.0) -> None:
        self._base = base
        self._cap = cap
        self._healthy = healthy
        self._next = base
        self._until = 0.0

    def next(self) -> float:
        """The wait for a failure that happened now."""
        now = asyncio.get_running_loop().time()
        if now - self._until > self._healthy:
            self._next = self._base
        wait = self._next * (1 + random.random())  # noqa: S311 — spreads clients, guards nothing
        self._next = min(self._next * 2, self._cap)
        self._until = now + wait
        return wait

    def reset(self) -> None:
        """The next failure is the first of its kind."""
        self._next = self._base
