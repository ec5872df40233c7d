"""What is fuzzed, and the bounds that hold for every input of at most 7 MiB."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis.strategies import SearchStrategy

MOST_SECONDS = 0.05
MOST_BYTES = 32 * 1024 * 1024
_WORTH_A_LOOK = 0.005  # seconds; as many MiB take longer to fill
_TRIES = 8  # other processes, and the garbage of the search itself, make a try slower, never faster


class OutOfBounds(AssertionError):
    """An input took more time or memory than any may."""


@dataclass(frozen=True, slots=True)
class Target:
    """``act`` takes an input, ``judge`` raises where the outcome breaks a promise.

    ``seconds`` of processor time and ``bytes`` of memory are what ``act`` may take for one input.
    """

    name: str
    inputs: SearchStrategy[Any]
    act: Callable[[Any], Any]
    judge: Callable[[Any, Any], None] = lambda value, outcome: None
    seconds: float = MOST_SECONDS
    bytes: int = MOST_BYTES

    def run(self, value: Any, *, slack: float = 1.0) -> float:
        """Try one input. Its processor time in seconds; the best of eight, where the first is too long.

        ``slack`` multiplies the bound of time. Raises :class:`OutOfBounds`, or what broke.
        """
        taken = self._time(value)
        for _ in range(_TRIES - 1):
            if taken <= self.seconds * slack:
                break
            taken = min(taken, self._time(value))
        if taken > self.seconds * slack:
            raise OutOfBounds(
                f"{self.name} took {taken * 1000:.0f} ms; {self.seconds * slack * 1000:.0f} allowed"
            )
        if taken > _WORTH_A_LOOK:
            self._check_memory(value)
        return taken

    def _time(self, value: Any) -> float:
        gc.freeze()  # only what the act itself makes is looked through
        try:
            started = time.thread_time()
            outcome = self.act(value)
            taken = time.thread_time() - started
        finally:
            gc.unfreeze()
        self.judge(value, outcome)
        return taken

    def _check_memory(self, value: Any) -> None:
        tracemalloc.start()
        try:
            self.act(value)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        if peak > self.bytes:
            raise OutOfBounds(f"{self.name} took {peak / 2**20:.0f} MiB; {self.bytes / 2**20:.0f} allowed")
