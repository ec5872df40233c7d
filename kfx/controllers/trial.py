"""Reads a Trial with its job, its pods and its metrics, and writes what has been decided."""

from collections.abc import Callable
from dataclasses import replace

from kfx.apis.trial import Trial
from kfx.controllers.failures import PREFIX, REASON, Recorder, is_namespace_ending
from kfx.controllers.job_finder import FoundJob, JobFinder, NameHeld
from kfx.controllers.jobs import not_followed
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.patience import Patience
from kfx.controllers.pods import PodObserver
from kfx.controllers.refusals import is_of_creation, judge, name_taken, withheld
from kfx.katib import conditions as c
from kfx.katib.gjson_path import ExpressionError
from kfx.katib.hold_up import HoldUp, is_said
from kfx.katib.job_state import JobState, Phase, StateUnreadable, evaluate
from kfx.katib.job_trouble import find_job_trouble
from kfx.katib.trial import (
    JobSeen,
    TrialSeen,
    is_completed,
    needs_observation,
    plan_held_up,
    plan_release,
    plan_trial,
    plan_unreadable,
)
from kfx.kube.errors import ApiError, Forbidden
from kfx.kube.model import Unreadable
from kfx.runtime.plan import Note, Plan
from kfx.runtime.ratelimit import ExponentialBackoff, RateLimiter
from kfx.runtime.reconcile import Request, Result, TerminalError
from kfx.runtime.store import Lister
from kfx.runtime.writer import Writer

LONGEST_WAIT = 60.0  # seconds between two tries: a store that is back, or a quota with room, is noticed soon
LOOK_AGAIN = 30.0  # seconds until a job is tried again whose kind is not served, or whose name is taken


def trial_limiter() -> RateLimiter[Request]:
    """How long a trial waits between tries that fail."""
    return ExponentialBackoff(cap=LONGEST_WAIT)


class TrialReconciler:
    """Runs one job for each Trial and copies its outcome into the Trial's status.

    A Trial that does not get on says in the message of its condition what holds it up.
    """

    def __init__(
        self,
        *,
        trials: Lister[Trial],
        jobs: JobFinder,
        pods: PodObserver,
        metrics: MetricsObserver,
        writer: Writer,
        recorder: Recorder,
        patience: Patience,
        now: Callable[[], str],
    ) -> None:
        self._trials = trials
        self._jobs = jobs
        self._pods = pods
        self._metrics = metrics
        self._writer = writer
        self._recorder = recorder
        self._patience = patience
        self._now = now

    async def reconcile(self, request: Request) -> Result:
        unreadable = self._trials.unreadable(request)
        if unreadable is not None:
            return await self._answer_unreadable(request, unreadable)
        trial = self._trials.get(request)
        if trial is None or trial.metadata.deletion_timestamp is not None:
            self._forget(request)
        if trial is None:
            return Result()
        if await self._is_withheld(trial):
            return Result(LOOK_AGAIN)
        self._writer.refuse_stale(trial)
        try:
            seen = await self._look(trial)
        except NameHeld as held:
            return await self._wait_for_name(trial, held)
        except TerminalError as taken:
            return await self._tell_name_taken(trial, taken)
        self._patience.forget(request)
        return await self._write(seen, plan_trial(seen, self._now()))

    async def _answer_unreadable(self, request: Request, found: Unreadable) -> Result:
        """Its last readable state is not acted on: the user has changed his mind since."""
        self._forget(request)
        if found.metadata.deletion_timestamp is None:
            return await self._writer.apply(found, plan_unreadable(found, self._now()))
        return await self._writer.apply(found, plan_release(found, await self._metrics.delete(found)))

    def _forget(self, request: Request) -> None:
        self._patience.forget(request)
        self._pods.forget(request)
        self._metrics.forget(request)

    async def _is_withheld(self, trial: Trial) -> bool:
        """Whether its job could not be seen, for want of a right; the trial says so."""
        if trial.metadata.deletion_timestamp is not None or is_completed(trial):
            return False
        resource, problem = self._jobs.resource_of(trial), self._jobs.problem(trial)
        if resource is None or problem is None:
            return False
        await self._hold_up(trial, withheld(resource, problem), tell=True)
        return True

    async def _look(self, trial: Trial) -> TrialSeen:
        if trial.metadata.deletion_timestamp is not None:
            return TrialSeen(trial=trial, left_behind=await self._metrics.delete(trial))
        resource = self._jobs.resource_of(trial)
        if resource is None:
            return TrialSeen(trial=trial, state=not_followed(trial))
        found = await self._jobs.find(resource, trial)
        if not c.has(trial.status.conditions, c.CREATED):
            await self._metrics.start_clean(trial)
        seen = TrialSeen(trial=trial, resource=resource)
        if found is not None:
            seen = replace(seen, job=JobSeen(found.uid, found.deleting))
            seen = self._evaluate(seen, found)
        return await self._look_closer(seen)

    def _evaluate(self, seen: TrialSeen, found: FoundJob) -> TrialSeen:
        """What became of the job; an expression that can never be evaluated counts as its failure."""
        spec = seen.trial.spec
        try:
            state = evaluate(spec.success_condition, spec.failure_condition, found.document)
        except ExpressionError as error:
            state = JobState(Phase.FAILED, "InvalidCondition", f"{error}; correct the trial template")
        except StateUnreadable as error:
            remedy = "correct successCondition or failureCondition in the trial template"
            return replace(seen, hold_up=HoldUp("ConditionUnreadable", str(error), remedy, at_once=True))
        if state.phase is not Phase.RUNNING:
            return replace(seen, state=state)
        return replace(seen, state=state, hold_up=find_job_trouble(seen.trial, found.document))

    async def _look_closer(self, seen: TrialSeen) -> TrialSeen:
        """Metrics once the job has succeeded; until it ends, what holds it up."""
        request = Request(*seen.trial.key)
        if needs_observation(seen):
            self._pods.forget(request)
            return await self._metrics.look(seen)
        self._metrics.forget(request)
        ended = seen.state is not None and seen.state.phase is not Phase.RUNNING
        if is_completed(seen.trial) or seen.job is None or ended:
            self._pods.forget(request)
            return replace(seen, hold_up=None)
        return await self._pods.look(seen)

    async def _write(self, seen: TrialSeen, plan: Plan) -> Result:
        try:
            return await self._writer.apply(seen.trial, plan)
        except TerminalError as taken:
            return await self._tell_name_taken(seen.trial, taken)
        except ApiError as refused:
            if not is_of_creation(plan, refused):
                raise
            if is_namespace_ending(refused):
                return Result()
            return await self._answer_refusal(seen, refused)

    async def _answer_refusal(self, seen: TrialSeen, refused: ApiError) -> Result:
        """A job that the server will never take ends the trial; of others the trial says what is amiss.

        What is forbidden is raised too, for the back-off and the event of every failure.
        """
        verdict = judge(seen.resource, refused) if seen.resource is not None else None
        if isinstance(verdict, JobState):
            return await self._writer.apply(seen.trial, plan_trial(replace(seen, state=verdict), self._now()))
        if verdict is None:
            raise refused
        forbidden = isinstance(refused, Forbidden)
        await self._hold_up(seen.trial, verdict, tell=not forbidden)
        if forbidden:
            raise refused
        return Result(LOOK_AGAIN)

    async def _wait_for_name(self, trial: Trial, held: NameHeld) -> Result:
        """A namesake's job is on its way out; if it stays, that is said."""
        request = Request(*trial.key)
        if self._patience.left(request, "NameHeld") > 0:
            raise held
        return await self._tell_name_taken(trial, TerminalError(str(held)))

    async def _tell_name_taken(self, trial: Trial, taken: TerminalError) -> Result:
        hold_up = name_taken(taken)
        if not is_said(trial.status.conditions, hold_up.reason):
            await self._hold_up(trial, hold_up, tell=False)
            self._recorder.note(trial, Note("Warning", REASON, f"{PREFIX}{taken}"))
        return Result(LOOK_AGAIN)

    async def _hold_up(self, trial: Trial, hold_up: HoldUp, *, tell: bool) -> None:
        plan = plan_held_up(trial, hold_up, self._now())
        await self._writer.apply(trial, plan if tell else replace(plan, notes=()))
