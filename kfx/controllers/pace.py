"""How often an Experiment follows its trials, and how often it asks for more of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from kfx.apis.experiment import Experiment, ExperimentStatus
from kfx.apis.suggestion import Suggestion
from kfx.runtime.memory import LeastRecentlyUsed
from kfx.runtime.plan import Patch, Plan

INTERVAL = 0.5
"""Seconds between two writes of a status that tell nothing but where the trials are."""

SHORTEST, LONGEST = 0.1, 2.0
"""Seconds for which an experiment waits for more of its trials to change before it looks at them."""

UNANSWERED = 1.0
"""Seconds for which a request without an answer keeps back the next."""

EACH = 0.001
"""Seconds to wait for each trial, as the server's work for one more assignment grows with their list.

A write of 1,000 of them costs kube-apiserver 50 ms of CPU, and a look two such: a tenth of a core.
"""


def gather_for(trials: int) -> float:
    """Seconds to wait. Each look may cost three writes, two of them to the whole list of assignments."""
    return min(LONGEST, max(SHORTEST, trials * EACH))


class StatusPace:
    """Holds back a status that only counts; a change of conditions, or the first after a while, goes at once.

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
        return replace(plan, status=None).requeued_within(left)


class AskPace:
    """Holds back the next request to a Suggestion, never one for fewer assignments.

    It waits as long after the last one as changes of trials are gathered, and, while that one has no answer,
    ``UNANSWERED`` seconds at least: the answer is a write of the same object, and one would be refused.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: LeastRecentlyUsed[str, tuple[float, int]] = LeastRecentlyUsed()

    def hold_back(self, plan: Plan, *, trials: int) -> Plan:
        """``plan``, without its request if that can wait. ``trials``: how many the experiment has."""
        ask = next(filter(None, map(_as_ask, plan.patch)), None)
        if ask is None:
            return plan
        status, uid, now = ask.suggestion.status, ask.suggestion.metadata.uid, self._clock()
        # of the cached state alone a request that was just made could not be told from one that was answered
        last, requests = self._asked.get(uid) or (0.0, 0)
        pause = max(gather_for(trials), UNANSWERED if status.suggestion_count < requests else 0.0)
        left = last + pause - now
        if not requests or left <= 0:
            self._asked.put(uid, (now, ask.requests))
            return plan
        others = tuple(patch for patch in plan.patch if patch is not ask.patch)
        return replace(plan, patch=others).requeued_within(left)


class ExperimentPace:
    """Holds back what can wait, and has it planned anew once its time has come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._status = StatusPace(clock)
        self._asks = AskPace(clock)

    def hold_back(self, experiment: Experiment, plan: Plan, *, trials: int) -> Plan:
        """``plan``, without status or request where they can wait. ``trials``: how many there are."""
        return self._asks.hold_back(self._status.hold_back(experiment, plan), trials=trials)


class _Ask(NamedTuple):
    patch: Patch
    suggestion: Suggestion
    requests: int


def _as_ask(patch: Patch) -> _Ask | None:
    """Where more is requested than was before."""
    target, requests = patch.target, patch.changes.get("spec", {}).get("requests", 0)
    if isinstance(target, Suggestion) and requests > target.spec.requests:
        return _Ask(patch, target, requests)
    return None
