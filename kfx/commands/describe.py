"""``kfx describe``: one object on one screen."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from kfx.apis.common import ParameterSpec
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.apis.workload import Event
from kfx.commands.get import KINDS, Found
from kfx.commands.rows import assignments, best_value, duration, value_of
from kfx.commands.session import Failure, Session, attempt
from kfx.commands.tables import align, indent, paragraph
from kfx.katib.ages import spell_age
from kfx.katib.explanation import Unread
from kfx.katib.hold_up import said_of
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.summary import age_of
from kfx.kube.decode import Undecodable
from kfx.kube.errors import NotFound
from kfx.kube.model import Condition

MOST_EVENTS = 10_000
SHOWN_EVENTS = 15
NOTHING = "<none>"

Section = tuple[str, str | list[str]]
"""A heading with a text beside it, or with lines below it."""


async def describe(given: Namespace, session: Session) -> int:
    """Print one Experiment, Trial or Suggestion with what happened to it."""
    kind = KINDS[given.kind]
    try:
        found: Found = await session.client.get(kind, session.namespace, given.name)
    except NotFound as missing:
        raise session.not_found(kind.resource, given.name, missing) from None
    except Undecodable as failed:
        look = f"kfx get {kind.resource.plural} {given.name} -n {session.namespace} -o yaml"
        raise Failure(f"{failed}; correct the field, {look} shows the object as it stands") from None
    trials = await _read_trials(session, found)
    events = await _read_events(session, found, trials)
    now = datetime.now(UTC)
    if given.output == "json":
        document = await session.document(kind.resource, given.name)
        document.get("metadata", {}).pop("managedFields", None)
        shown = {"object": document, "events": _as_json(events)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n")
        return 0
    sys.stdout.write("\n".join(render(found, events, now, trials)) + "\n")
    return 0


async def _read_trials(session: Session, found: Found) -> Sequence[Trial]:
    """Those of an Experiment, as far as they may be read."""
    if not isinstance(found, Experiment):
        return ()
    labels = f"{LABEL_EXPERIMENT}={found.metadata.name}"
    trials = await attempt(Trial.resource, session.list_objects(Trial, labels=labels))
    return trials if isinstance(trials, tuple) else ()


async def _read_events(session: Session, found: Found, trials: Sequence[Trial]) -> Sequence[Event] | Unread:
    """Of the object and, for an Experiment, of its Suggestion and its Trials; the newest last."""
    names = {found.metadata.name, *(trial.metadata.name for trial in trials)}
    events = await attempt(Event.resource, session.list_objects(Event, most=MOST_EVENTS))
    if isinstance(events, Unread):
        return events
    kinds = {"Experiment", "Suggestion", "Trial"} if isinstance(found, Experiment) else {found.resource.kind}
    if isinstance(found, Trial):
        kinds |= {str(found.spec.run_document().get("kind"))}
    own = [e for e in events or () if e.involved_object.name in names and e.involved_object.kind in kinds]
    return sorted(own, key=lambda event: event.last_seen)


def render(
    found: Found, events: Sequence[Event] | Unread, now: datetime, trials: Sequence[Trial] = ()
) -> list[str]:
    """The whole screen; ``trials`` are those of an Experiment."""
    metadata = found.metadata
    created = f"{metadata.creation_timestamp or '?'} ({spell_age(metadata.creation_timestamp, now)} ago)"
    head: list[Section] = [
        (found.resource.kind, f"{metadata.namespace}/{metadata.name}"),
        ("Created", created),
    ]
    if metadata.deletion_timestamp is not None:
        head.append(("Deleting", f"for {spell_age(metadata.deletion_timestamp, now)}"))
    match found:
        case Experiment():
            own = [*_experiment(found), *_held_up(trials)]
        case Trial():
            own = _trial(found, now)
        case Suggestion():
            own = _suggestion(found)
    tail: list[Section] = [
        ("Conditions", _conditions(found.status.conditions, now)),
        ("Events", _events(events, now)),
    ]
    return [line for section in (*head, *own, *tail) for line in _lay_out(*section)]


def _lay_out(heading: str, content: str | list[str]) -> list[str]:
    if isinstance(content, list) and content:
        return [f"{heading}:", *indent(content)]
    return paragraph(str(content or NOTHING), first=f"{heading + ':':<14}")


def _experiment(experiment: Experiment) -> list[Section]:
    spec, status = experiment.spec, experiment.status
    goal = NOTHING
    if spec.objective is not None:
        target = f", goal {spec.objective.goal:g}" if spec.objective.goal is not None else ""
        goal = f"{spec.objective.type} {spec.objective.objective_metric_name}{target}"
    settings = assignments(spec.algorithm.algorithm_settings) if spec.algorithm else "-"
    name = spec.algorithm.algorithm_name if spec.algorithm else NOTHING
    return [
        ("Objective", goal),
        ("Algorithm", name + (f" ({settings})" if settings != "-" else "")),
        ("Budget", _budget(experiment)),
        ("Parameters", _table(_space(parameter) for parameter in spec.parameters)),
        ("Trials", _counts(status)),
        ("Best trial", _best(experiment)),
    ]


def _held_up(trials: Iterable[Trial]) -> list[Section]:
    """What the Trials say that do not get on, each reason with the first of those that it holds up."""
    found: dict[str, list[str]] = {}
    for trial in sorted(trials, key=age_of):
        reason, message = said_of(trial.status.conditions)
        if reason:
            found.setdefault(reason, []).append(f"{trial.metadata.name}: {message}")
    lines = []
    for reason, texts in found.items():
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        lines += paragraph(texts[0], first=f"{reason}{more}  ")
    return [("Held up", lines)] if lines else []


def _budget(experiment: Experiment) -> str:
    spec = experiment.spec
    parts = [
        ("at most {} trials", spec.max_trial_count),
        ("{} at once", spec.parallel_trial_count),
        ("given up after {} failed", spec.max_failed_trial_count),
    ]
    return ", ".join(text.format(number) for text, number in parts if number is not None) or NOTHING


def _space(parameter: ParameterSpec) -> list[str]:
    space = parameter.feasible_space
    where = ", ".join(space.list) if space.list else f"{space.min} to {space.max}"
    step = f", step {space.step}" if space.step else ""
    return [parameter.name, parameter.parameter_type, f"{where}{step}", space.distribution]


def _counts(status: Any) -> str:
    named = [
        ("pending", status.trials_pending),
        ("running", status.trials_running),
        ("succeeded", status.trials_succeeded),
        ("stopped early", status.trials_early_stopped),
        ("failed", status.trials_failed),
        ("without metrics", status.trial_metrics_unavailable),
        ("killed", status.trials_killed),
    ]
    words = ", ".join(f"{number} {word}" for word, number in named if number)
    return f"{status.trials}: {words}" if words else str(status.trials)


def _best(experiment: Experiment) -> str | list[str]:
    best, objective = experiment.status.current_optimal_trial, experiment.spec.objective
    if best is None or not best.best_trial_name:
        return "none yet"
    metric = objective.objective_metric_name if objective is not None else "value"
    rows = [[metric, best_value(experiment)], *([a.name, a.value] for a in best.parameter_assignments)]
    return [best.best_trial_name, *(f"  {line}" for line in _table(rows))]


def _trial(trial: Trial, now: datetime) -> list[Section]:
    objective = trial.spec.objective
    metric = objective.objective_metric_name if objective is not None else "value"
    document = trial.spec.run_document()
    metrics = trial.status.observation.metrics if trial.status.observation is not None else ()
    rows = [[m.name, f"min {m.min}", f"max {m.max}", f"latest {m.latest}"] for m in metrics]
    return [
        ("Experiment", trial.metadata.label(LABEL_EXPERIMENT)),
        ("Runs", f"{document.get('kind', '?')} {trial.metadata.name} ({document.get('apiVersion', '?')})"),
        ("Duration", duration(trial, now)),
        ("Parameters", _table([a.name, a.value] for a in trial.spec.parameter_assignments)),
        ("Objective", f"{metric} = {value_of(trial.status.observation, objective) or 'not known'}"),
        ("Metrics", _table(rows)),
    ]


def _suggestion(suggestion: Suggestion) -> list[Section]:
    spec, status = suggestion.spec, suggestion.status
    last = [[each.name, assignments(each.parameter_assignments)] for each in status.suggestions[-5:]]
    return [
        ("Algorithm", spec.algorithm.algorithm_name if spec.algorithm else ""),
        ("Assignments", f"{status.suggestion_count} given, {spec.requests} asked for"),
        ("The last ones", _table(last)),
    ]


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as lines, no line for no row."""
    lines = list(rows)
    return align(lines) if lines else []


def _conditions(conditions: Sequence[Condition], now: datetime) -> list[str]:
    rows = [
        [c.type, c.status, spell_age(c.last_transition_time or c.last_update_time, now), c.reason, c.message]
        for c in conditions
    ]
    return _table([["TYPE", "STATUS", "AGE", "REASON", "MESSAGE"], *rows]) if rows else []


def _events(events: Sequence[Event] | Unread, now: datetime) -> str | list[str]:
    if isinstance(events, Unread) or not events:
        return str(events or NOTHING)
    rows = [["AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"]]
    for event in events[-SHOWN_EVENTS:]:
        age = spell_age(event.last_seen, now)
        times = f" (x{event.times} over {spell_age(event.first_timestamp, now)})" if event.times > 1 else ""
        about = f"{event.involved_object.kind}/{event.involved_object.name}"
        rows.append([f"{age}{times}", event.type, event.reason, about, event.message])
    earlier = len(events) - SHOWN_EVENTS
    return [*([f"({earlier} earlier ones are left out)"] if earlier > 0 else []), *_table(rows)]


def _as_json(events: Sequence[Event] | Unread) -> Any:
    if isinstance(events, Unread):
        return {"unread": str(events)}
    return [
        {
            "object": {"kind": e.involved_object.kind, "name": e.involved_object.name},
            "type": e.type,
            "reason": e.reason,
            "message": e.message,
            "count": e.times,
            "lastSeen": e.last_seen,
        }
        for e in events
    ]
