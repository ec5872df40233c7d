"""What an Experiment needs next. No I/O, no clock: values in, a plan out.

First comes what its trials mean for its conditions, then, while it goes on, how many trials are missing.
"""

from dataclasses import dataclass, replace

import msgspec

from kfx.apis.experiment import Experiment, ExperimentSpec, ExperimentStatus
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.budget import ExperimentSeen, Hopeless, ask_first, plan_budget
from kfx.katib.long_lists import shorten_names, told_first
from kfx.katib.names import EXPERIMENT_FINALIZER
from kfx.katib.suggestion import FROM_VOLUME, end, is_exhausted, is_restarting, restart
from kfx.katib.summary import Summary, age_of, state_of
from kfx.runtime.plan import Count, Note, Patch, Plan

NEVER = "Never"
LONG_RUNNING = "LongRunning"
MAX_TRIALS_REACHED = "ExperimentMaxTrialsReached"

_ENDED = {
    NEVER: "Suggestion is succeeded, can't be restarted",
    FROM_VOLUME: "Suggestion is succeeded, suggestion volume is not deleted, can be restarted",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the experiment ends. ``kind`` is Succeeded or Failed."""

    kind: str
    reason: str
    message: str
    cause: str = ""


def plan_experiment(seen: ExperimentSeen, now: str) -> Plan:
    """The next writes; an empty plan where all is as it should be."""
    metadata = seen.experiment.metadata
    owned = EXPERIMENT_FINALIZER in (metadata.finalizers or ())
    if metadata.deletion_timestamp is not None:
        if not owned:
            return Plan()
        return Plan(
            release=(EXPERIMENT_FINALIZER,),
            counts=(_count(seen.experiment, "katib_experiment_deleted_total"),),
        )
    plan = _plan_live(seen, now)
    if (
        isinstance(plan.status, ExperimentStatus)
        and (shorter := shorten_names(plan.status)) is not plan.status
    ):
        plan = told_first(seen.experiment, plan, shorter)
    if plan.status == seen.experiment.status:
        plan = replace(plan, status=None)
    if owned:
        return plan
    created = _count(seen.experiment, "katib_experiment_created_total")
    return replace(plan, add_finalizers=(EXPERIMENT_FINALIZER,), counts=(created, *plan.counts))


def is_completed(experiment: Experiment) -> bool:
    """Whether it has succeeded or failed."""
    return c.has_any(experiment.status.conditions, (c.SUCCEEDED, c.FAILED))


def is_restarted(experiment: Experiment) -> bool:
    """Whether a completed experiment goes on: it had all its trials, and is now allowed more."""
    spec, status = experiment.spec, experiment.status
    succeeded = c.find(status.conditions, c.SUCCEEDED)
    return (
        succeeded is not None
        and succeeded.status == "True"
        and succeeded.reason == MAX_TRIALS_REACHED
        and spec.resume_policy in {LONG_RUNNING, FROM_VOLUME}
        and spec.max_trial_count is not None
        and spec.max_trial_count > status.trials
    )


def judge(spec: ExperimentSpec, summary: Summary, *, exhausted: bool) -> Verdict | None:
    """How the experiment ends by its trials, or ``None`` while it goes on; the first rule wins.

    (Katib ``UpdateExperimentStatusCondition``.)
    """
    most, most_failed = spec.max_trial_count, spec.max_failed_trial_count
    if summary.optimum.goal_reached:
        return _success("ExperimentGoalReached", "Objective goal has reached")
    if most_failed is not None and summary.unsuccessful and summary.unsuccessful >= most_failed:
        message = "Experiment has failed because max failed count has reached"
        return Verdict(c.FAILED, "ExperimentFailed", message)
    if most is not None and summary.done >= most:
        return _success(MAX_TRIALS_REACHED, "max trial count has reached")
    if exhausted and not summary.active:
        return _success("ExperimentSuggestionEndReached", "suggestion service has reached the end")
    return None


def _success(reason: str, because: str) -> Verdict:
    return Verdict(c.SUCCEEDED, reason, f"Experiment has succeeded because {because}")


def _plan_live(seen: ExperimentSeen, now: str) -> Plan:
    experiment = seen.experiment
    status = experiment.status
    if not c.has(status.conditions, c.CREATED):
        return _start(seen, now)
    if is_completed(experiment):
        return _restart(seen, now) if is_restarted(experiment) else _follow(seen, now)
    if seen.refusal:
        verdict = Verdict(c.FAILED, "ExperimentFailed", seen.refusal, seen.refusal)
        # as if it had been refused at admission, where nobody would have counted it
        return replace(_complete(experiment, status, verdict, now), counts=())
    return _drive(seen, status, now)


def _start(seen: ExperimentSeen, now: str) -> Plan:
    """Created first, as the sign that the experiment is what was read; then its Suggestion."""
    experiment, summary = seen.experiment, seen.trials.summary(seen.experiment.spec.objective)
    created = c.set_condition(
        experiment.status.conditions,
        c.CREATED,
        True,
        reason="ExperimentCreated",
        message="Experiment is created",
        now=now,
    )
    status = msgspec.structs.replace(
        experiment.status,
        start_time=experiment.status.start_time or now,
        conditions=created,
        current_optimal_trial=summary.optimum.as_status(experiment.status.current_optimal_trial),
    )
    wanted = seen.suggestion is None and not seen.refusal
    return Plan(intent=status, create=(ask_first(experiment, summary),) if wanted else ())


def _drive(seen: ExperimentSeen, status: ExperimentStatus, now: str) -> Plan:
    """One look at the trials: their sum in the status, the end if it is reached, else what is missing."""
    experiment = seen.experiment
    summary = seen.trials.summary(experiment.spec.objective)
    status = summary.apply_to(status)
    exhausted = seen.suggestion is not None and is_exhausted(seen.suggestion)
    verdict = judge(experiment.spec, summary, exhausted=exhausted)
    if verdict is not None:
        return _complete(experiment, status, _explain(verdict, seen), now)
    budget = plan_budget(seen, summary)
    if isinstance(budget, Hopeless):
        verdict = Verdict(c.FAILED, "ExperimentFailed", budget.message, budget.cause)
        return _complete(experiment, status, verdict, now)
    if summary.trials:
        status = _run(status, now)
    return replace(budget, status=status)


def _run(status: ExperimentStatus, now: str) -> ExperimentStatus:
    running = c.set_condition(
        status.conditions,
        c.RUNNING,
        True,
        reason="ExperimentRunning",
        message="Experiment is running",
        now=now,
    )
    return msgspec.structs.replace(status, conditions=running)


def _complete(experiment: Experiment, status: ExperimentStatus, verdict: Verdict, now: str) -> Plan:
    done = c.finish(status.conditions, verdict.kind, reason=verdict.reason, message=verdict.message, now=now)
    metric = f"katib_experiment_{verdict.kind.lower()}_total"
    return Plan(
        status=msgspec.structs.replace(status, conditions=done, completion_time=now),
        notes=(Note("Warning", verdict.reason, verdict.cause),) if verdict.cause else (),
        counts=(_count(experiment, metric),),
    )


def _explain(verdict: Verdict, seen: ExperimentSeen) -> Verdict:
    """A failure with the last unsuccessful trial named, so that the reader knows where to look."""
    if verdict.kind != c.FAILED:
        return verdict
    last = max(seen.trials.in_state(c.FAILED, c.METRICS_UNAVAILABLE), key=age_of)
    return replace(
        verdict, cause=f"{verdict.message}; the last one: Trial {last.metadata.name}: {_why(last)}"
    )


def _why(trial: Trial) -> str:
    found = c.find(trial.status.conditions, state_of(trial))
    return f"{found.reason}: {found.message}" if found is not None else "no reason is given"


def _follow(seen: ExperimentSeen, now: str) -> Plan:
    """Completed: let the Suggestion go, and count the trials that still run."""
    patches = _retire_suggestion(seen, now)
    status = seen.experiment.status
    if not status.trials_running:
        return Plan(patch=patches)
    summary = seen.trials.summary(seen.experiment.spec.objective)
    return Plan(patch=patches, status=summary.apply_to(status))


def _restart(seen: ExperimentSeen, now: str) -> Plan:
    """Go on with the trials there are. The Suggestion begins again first; new requests follow."""
    status = seen.experiment.status
    kept = c.remove(c.remove(status.conditions, c.SUCCEEDED), c.FAILED)
    again = c.set_condition(
        kept,
        c.RESTARTING,
        True,
        reason="ExperimentRestarting",
        message="Experiment is restarted",
        now=now,
    )
    plan = _drive(seen, msgspec.structs.replace(status, conditions=again), now)
    patches = _restart_suggestion(seen, now)
    return Plan(patch=patches, status=plan.status) if patches else plan


def _retire_suggestion(seen: ExperimentSeen, now: str) -> tuple[Patch, ...]:
    """(Katib ``cleanupSuggestionResources``, without the Deployment and Service that do not exist here.)"""
    suggestion, message = seen.suggestion, _ENDED.get(seen.experiment.spec.resume_policy or NEVER)
    if suggestion is None or message is None or is_restarting(suggestion):
        return ()
    conditions = suggestion.status.conditions
    if c.has_any(conditions, (c.SUCCEEDED, c.FAILED)):
        return ()
    ended = end(conditions, reason="Experiment is succeeded", message=message, now=now)
    changes = {"status": {"conditions": c.as_json(ended)}}
    return (Patch(target=suggestion, changes=changes, subresource="status"),)


def _restart_suggestion(seen: ExperimentSeen, now: str) -> tuple[Patch, ...]:
    suggestion = seen.suggestion
    if suggestion is None or seen.experiment.spec.resume_policy != FROM_VOLUME or is_restarting(suggestion):
        return ()
    changes = {"status": {"conditions": c.as_json(restart(suggestion.status.conditions, now=now))}}
    return (Patch(target=suggestion, changes=changes, subresource="status"),)


def _count(experiment: Experiment, metric: str) -> Count:
    return Count(metric, (("namespace", experiment.metadata.namespace),))
