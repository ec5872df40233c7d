"""What a Trial needs next. No I/O, no clock, no cache: values in, a plan out."""

from dataclasses import dataclass, replace

import msgspec

from kfx.apis.common import Observation
from kfx.apis.trial import Trial, TrialStatus
from kfx.katib import conditions as c
from kfx.katib.compose import compose_job
from kfx.katib.hold_up import HoldUp, say, settle
from kfx.katib.job_state import JobState, Phase
from kfx.katib.metrics_remedy import explain_missing_metrics
from kfx.katib.names import TRIAL_FINALIZER
from kfx.katib.observation import is_available
from kfx.kube.model import KubeObject, Unreadable
from kfx.kube.resource import Resource
from kfx.runtime.plan import Count, Create, Delete, Note, Plan

METRICS_POLL = 1.0  # seconds between looks for metrics that have not come (Katib's too)
COMPLETED = (c.SUCCEEDED, c.FAILED, c.KILLED, c.EARLY_STOPPED, c.METRICS_UNAVAILABLE)
PUSH = "Push"


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job that belongs to the trial."""

    uid: str
    deleting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSeen:
    """What a trial is decided on.

    ``resource``: the kind of its job; ``None`` only with a ``state`` that says why there can be none.
    ``job``: the job; ``None`` where it is known not to exist. ``state``: what became of it, or of the attempt
    to run it. ``observation``: what was reported; ``None`` for nothing. ``unusable``: what was reported and
    cannot be used, told. ``gave_up``: the metrics have had all the time they get. ``hold_up``: what keeps the
    job from getting on. ``look_again``: seconds until something that is only watched so far is to be decided.
    ``left_behind``: what is left in the store of a trial that goes.
    """

    trial: Trial
    resource: Resource | None = None
    job: JobSeen | None = None
    state: JobState | None = None
    observation: Observation | None = None
    unusable: str = ""
    gave_up: bool = False
    hold_up: HoldUp | None = None
    look_again: float | None = None
    left_behind: str = ""


def plan_trial(seen: TrialSeen, now: str) -> Plan:
    """The next writes; an empty plan where all is as it should be.

    A trial on its way out is released: whoever applies the plan has deleted its metrics before.
    """
    trial = seen.trial
    if trial.metadata.deletion_timestamp is not None:
        return plan_release(trial, seen.left_behind)
    guarded = TRIAL_FINALIZER in (trial.metadata.finalizers or ())
    plan = _plan_live(seen, now)
    if _is_first_status(trial, plan):
        plan = replace(plan, counts=(_count(trial, "created"), *plan.counts))
    return plan if guarded else replace(plan, add_finalizers=(TRIAL_FINALIZER,))


def plan_release(trial: KubeObject, left_behind: str = "") -> Plan:
    """Let a trial go, even one that cannot be read; ``left_behind`` tells what stays in the store."""
    if TRIAL_FINALIZER not in (trial.metadata.finalizers or ()):
        return Plan()
    left = (Note("Warning", "MetricsLeftBehind", left_behind),) if left_behind else ()
    return Plan(release=(TRIAL_FINALIZER,), notes=left, counts=(_count(trial, "deleted"),))


def plan_unreadable(found: Unreadable, now: str) -> Plan:
    """Say what is wrong with a trial that cannot be read: nothing is done for it until it is mended."""
    conditions = found.status.conditions
    if c.has_any(conditions, COMPLETED):
        return Plan()
    hold_up = HoldUp("TrialUnreadable", f"the Trial cannot be read: {found.problem}", "correct it")
    said = say(conditions, hold_up, now)
    if said == conditions and conditions:
        return Plan()
    status = msgspec.structs.replace(found.status, conditions=said) if conditions else None
    return Plan(status=status, notes=(hold_up.note(),))


def plan_held_up(trial: Trial, hold_up: HoldUp, now: str) -> Plan:
    """Say what is in the way of a trial whose job cannot be made now; an empty plan where it was said."""
    status = trial.status
    if not c.has(status.conditions, c.CREATED):
        status = _with_created(status, now)
    said = say(status.conditions, hold_up, now)
    if said == trial.status.conditions:
        return Plan()
    return Plan(status=msgspec.structs.replace(status, conditions=said), notes=(hold_up.note(),))


def is_completed(trial: Trial) -> bool:
    """Whether the trial has ended, in whichever way."""
    return c.has_any(trial.status.conditions, COMPLETED)


def needs_observation(seen: TrialSeen) -> bool:
    """Whether the store has to be asked: the job has succeeded, or the trial was stopped early.

    A job that is kept is left to its end, whichever it is, before an early-stopped trial's metrics are read.
    """
    trial, state = seen.trial, seen.state
    if c.has(trial.status.conditions, c.METRICS_UNAVAILABLE):
        return False
    if c.has(trial.status.conditions, c.EARLY_STOPPED):
        goes_on = seen.job is not None and (state is None or state.phase is Phase.RUNNING)
        read = is_available(trial.status.observation, trial.spec.objective)
        return not read and not (goes_on and trial.spec.retain_run)
    return state is not None and state.phase is Phase.SUCCEEDED and not is_completed(trial)


def pushes(trial: Trial) -> bool:
    """Whether the training reports its metrics itself, so that none come after its end."""
    collector = trial.spec.metrics_collector.collector
    return collector is not None and collector.kind == PUSH


def _is_first_status(trial: Trial, plan: Plan) -> bool:
    """Whether this is the one write by which the trial gets going, or fails to: there it is counted."""
    started = c.find(trial.status.conditions, c.RUNNING) is not None or is_completed(trial)
    return plan.status is not None and not started


def _plan_live(seen: TrialSeen, now: str) -> Plan:
    trial, status = seen.trial, seen.trial.status
    if not c.has(status.conditions, c.CREATED):
        return _start(seen, now)
    if c.has(status.conditions, c.EARLY_STOPPED) and needs_observation(seen):
        return _observe_stopped(seen, now)
    if is_completed(trial):
        return _clean_up(seen)
    state = seen.state
    if state is not None and state.phase is Phase.FAILED:
        return _fail(trial, state, now)
    if seen.job is None:
        return _run_job(seen, status, now)
    if state is not None and state.phase is Phase.SUCCEEDED:
        return _succeed(seen, state, now)
    return _wait(seen, now)


def _start(seen: TrialSeen, now: str) -> Plan:
    """Created first, as the proof that the trial is live; then its job; then Running."""
    status = _with_created(seen.trial.status, now)
    if seen.job is not None or seen.state is not None:
        return Plan(intent=status)
    return replace(_run_job(seen, status, now), intent=status)


def _with_created(status: TrialStatus, now: str) -> TrialStatus:
    created = c.set_condition(
        status.conditions, c.CREATED, True, reason="TrialCreated", message="Trial is created", now=now
    )
    return msgspec.structs.replace(status, start_time=status.start_time or now, conditions=created)


def _run_job(seen: TrialSeen, status: TrialStatus, now: str) -> Plan:
    """Make the job; if the trial was Running, somebody took the first one away."""
    trial, resource = seen.trial, seen.resource
    if resource is None:
        return Plan()
    name = trial.metadata.name
    notes = [Note("Normal", "JobCreated", f"Job {name} has been created")]
    if c.has(status.conditions, c.RUNNING):
        lost = f"Job {name} is gone though the trial has not ended; it is created again and trains anew"
        notes.insert(0, Note("Warning", "JobVanished", lost))
    create = Create(resource=resource, manifest=compose_job(trial), owner_uid=trial.metadata.uid)
    plan = _run(trial, status, now, tuple(notes))
    if plan.status is None and (settled := settle(status.conditions)) != status.conditions:
        plan = replace(plan, status=msgspec.structs.replace(status, conditions=settled))
    return replace(plan, create=(create,))


def _run(trial: Trial, status: TrialStatus, now: str, notes: tuple[Note, ...]) -> Plan:
    """Running means that the job exists, not that its pods run."""
    if c.has(status.conditions, c.RUNNING):
        return Plan(notes=notes)
    running = c.set_condition(
        settle(status.conditions), c.RUNNING, True, reason="TrialRunning", message="Trial is running", now=now
    )
    note = Note("Normal", "JobRunning", f"Job {trial.metadata.name} is running")
    return Plan(status=msgspec.structs.replace(status, conditions=running), notes=(*notes, note))


def _wait(seen: TrialSeen, now: str) -> Plan:
    """The job runs. What holds it up is said once, and unsaid once that is over for certain."""
    plan = replace(_run(seen.trial, seen.trial.status, now, ()), requeue_after=seen.look_again)
    status = seen.trial.status if not isinstance(plan.status, TrialStatus) else plan.status
    before = status.conditions
    if seen.hold_up is not None:
        after = say(before, seen.hold_up, now)
    else:
        after = settle(before) if seen.look_again is None else before
    if after == before:
        return plan
    news = (seen.hold_up.note(),) if seen.hold_up is not None else ()
    status = msgspec.structs.replace(status, conditions=after)
    return replace(plan, status=status, notes=(*plan.notes, *news))


def _succeed(seen: TrialSeen, state: JobState, now: str) -> Plan:
    trial = seen.trial
    if is_available(seen.observation, trial.spec.objective):
        note = Note("Normal", "JobSucceeded", f"Job {trial.metadata.name} has succeeded")
        plan = _end(seen, c.SUCCEEDED, "TrialSucceeded", "Trial has succeeded", state, now)
        return replace(plan, notes=(note, *_unusable(seen)), counts=(_count(trial, "succeeded"),))
    if seen.observation is None and not seen.gave_up and not pushes(trial):
        return replace(_run(trial, trial.status, now, ()), requeue_after=METRICS_POLL)
    plan = _end(seen, c.METRICS_UNAVAILABLE, "MetricsUnavailable", "Metrics are not available", state, now)
    return replace(plan, notes=_missing(seen), counts=(_count(trial, "metrics_unavailable"),))


def _missing(seen: TrialSeen) -> tuple[Note, ...]:
    trial = seen.trial
    said = Note("Warning", "MetricsUnavailable", f"Metrics are not available for Job {trial.metadata.name}")
    remedy = explain_missing_metrics(trial, seen.observation)
    return said, *_unusable(seen), Note("Warning", "MetricsMissing", remedy)


def _unusable(seen: TrialSeen) -> tuple[Note, ...]:
    return (Note("Warning", "MetricsIgnored", seen.unusable),) if seen.unusable else ()


def _fail(trial: Trial, state: JobState, now: str) -> Plan:
    plan = _end(TrialSeen(trial=trial), c.FAILED, "TrialFailed", "Trial has failed", state, now)
    text = f"Job {trial.metadata.name} has failed"
    if state.message or state.reason:
        text = f"{text}. {state.message} {state.reason}"
    return replace(plan, notes=(Note("Normal", "JobFailed", text),), counts=(_count(trial, "failed"),))


def _end(seen: TrialSeen, kind: str, reason: str, message: str, state: JobState, now: str) -> Plan:
    """The terminal condition, with what the job says of itself behind reason and message."""
    status = seen.trial.status
    if state.reason:
        reason = f"{reason}. Job reason: {state.reason}"
    if state.message:
        message = f"{message}. Job message: {state.message}"
    conditions = c.finish(settle(status.conditions), kind, reason=reason, message=message, now=now)
    observation = seen.observation or status.observation
    return Plan(
        status=msgspec.structs.replace(
            status, conditions=conditions, completion_time=now, observation=observation
        )
    )


def _observe_stopped(seen: TrialSeen, now: str) -> Plan:
    """Stopped early: read what was reached before the job goes, for as long as metrics may still come."""
    status = seen.trial.status
    if is_available(seen.observation, seen.trial.spec.objective):
        kept = msgspec.structs.replace(
            status, conditions=settle(status.conditions), observation=seen.observation
        )
        return Plan(status=kept, notes=_unusable(seen))
    if seen.observation is None and not seen.gave_up:
        return Plan(requeue_after=METRICS_POLL)
    conditions = c.finish(
        settle(status.conditions),
        c.METRICS_UNAVAILABLE,
        reason="MetricsUnavailable",
        message="Metrics are not available",
        now=now,
    )
    return Plan(
        status=msgspec.structs.replace(
            status, conditions=conditions, completion_time=now, observation=seen.observation
        ),
        notes=_missing(seen),
        counts=(_count(seen.trial, "metrics_unavailable"),),
    )


def _clean_up(seen: TrialSeen) -> Plan:
    """Delete the job with its pods, once, unless it is to be kept."""
    trial, job = seen.trial, seen.job
    if job is None or job.deleting or trial.spec.retain_run or seen.resource is None:
        return Plan()
    namespace, name = trial.key
    delete = Delete(
        resource=seen.resource, namespace=namespace, name=name, uid=job.uid, propagation="Foreground"
    )
    return Plan(delete=(delete,), notes=(Note("Normal", "JobDeleted", f"Job {name} has been deleted"),))


def _count(trial: KubeObject, step: str) -> Count:
    return Count(f"katib_trial_{step}_total", (("namespace", trial.metadata.namespace),))
