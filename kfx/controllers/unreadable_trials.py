"""Tells an Experiment of its Trials that cannot be read: they keep places, and nothing is done for them."""

from collections.abc import Callable
from dataclasses import replace

from kfx.apis.experiment import Experiment
from kfx.controllers.tallies import TrialTallies
from kfx.katib.budget import DEFAULT_PARALLEL, REMINDER
from kfx.katib.experiment import is_completed
from kfx.katib.unreadable import trials_unreadable
from kfx.runtime.memory import LeastRecentlyUsed
from kfx.runtime.plan import Plan


class UnreadableTrials:
    """Adds the event to an Experiment's plan, once and again every ten minutes. ``clock`` counts seconds."""

    def __init__(self, trials: TrialTallies, clock: Callable[[], float]) -> None:
        self._trials = trials
        self._clock = clock
        self._told: LeastRecentlyUsed[str, tuple[dict[str, str], float]] = LeastRecentlyUsed()

    def remind(self, experiment: Experiment, plan: Plan) -> Plan:
        """``plan``, with the event if it is time for it."""
        problems = self._trials.owned(experiment).unreadable()
        if not problems or is_completed(experiment) or experiment.metadata.deletion_timestamp is not None:
            return plan
        before, until = self._told.get(experiment.metadata.uid) or ({}, 0.0)
        left = until - self._clock()
        if problems != before or left <= 0:
            left = REMINDER
            self._told.put(experiment.metadata.uid, (problems, self._clock() + left))
            places = experiment.spec.parallel_trial_count or DEFAULT_PARALLEL
            plan = replace(plan, notes=(*plan.notes, trials_unreadable(problems, places)))
        return plan.requeued_within(left)
