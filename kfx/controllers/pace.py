"""How often an Experiment follows its trials."""

from collections.abc import Callable
from dataclasses import replace

from kfx.apis.experiment import Experiment, ExperimentStatus
from kfx.runtime.memory import LeastRecentlyUsed
from kfx.runtime.plan import Plan

INTERVAL = 0.5
"""Seconds between two writes of a status that tell nothing but where the trials are."""

SHORTEST, LONGEST = 0.1, 1.0
"""Seconds for which an experiment waits for more of its trials to change before it looks at them."""

LONGEST_FROM = 5_000
"""Trials from which on it waits longest: the server's work for one more assignment grows with their list."""


def gather_for(trials: int) -> float:
    """Seconds to wait. Each look may cost three writes, two of them to the whole list of assignments."""
    return min(LONGEST, max(SHORTEST, trials / LONGEST_FROM))


class StatusPace:
    """Holds such writes back; a change of conditions, or the first change after a while, goes at once.

    ``clock`` counts seconds. What is held back is planned anew once its time has come.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = INTERVAL) -> None:
        self._clock = clock
        self._seconds = seconds
        self._written: LeastRecentlyUsed[str, float] = LeastRecentlyUsed()

    def hold_back(self, experiment: Experiment, plan: Plan) -> Plan:
        """``plan``, without its status if that can wait."""
        status = plan.status
        if not isinstance(status, ExperimentStatus):
            return plan
        uid, now = experiment.metadata.uid, self._clock()
        last = self._written.get(uid)
        left = last + self._seconds - now if last is not None else 0.0
        if left <= 0 or status.conditions != experiment.status.conditions:
            self._written.put(uid, now)
            return plan
        again = left if plan.requeue_after is None else min(left, plan.requeue_after)
        return replace(plan, status=None, requeue_after=again)
