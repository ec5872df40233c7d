"""What the table shows, computed from the objects: values only, no terminal and no cluster."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kfx.apis.common import ObjectiveSpec, Observation, ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.kube.model import Condition

STATES = ("Pending", "Running", "Succeeded", "EarlyStopped", "Failed", "Killed", "MetricsUnavailable")
_ENDINGS = frozenset(STATES[2:])


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial. ``value``: the objective as reported, ``""`` if there is none; ``reason``: why it failed."""

    name: str
    state: str
    parameters: Mapping[str, str]
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An Experiment at one moment. ``ending`` is ``Succeeded``, ``Failed`` or ``""``."""

    name: str
    objective: str
    wanted: int | None
    rows: tuple[TrialRow, ...]
    best: TrialRow | None
    ending: str
    reason: str
    message: str

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state, in the order of a trial's life; states without trials are left out."""
        counted = Counter(row.state for row in self.rows)
        return {state: counted[state] for state in STATES if counted[state]}


def observe(experiment: Experiment, trials: Iterable[Trial]) -> Progress:
    """What there is to see."""
    objective = experiment.spec.objective or ObjectiveSpec()
    ordered = sorted(trials, key=lambda t: (t.metadata.creation_timestamp or "", t.metadata.name))
    ending = _ending(experiment.status.conditions)
    return Progress(
        name="/".join(experiment.key),
        objective=objective.objective_metric_name,
        wanted=experiment.spec.max_trial_count,
        rows=tuple(_row(trial, objective) for trial in ordered),
        best=_best(experiment, objective),
        ending=ending.type if ending else "",
        reason=ending.reason if ending else "",
        message=ending.message if ending else "",
    )


def state_of(conditions: Sequence[Condition]) -> tuple[str, str]:
    """A trial's state and, if it ended, the message that goes with it."""
    true = [c for c in conditions if c.status == "True"]
    for condition in true:
        if condition.type in _ENDINGS:
            return condition.type, condition.message
    return ("Running" if any(c.type == "Running" for c in true) else "Pending"), ""


def metric_value(observation: Observation | None, objective: ObjectiveSpec) -> str:
    """The objective metric by the strategy of the Experiment: ``min``, ``max`` or ``latest``."""
    name = objective.objective_metric_name
    strategy = next((s.value for s in objective.metric_strategies if s.name == name), "latest")
    for metric in observation.metrics if observation else ():
        if metric.name == name:
            return {"min": metric.min, "max": metric.max}.get(strategy, metric.latest)
    return ""


def _ending(conditions: Sequence[Condition]) -> Condition | None:
    ended = [c for c in conditions if c.status == "True" and c.type in {"Succeeded", "Failed"}]
    return ended[-1] if ended else None


def _row(trial: Trial, objective: ObjectiveSpec) -> TrialRow:
    state, reason = state_of(trial.status.conditions)
    value = metric_value(trial.status.observation, objective)
    return TrialRow(trial.metadata.name, state, _by_name(trial.spec.parameter_assignments), value, reason)


def _best(experiment: Experiment, objective: ObjectiveSpec) -> TrialRow | None:
    optimal = experiment.status.current_optimal_trial
    if optimal is None or not optimal.best_trial_name:
        return None
    value = metric_value(optimal.observation, objective)
    parameters = _by_name(optimal.parameter_assignments)
    return TrialRow(optimal.best_trial_name, "Succeeded", parameters, value, "")


def _by_name(assignments: Iterable[ParameterAssignment]) -> dict[str, str]:
    return {a.name: a.value for a in assignments}


def shorten(text: str) -> str:
    """A number with four digits that count; any other text as it is."""
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.4g}"
    except ValueError:
        return text
