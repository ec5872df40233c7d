"""How long a suspicion has to last before it is taken for certain."""

from collections.abc import Callable

from kfx.controllers.stopwatch import Stopwatches
from kfx.runtime.reconcile import Request


class Patience:
    """One suspicion at a time for each trial; another reason starts the wait of ``seconds`` anew."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self.seconds = seconds
        self._watches = Stopwatches(clock)
        self._reasons: dict[Request, str] = {}

    def left(self, request: Request, reason: str) -> float:
        """Seconds until ``reason``, which is seen now, is certain; 0 or less once it is."""
        if self._reasons.get(request) != reason:
            self.forget(request)
            self._reasons[request] = reason
        return self.seconds - self._watches.elapsed(request)

    def forget(self, request: Request) -> None:
        """Nothing is suspected."""
        self._watches.stop(request)
        self._reasons.pop(request, None)
