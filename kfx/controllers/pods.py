"""The pods of trials, as far as they keep a trial from ever ending."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kfx.apis.core import Pod
from kfx.controllers.indexes import BY_TRIAL
from kfx.controllers.stopwatch import Stopwatches
from kfx.katib.job_state import JobState, Phase
from kfx.katib.pod_trouble import find_trouble, find_unschedulable
from kfx.katib.trial import TrialSeen
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister


class PodObserver:
    """Fails a running trial whose pods cannot start: its job would wait for them for ever.

    ``pods`` are those of :data:`kfx.controllers.indexes.TRIAL_PODS`, indexed by trial. ``patience``: seconds
    for what may pass by itself, such as a registry that does not answer.
    """

    def __init__(self, *, pods: Lister[Pod], clock: Callable[[], float], patience: float = 60.0) -> None:
        self._pods = pods
        self._patience = patience
        self._waiting = Stopwatches(clock)
        self._unplaced = Stopwatches(clock)
        self._podless = Stopwatches(clock)

    def look(self, seen: TrialSeen) -> TrialSeen:
        """What is seen of a trial whose job runs, with what its pods say."""
        request = Request(*seen.trial.key)
        pods = self._pods.by_index(BY_TRIAL, str(request))
        if not pods:
            return self._wait_for_pods(seen, request)
        self._podless.stop(request)
        trouble = find_trouble(pods)
        if trouble is None:
            self._waiting.stop(request)
            return replace(seen, unschedulable=self._new_complaint(request, pods))
        waited = self._waiting.elapsed(request)
        if trouble.hopeless or waited >= self._patience:
            return replace(seen, state=JobState(Phase.FAILED, trouble.reason, trouble.message))
        return replace(seen, look_again=self._patience - waited)

    def forget(self, request: Request) -> None:
        """The trial has ended or is gone."""
        self._waiting.stop(request)
        self._unplaced.stop(request)
        self._podless.stop(request)

    def _wait_for_pods(self, seen: TrialSeen, request: Request) -> TrialSeen:
        """A quota, a policy or a webhook may refuse them; only the job's events tell which."""
        self._waiting.stop(request)
        waited = self._podless.elapsed(request)
        if waited < self._patience:
            return replace(seen, look_again=self._patience - waited)
        if not self._unplaced.start(request):
            return seen
        kind = seen.resource.kind if seen.resource is not None else "job"
        where = f"{kind.lower()} {request.name} -n {request.namespace}"
        missing = (
            f"{kind} {request.name} has had no pod for {waited:.0f} s; kubectl describe {where} says why"
        )
        return replace(seen, podless=missing)

    def _new_complaint(self, request: Request, pods: Sequence[Pod]) -> str:
        """What the scheduler says, once for each time that it begins to say it."""
        complaint = find_unschedulable(pods)
        if not complaint:
            self._unplaced.stop(request)
            return ""
        return complaint if self._unplaced.start(request) else ""
