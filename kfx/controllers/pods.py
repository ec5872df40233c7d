"""What keeps running trials from ever ending: pods that do not start, jobs that get none."""

from collections.abc import Callable
from dataclasses import replace

from kfx.apis.core import Pod
from kfx.controllers.event_reader import EventReader
from kfx.controllers.indexes import BY_TRIAL
from kfx.controllers.patience import Patience
from kfx.katib.hold_up import HoldUp, is_said
from kfx.katib.job_state import JobState, Phase
from kfx.katib.metrics_remedy import NAMESPACE_LABEL
from kfx.katib.names import LABEL_TRIAL
from kfx.katib.pod_trouble import PodTrouble, find_stuck, find_trouble
from kfx.katib.trial import TrialSeen
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister


class PodObserver:
    """Fails a running trial whose pods cannot start, and finds what holds up one that may get on yet.

    ``pods`` are those of :data:`kfx.controllers.indexes.TRIAL_PODS`, indexed by trial; where they may not be
    followed, nothing is said of any. ``patience``: seconds for what may pass by itself, such as a registry
    that does not answer.
    """

    def __init__(
        self,
        *,
        pods: Lister[Pod],
        events: EventReader,
        clock: Callable[[], float],
        patience: float = 60.0,
    ) -> None:
        self._pods = pods
        self._events = events
        self._patience = Patience(clock, patience)

    async def look(self, seen: TrialSeen) -> TrialSeen:
        """What is seen of a trial whose job runs, with what its pods say. A hold-up of the job goes first.

        Events are read only for a hold-up that has not been told yet.
        """
        seen = self._look(seen)
        hold_up = seen.hold_up
        if hold_up is None or is_said(seen.trial.status.conditions, hold_up.reason):
            return seen
        return replace(seen, hold_up=await self._events.explain(seen.trial.metadata.namespace, hold_up))

    def _look(self, seen: TrialSeen) -> TrialSeen:
        request = Request(*seen.trial.key)
        pods = [pod for pod in self._pods.by_index(BY_TRIAL, str(request)) if _may_belong(pod, seen)]
        trouble = find_trouble(pods)
        if trouble is not None:
            return self._fail_in_time(seen, request, trouble)
        hold_up = seen.hold_up or (find_stuck(pods) if pods else self._missing(seen))
        if hold_up is None or hold_up.at_once:
            self._patience.forget(request)
            return replace(seen, hold_up=hold_up)
        left = self._patience.left(request, hold_up.reason)
        if left > 0:
            return replace(seen, hold_up=None, look_again=left)
        return replace(seen, hold_up=hold_up)

    def forget(self, request: Request) -> None:
        """The trial has ended or is gone."""
        self._patience.forget(request)

    def _fail_in_time(self, seen: TrialSeen, request: Request, trouble: PodTrouble) -> TrialSeen:
        left = self._patience.left(request, "CannotStart")
        if trouble.hopeless or left <= 0:
            return replace(seen, state=JobState(Phase.FAILED, trouble.reason, trouble.message))
        return replace(seen, look_again=left)

    def _missing(self, seen: TrialSeen) -> HoldUp | None:
        """A quota, a policy or a webhook may refuse them; only the job's events tell which."""
        if self._pods.problem is not None:
            return None
        trial, kind = seen.trial, seen.resource.kind if seen.resource is not None else "Job"
        namespace, name = trial.key
        where = f"kubectl describe {kind.lower()} {name} -n {namespace}"
        lead = (
            f"{kind} {name} has had no pod for {self._patience.seconds:.0f} s "
            f"that carries the label {LABEL_TRIAL}={name}"
        )
        remedy = f"{where} says why it makes none; if it has pods, label their namespace {NAMESPACE_LABEL}"
        return HoldUp("PodMissing", lead, remedy, about=seen.job.uid if seen.job is not None else "")


def _may_belong(pod: Pod, seen: TrialSeen) -> bool:
    """Anybody may write the label. Between the pod and the job there may be owners of kinds not followed."""
    owner, resource = pod.metadata.controller, seen.resource
    if owner is None or resource is None or seen.job is None:
        return False
    if (owner.api_version, owner.kind) == (resource.api_version, resource.kind):
        return owner.uid == seen.job.uid
    return owner.kind != seen.trial.resource.kind or owner.uid == seen.trial.metadata.uid
