"""What a Suggestion needs next, when the algorithm runs in this process. Values in, a plan out.

The reconciler validates and asks, because asking may be slow; what comes of it is decided here.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from kfx.apis.common import AlgorithmSetting, ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion, SuggestionStatus, TrialAssignment
from kfx.katib import conditions as c
from kfx.katib.compose import VOLUME_CLAIMS, compose_volume_claim
from kfx.katib.long_lists import shorten_assignments, told_first
from kfx.katib.names import trial_name
from kfx.katib.summary import PENDING
from kfx.katib.tally import Tally
from kfx.runtime.plan import Create, Note, Plan

FROM_VOLUME = "FromVolume"
EXHAUSTED_REASON = "SuggestionEndReached"
RESTARTING_REASON = "Experiment is restarting"
ENDED_REASON = "Suggestion is succeeded"
NOTHING_LEFT_POLL = 10.0  # seconds until an algorithm that had nothing is asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionSeen:
    """``problem``: what the algorithm has against the experiment, ``""`` for nothing.

    ``answer``: the assignments it gave, one tuple a trial; ``None`` where it was not asked.
    ``experiment`` is ``None`` when it is gone or is not the one this Suggestion was made for.
    ``claim``: the specification of a volume claim, from katib-config; only asked for before it runs.
    """

    suggestion: Suggestion
    experiment: Experiment | None
    trials: Tally = field(default_factory=Tally)
    problem: str = ""
    answer: Sequence[tuple[ParameterAssignment, ...]] | None = None
    claim: Mapping[str, Any] = field(default_factory=dict)


def needs_validation(suggestion: Suggestion) -> bool:
    """Whether the settings are checked now: before it runs for the first time, and after a restart."""
    conditions = suggestion.status.conditions
    return is_live(suggestion) and not c.has(conditions, c.RUNNING)


def needs_volume(suggestion: Suggestion) -> bool:
    """Whether the volume claim is made now: before it runs, also after a restart, if it is still there."""
    return suggestion.spec.resume_policy == FROM_VOLUME and needs_validation(suggestion)


def wanted(suggestion: Suggestion) -> int:
    """How many assignments the algorithm is asked for now."""
    if not is_live(suggestion):
        return 0
    return max(0, suggestion.spec.requests - suggestion.status.suggestion_count)


def made(status: SuggestionStatus) -> int:
    """How many assignments there ever were. It never goes back."""
    return max(status.assignments_made, status.suggestion_count, len(status.suggestions))


def next_number(status: SuggestionStatus, trials: Tally) -> int:
    """The number of the next assignment.

    Where somebody has deleted the Suggestion, and it was made again, it goes on behind the trials there are.
    """
    return made(status) or len(trials)


def give_up(status: SuggestionStatus, names: Container[str]) -> SuggestionStatus:
    """The status without the assignments of those trials."""
    left = tuple(a for a in status.suggestions if a.name not in names)
    return _with_list(status, left, suggestion_count=len(left) + dropped(status), ever=made(status))


def dropped(status: SuggestionStatus) -> int:
    """How many assignments are counted, but have left a list that became too long."""
    return max(0, status.suggestion_count - len(status.suggestions))


def is_exhausted(suggestion: Suggestion) -> bool:
    """Whether the algorithm has nothing more to give."""
    found = c.find(suggestion.status.conditions, c.SUCCEEDED)
    return found is not None and found.status == "True" and found.reason == EXHAUSTED_REASON


def is_restarting(suggestion: Suggestion) -> bool:
    """Whether its experiment goes on and it has not begun again yet."""
    found = c.find(suggestion.status.conditions, c.RUNNING)
    return found is not None and found.status == "False" and found.reason == RESTARTING_REASON


def overlay_settings(experiment: Experiment, suggestion: Suggestion) -> Experiment:
    """The experiment with the settings that earlier answers changed: replaced by name, new ones behind."""
    changed = {s.name: s.value for s in suggestion.status.algorithm_settings}
    algorithm = experiment.spec.algorithm
    if not changed or algorithm is None:
        return experiment
    kept = [
        AlgorithmSetting(name=s.name, value=changed.pop(s.name, s.value))
        for s in algorithm.algorithm_settings
    ]
    added = [AlgorithmSetting(name=name, value=value) for name, value in changed.items()]
    algorithm = msgspec.structs.replace(algorithm, algorithm_settings=(*kept, *added))
    spec = msgspec.structs.replace(experiment.spec, algorithm=algorithm)
    return msgspec.structs.replace(experiment, spec=spec)


def end(conditions: c.Conditions, *, reason: str, message: str, now: str) -> c.Conditions:
    """The conditions of a Suggestion that has done its work (Katib ``MarkSuggestionStatusSucceeded``)."""
    for kind, text in (
        (c.RUNNING, "Suggestion is not running"),
        (c.DEPLOYMENT_READY, "Deployment is not ready"),
    ):
        if c.find(conditions, kind) is not None:
            conditions = c.set_condition(conditions, kind, False, reason=ENDED_REASON, message=text, now=now)
    return c.set_condition(conditions, c.SUCCEEDED, True, reason=reason, message=message, now=now)


def restart(conditions: c.Conditions, *, now: str) -> c.Conditions:
    """The conditions of a Suggestion that has to begin again."""
    return c.set_condition(
        c.remove(conditions, c.SUCCEEDED),
        c.RUNNING,
        False,
        reason=RESTARTING_REASON,
        message="Suggestion is not running",
        now=now,
    )


def plan_suggestion(seen: SuggestionSeen, now: str) -> Plan:
    """The next writes; an empty plan where all that is asked for has been answered."""
    plan = _plan(seen, now)
    if needs_volume(seen.suggestion) and not seen.problem and seen.experiment is not None:
        claim = compose_volume_claim(seen.suggestion, seen.claim)
        create = Create(resource=VOLUME_CLAIMS, manifest=claim, owner_uid=seen.suggestion.metadata.uid)
        plan = replace(plan, create=(create,))
    return replace(plan, status=None) if plan.status == seen.suggestion.status else plan


def _plan(seen: SuggestionSeen, now: str) -> Plan:
    suggestion, status = seen.suggestion, seen.suggestion.status
    if suggestion.metadata.deletion_timestamp is not None:
        return Plan()
    if not c.has(status.conditions, c.CREATED):
        return Plan(status=mark_created(status, now))
    if seen.experiment is None or not is_live(suggestion):
        return Plan()
    if seen.problem:
        return refuse(status, seen.problem, now)
    status = mark_running(status, now)
    if seen.answer is None:
        return Plan(status=status)
    answer = [TrialAssignment(parameter_assignments=each) for each in seen.answer[: wanted(suggestion)]]
    seed = f"{suggestion.metadata.uid}/{suggestion.metadata.generation}"
    return take_answer(suggestion, seen.trials, status, answer, seed=seed, now=now)


def take_answer(
    suggestion: Suggestion,
    trials: Tally,
    status: SuggestionStatus,
    answer: Sequence[TrialAssignment],
    *,
    seed: str,
    now: str,
) -> Plan:
    """The plan with ``status`` and the assignments of ``answer`` behind the old ones.

    Those without a name are given one, the same for the same ``seed`` and number. No answer is the
    algorithm's end, unless a trial may still give it new ideas.
    """
    if not answer:
        return _run_dry(trials, status, now)
    longer = _append(suggestion, trials, status, answer, seed)
    shorter = shorten_assignments(longer, trials)
    plan = Plan(status=longer)
    return plan if shorter is longer else told_first(suggestion, plan, shorter)


def has_ended(suggestion: Suggestion) -> bool:
    """Whether it has succeeded or failed, and is not being deleted."""
    ended = c.has_any(suggestion.status.conditions, (c.SUCCEEDED, c.FAILED))
    return ended and suggestion.metadata.deletion_timestamp is None


def is_live(suggestion: Suggestion) -> bool:
    """Whether it has begun and not ended."""
    conditions = suggestion.status.conditions
    return c.has(conditions, c.CREATED) and not c.has_any(conditions, (c.SUCCEEDED, c.FAILED))


def mark_created(status: SuggestionStatus, now: str) -> SuggestionStatus:
    """The status of one that has just been seen first."""
    created = c.set_condition(
        status.conditions,
        c.CREATED,
        True,
        reason="SuggestionCreated",
        message="Suggestion is created",
        now=now,
    )
    return msgspec.structs.replace(status, start_time=status.start_time or now, conditions=created)


def mark_running(status: SuggestionStatus, now: str) -> SuggestionStatus:
    """Ready and running, in one write where it was neither."""
    if c.has(status.conditions, c.RUNNING):
        return status
    running = c.set_condition(
        mark_ready(status.conditions, now),
        c.RUNNING,
        True,
        reason="SuggestionRunning",
        message="Suggestion is running",
        now=now,
    )
    return msgspec.structs.replace(status, conditions=running)


def mark_ready(conditions: c.Conditions, now: str, *, ready: bool = True) -> c.Conditions:
    """The conditions of one whose algorithm can be asked, or cannot yet."""
    return c.set_condition(
        conditions,
        c.DEPLOYMENT_READY,
        ready,
        reason="DeploymentReady" if ready else "DeploymentNotReady",
        message="Deployment is ready" if ready else "Deployment is not ready",
        now=now,
    )


def refuse(status: SuggestionStatus, problem: str, now: str) -> Plan:
    """The end of one whose settings the algorithm does not take."""
    message = f"Validation failed: {problem}"
    ready = mark_ready(status.conditions, now)
    failed = c.finish(ready, c.FAILED, reason="SuggestionFailed", message=message, now=now)
    return Plan(
        status=msgspec.structs.replace(status, conditions=failed),
        notes=(Note("Warning", "SuggestionFailed", message),),
    )


def _append(
    suggestion: Suggestion,
    trials: Tally,
    status: SuggestionStatus,
    answer: Sequence[TrialAssignment],
    seed: str,
) -> SuggestionStatus:
    first = next_number(status, trials)
    taken = {s.name for s in status.suggestions} | set(trials.names)
    added: list[TrialAssignment] = []
    for index, assignment in enumerate(answer, first):
        name = assignment.name or trial_name(suggestion.metadata.name, seed=seed, index=index, taken=taken)
        taken.add(name)
        added.append(msgspec.structs.replace(assignment, name=name))
    suggestions = (*status.suggestions, *added)
    count = len(suggestions) + dropped(status)
    return _with_list(status, suggestions, suggestion_count=count, ever=first + len(added))


def _with_list(
    status: SuggestionStatus, suggestions: tuple[TrialAssignment, ...], *, suggestion_count: int, ever: int
) -> SuggestionStatus:
    return msgspec.structs.replace(
        status,
        suggestions=suggestions,
        suggestion_count=suggestion_count,
        assignments_made=ever if ever > suggestion_count else 0,
    )


def is_busy(trials: Tally, status: SuggestionStatus) -> bool:
    """Whether a trial runs, or is still to be made, whose result may give the algorithm new ideas."""
    active = trials.in_state(PENDING, c.RUNNING)
    return bool(active) or any(s.name not in trials.names for s in status.suggestions)


def wait_for_ideas(status: SuggestionStatus) -> Plan:
    """Katib's event for an algorithm that had nothing; it is asked again."""
    note = Note("Warning", "ReconcileError", "The response contains unexpected trials")
    return Plan(status=status, notes=(note,), requeue_after=NOTHING_LEFT_POLL)


def _run_dry(trials: Tally, status: SuggestionStatus, now: str) -> Plan:
    """The algorithm had nothing: its end, unless a trial that still runs may give it new ideas."""
    if is_busy(trials, status):
        return wait_for_ideas(status)
    message = "Suggestion is succeeded, the algorithm has no more assignments"
    ended = end(status.conditions, reason=EXHAUSTED_REASON, message=message, now=now)
    return Plan(status=msgspec.structs.replace(status, conditions=ended))
