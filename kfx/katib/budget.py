"""How many trials an experiment may start now, or has to give up, and the writes that this takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import Experiment, ExperimentSpec
from kfx.apis.suggestion import Suggestion, TrialAssignment
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.compose import compose_suggestion, compose_trial
from kfx.katib.suggestion import dropped, give_up, is_exhausted
from kfx.katib.summary import PENDING, Summary, age_of, state_of
from kfx.katib.tally import Tally
from kfx.katib.trial_template import RenderError
from kfx.kube.model import to_builtins
from kfx.runtime.plan import Create, Delete, Note, Patch, Plan

DEFAULT_PARALLEL = 3  # Katib's defaulter
TEMPLATE_POLL = 30.0  # seconds until a template in a ConfigMap is read again
REMINDER = 600.0  # seconds until an event is repeated that only an edit can end; events live for an hour
MADE_AT_ONCE = 24  # trials of one experiment; before its next ones, others that wait have their turn
MADE_AGAIN = 0.1  # seconds until then

RenderTrial = Callable[[Experiment, str, Sequence[ParameterAssignment], str | None], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSeen:
    """What an experiment is decided on.

    ``trials`` and ``suggestion`` are this experiment's own, not a namesake's.
    ``refusal``: why the specification cannot be followed, ``""`` if it can. ``template_text``: the text of
    the template's ConfigMap; ``template_problem``: why there is none now, though there may be later.
    """

    experiment: Experiment
    trials: Tally
    suggestion: Suggestion | None
    render: RenderTrial
    refusal: str = ""
    template_text: str | None = None
    template_problem: str = ""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The experiment cannot go on; ``cause`` says more than the condition's ``message``."""

    message: str
    cause: str


def plan_budget(seen: ExperimentSeen, summary: Summary) -> Plan | Hopeless:
    """Trials, and the Suggestion's requests, made to fit the numbers of the specification.

    The plan has no status. (Katib ``ReconcileTrials`` with its ``createTrials`` and ``deleteTrials``.)
    """
    surplus = summary.active - _parallel(seen.experiment.spec)
    if surplus > 0:
        return _shrink(seen, surplus)
    add = places(seen.experiment.spec, summary)
    if add <= 0:
        return Plan()
    if seen.suggestion is None:
        return Plan(create=(ask_first(seen.experiment, summary),))
    if c.has(seen.suggestion.status.conditions, c.FAILED):
        return Hopeless("Suggestion has failed", _cause(seen.suggestion))
    return _grow(seen, seen.suggestion, summary, add)


def ask_first(experiment: Experiment, summary: Summary) -> Create:
    """The Suggestion, with the first request in it."""
    requests = summary.trials + places(experiment.spec, summary) - summary.unobserved
    return Create(
        resource=Suggestion.resource,
        manifest=compose_suggestion(experiment, requests),
        owner_uid=experiment.metadata.uid,
    )


def places(spec: ExperimentSpec, summary: Summary) -> int:
    """How many trials may be added now; negative where there are too many."""
    parallel = _parallel(spec)
    left = parallel if spec.max_trial_count is None else min(spec.max_trial_count - summary.done, parallel)
    return left - summary.active


def needs_template(seen: ExperimentSeen) -> bool:
    """Whether the text of the template has to be read from its ConfigMap: there are trials to make."""
    return _is_in_config_map(seen.experiment.spec) and bool(missing_trials(seen))


def missing_trials(seen: ExperimentSeen) -> list[TrialAssignment]:
    """The assignments that no trial has taken up, in the order they were given."""
    if seen.suggestion is None:
        return []
    names = seen.trials.names
    return [a for a in seen.suggestion.status.suggestions if a.name not in names]


def _parallel(spec: ExperimentSpec) -> int:
    return DEFAULT_PARALLEL if spec.parallel_trial_count is None else spec.parallel_trial_count


def _grow(seen: ExperimentSeen, suggestion: Suggestion, summary: Summary, add: int) -> Plan | Hopeless:
    missing = missing_trials(seen)
    # what has left the list is not among the missing, if somebody deletes its trial
    there = (
        suggestion.status.suggestion_count - len(missing) if dropped(suggestion.status) else summary.trials
    )
    requests = there + add - summary.unobserved
    patch: tuple[Patch, ...] = ()
    if requests != suggestion.spec.requests and not is_exhausted(suggestion):
        patch = (Patch(target=suggestion, changes={"spec": {"requests": requests}}),)
    wanted = missing[:add]
    creates, problem = _render(seen, wanted[:MADE_AT_ONCE])
    if not problem:
        again = MADE_AGAIN if len(wanted) > MADE_AT_ONCE else None
        return Plan(create=creates, patch=patch, requeue_after=again)
    note = Note("Warning", "ReconcileError", f"Failed to reconcile: {problem}")
    poll = TEMPLATE_POLL if _is_in_config_map(seen.experiment.spec) else REMINDER
    return Plan(create=creates, patch=patch, notes=(note,), requeue_after=poll)


def _render(seen: ExperimentSeen, assignments: Sequence[TrialAssignment]) -> tuple[tuple[Create, ...], str]:
    """The trials before the first that cannot be rendered, and why that one cannot."""
    creates: list[Create] = []
    if assignments and seen.template_problem:
        return (), seen.template_problem
    for assignment in assignments:
        try:
            creates.append(_create(seen, assignment))
        except RenderError as error:
            return tuple(creates), str(error)
    return tuple(creates), ""


def _create(seen: ExperimentSeen, assignment: TrialAssignment) -> Create:
    run_spec = seen.render(
        seen.experiment, assignment.name, assignment.parameter_assignments, seen.template_text
    )
    return Create(
        resource=Trial.resource,
        manifest=compose_trial(seen.experiment, assignment, run_spec),
        owner_uid=seen.experiment.metadata.uid,
    )


def _is_in_config_map(spec: ExperimentSpec) -> bool:
    return spec.trial_template is not None and spec.trial_template.config_map is not None


def _shrink(seen: ExperimentSeen, surplus: int) -> Plan:
    """Give up ``surplus`` active trials and forget their assignments.

    First the Suggestion is asked for no more than will be left, or it would replace them; the rest follows
    when that has been seen.
    """
    victims = _victims(seen, surplus)
    names = {victim.metadata.name for victim in victims}
    deletes = tuple(_delete(victim) for victim in victims if victim.metadata.deletion_timestamp is None)
    suggestion = seen.suggestion
    if suggestion is None:
        return Plan(delete=deletes)
    left = give_up(suggestion.status, names)
    if len(left.suggestions) == len(suggestion.status.suggestions):
        return Plan(delete=deletes)
    if suggestion.spec.requests != left.suggestion_count:
        changes = {"spec": {"requests": left.suggestion_count}}
        return Plan(patch=(Patch(target=suggestion, changes=changes),))
    status = {
        "suggestions": [to_builtins(a) for a in left.suggestions],
        "suggestionCount": left.suggestion_count,
        "assignmentsMade": left.assignments_made,
    }
    return Plan(
        patch=(Patch(target=suggestion, changes={"status": status}, subresource="status"),), delete=deletes
    )


def _victims(seen: ExperimentSeen, surplus: int) -> list[Trial]:
    """Active trials only: those going already, those forgotten already, pending ones, then the newest."""
    assigned = {a.name for a in seen.suggestion.status.suggestions} if seen.suggestion is not None else set()
    newest_first = sorted(seen.trials.in_state(PENDING, c.RUNNING), key=age_of, reverse=True)
    ranked = sorted(
        newest_first,
        key=lambda t: (
            t.metadata.deletion_timestamp is None,
            t.metadata.name in assigned,
            state_of(t) != PENDING,
        ),
    )
    return ranked[:surplus]


def _delete(trial: Trial) -> Delete:
    return Delete(
        resource=Trial.resource,
        namespace=trial.metadata.namespace,
        name=trial.metadata.name,
        uid=trial.metadata.uid,
        resource_version=trial.metadata.resource_version,  # one that has just ended is to stay
    )


def _cause(suggestion: Suggestion) -> str:
    failed = c.find(suggestion.status.conditions, c.FAILED)
    return f"Suggestion has failed: {failed.message if failed is not None else 'no reason is given'}"
