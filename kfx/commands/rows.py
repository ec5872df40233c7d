"""One line for each Experiment, Trial and Suggestion: kubectl's columns, and what else one wants to know."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kfx.apis.common import UNAVAILABLE, ObjectiveSpec, Observation, ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.commands.tables import shorten
from kfx.katib.ages import parse_time, spell, spell_age
from kfx.katib.floats import parse_float
from kfx.katib.hold_up import said_of
from kfx.katib.names import LABEL_EXPERIMENT
from kfx.katib.observation import objective_value
from kfx.katib.optimal import MINIMIZE
from kfx.kube.model import Condition

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """``wide`` columns are shown on request; ``cell`` makes the text of one object."""

    heading: str
    cell: Callable[[Any, datetime], str]
    wide: bool = False


def assignments(found: Iterable[ParameterAssignment]) -> str:
    """``lr=0.01 layers=3``."""
    return " ".join(f"{a.name}={shorten(a.value)}" for a in found) or NOTHING


def value_of(observation: Observation | None, objective: ObjectiveSpec | None) -> str:
    """The objective's value as reported; ``""`` for none."""
    value = objective_value(observation, objective)
    return "" if value == UNAVAILABLE else value


def best_value(experiment: Experiment) -> str:
    """The best trial's objective; ``""`` for none yet."""
    best = experiment.status.current_optimal_trial
    return value_of(best.observation, experiment.spec.objective) if best is not None else ""


def by_objective(trials: Iterable[Trial]) -> list[Trial]:
    """The best first; those without a number behind, oldest first."""
    return sorted(trials, key=_rank)


def _rank(trial: Trial) -> tuple[bool, float, str, str]:
    objective = trial.spec.objective
    value = parse_float(value_of(trial.status.observation, objective), clamp=True)
    age = (trial.metadata.creation_timestamp or "", trial.metadata.name)
    if value is None or value != value:  # noqa: PLR0124 — NaN
        return True, 0.0, *age
    return False, value if objective is not None and objective.type == MINIMIZE else -value, *age


def duration(trial: Trial, now: datetime) -> str:
    """From its start to its end, or to now."""
    began = parse_time(trial.status.start_time)
    ended = parse_time(trial.status.completion_time) or now
    return spell((ended - began).total_seconds()) if began is not None else NOTHING


def _last(conditions: Sequence[Condition]) -> Condition | None:
    return conditions[-1] if conditions else None


def _type(obj: Experiment | Trial | Suggestion, now: datetime) -> str:
    last = _last(obj.status.conditions)
    return last.type if last is not None else ""


def _status(obj: Experiment | Trial | Suggestion, now: datetime) -> str:
    last = _last(obj.status.conditions)
    return last.status if last is not None else ""


def _age(obj: Experiment | Trial | Suggestion, now: datetime) -> str:
    return spell_age(obj.metadata.creation_timestamp, now)


def _failed(experiment: Experiment, now: datetime) -> str:
    status = experiment.status
    return str(status.trials_failed + status.trial_metrics_unavailable + status.trials_killed)


def _best(experiment: Experiment, now: datetime) -> str:
    value = best_value(experiment)
    metric = experiment.spec.objective.objective_metric_name if experiment.spec.objective else ""
    return f"{metric}={shorten(value)}" if value else NOTHING


def _best_parameters(experiment: Experiment, now: datetime) -> str:
    best = experiment.status.current_optimal_trial
    return assignments(best.parameter_assignments if best is not None else ())


def _trials(experiment: Experiment, now: datetime) -> str:
    most = experiment.spec.max_trial_count
    return f"{experiment.status.trials}/{most}" if most is not None else str(experiment.status.trials)


def _objective(trial: Trial, now: datetime) -> str:
    return shorten(value_of(trial.status.observation, trial.spec.objective)) or NOTHING


def _reason(trial: Trial, now: datetime) -> str:
    """Why it ended badly, or what holds it up."""
    last = _last(trial.status.conditions)
    if last is None or last.type == "Succeeded":
        return NOTHING
    if last.type in {"Running", "Created"}:
        return said_of(trial.status.conditions)[1] or NOTHING
    return last.message


def _algorithm(obj: Experiment | Suggestion, now: datetime) -> str:
    return obj.spec.algorithm.algorithm_name if obj.spec.algorithm is not None else NOTHING


_NAME = Column("NAME", lambda obj, now: str(obj.metadata.name))
_COMMON = (_NAME, Column("TYPE", _type), Column("STATUS", _status))
_SUCCEEDED = Column(
    "SUCCEEDED", lambda e, now: str(e.status.trials_succeeded + e.status.trials_early_stopped)
)
COLUMNS: dict[type[Any], tuple[Column, ...]] = {
    Experiment: (
        *_COMMON,
        Column("TRIALS", _trials),
        Column("RUNNING", lambda e, now: str(e.status.trials_running + e.status.trials_pending)),
        _SUCCEEDED,
        Column("FAILED", _failed),
        Column("BEST", _best),
        Column("AGE", _age),
        Column("ALGORITHM", _algorithm, wide=True),
        Column(
            "BEST TRIAL",
            lambda e, now: ((o := e.status.current_optimal_trial) and o.best_trial_name) or NOTHING,
            wide=True,
        ),
        Column("PARAMETERS OF THE BEST", _best_parameters),
    ),
    Trial: (
        *_COMMON,
        Column("VALUE", _objective),
        Column("DURATION", duration),
        Column("AGE", _age),
        Column("HELD UP BY", lambda t, now: said_of(t.status.conditions)[0] or NOTHING),
        Column("EXPERIMENT", lambda t, now: t.metadata.label(LABEL_EXPERIMENT) or NOTHING, wide=True),
        Column("PARAMETERS", lambda t, now: assignments(t.spec.parameter_assignments)),
        Column("MESSAGE", _reason, wide=True),
    ),
    Suggestion: (
        *_COMMON,
        Column("REQUESTED", lambda s, now: str(s.spec.requests)),
        Column("ASSIGNED", lambda s, now: str(s.status.suggestion_count)),
        Column("AGE", _age),
        Column("ALGORITHM", _algorithm, wide=True),
    ),
}
_NAMESPACE = Column("NAMESPACE", lambda obj, now: str(obj.metadata.namespace))


def columns_of(kind: type[Any], *, wide: bool, with_namespace: bool) -> list[Column]:
    """The columns of a table, from left to right."""
    chosen = [column for column in COLUMNS[kind] if wide or not column.wide]
    return [_NAMESPACE, *chosen] if with_namespace else chosen


def row(obj: Any, columns: Iterable[Column], now: datetime) -> list[str]:
    """One object's cells."""
    return [column.cell(obj, now) for column in columns]
