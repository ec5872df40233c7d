"""Reads a Trial with its job, its pods and its metrics, and writes what has been decided."""

from collections.abc import Callable
from dataclasses import replace

from kfx.apis.trial import Trial
from kfx.controllers.failures import PREFIX, REASON, Recorder
from kfx.controllers.job_finder import FoundJob, JobFinder
from kfx.controllers.jobs import not_followed
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.pods import PodObserver
from kfx.katib.gjson_path import ExpressionError
from kfx.katib.job_state import JobState, Phase, StateUnreadable, evaluate
from kfx.katib.trial import JobSeen, TrialSeen, is_completed, needs_observation, plan_trial
from kfx.kube.errors import BadRequest, Invalid
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request, Result
from kfx.runtime.store import Lister
from kfx.runtime.writer import Writer


class TrialReconciler:
    """Runs one job for each Trial and copies its outcome into the Trial's status."""

    def __init__(
        self,
        *,
        trials: Lister[Trial],
        jobs: JobFinder,
        pods: PodObserver,
        metrics: MetricsObserver,
        writer: Writer,
        recorder: Recorder,
        now: Callable[[], str],
    ) -> None:
        self._trials = trials
        self._jobs = jobs
        self._pods = pods
        self._metrics = metrics
        self._writer = writer
        self._recorder = recorder
        self._now = now

    async def reconcile(self, request: Request) -> Result:
        trial = self._trials.get(request)
        if trial is None or trial.metadata.deletion_timestamp is not None:
            self._pods.forget(request)
            self._metrics.forget(request)
        if trial is None:
            return Result()
        seen = await self._look(trial)
        return await self._write(seen, plan_trial(seen, self._now()))

    async def _look(self, trial: Trial) -> TrialSeen:
        if trial.metadata.deletion_timestamp is not None:
            await self._metrics.delete(trial)
            return TrialSeen(trial=trial)
        resource = self._jobs.resource_of(trial)
        if resource is None:
            return TrialSeen(trial=trial, state=not_followed(trial))
        found = await self._jobs.find(resource, trial)
        state = self._evaluate(trial, found)
        job = JobSeen(found.uid, found.deleting) if found is not None else None
        return await self._look_closer(TrialSeen(trial=trial, resource=resource, job=job, state=state))

    async def _look_closer(self, seen: TrialSeen) -> TrialSeen:
        """Metrics once the job has succeeded, pods while it runs."""
        request = Request(*seen.trial.key)
        if needs_observation(seen.trial, seen.state):
            self._pods.forget(request)
            return await self._metrics.look(seen)
        self._metrics.forget(request)
        if is_completed(seen.trial) or seen.state is None or seen.state.phase is not Phase.RUNNING:
            self._pods.forget(request)
            return seen
        return self._pods.look(seen)

    def _evaluate(self, trial: Trial, found: FoundJob | None) -> JobState | None:
        """What became of the job; an expression that can never be evaluated counts as its failure."""
        if found is None:
            return None
        try:
            return evaluate(trial.spec.success_condition, trial.spec.failure_condition, found.document)
        except ExpressionError as error:
            return JobState(Phase.FAILED, "InvalidCondition", f"{error}; correct the trial template")
        except StateUnreadable as error:
            self._recorder.note(trial, Note("Warning", REASON, f"{PREFIX}{error}"))
            return None

    async def _write(self, seen: TrialSeen, plan: Plan) -> Result:
        """A job that the server will never take ends the trial."""
        try:
            return await self._writer.apply(seen.trial, plan)
        except (BadRequest, Invalid) as refused:
            if not plan.create or refused.method != "POST":
                raise
            state = JobState(Phase.FAILED, refused.reason, f"{refused.message}; correct the trial template")
            return await self._writer.apply(seen.trial, plan_trial(replace(seen, state=state), self._now()))
