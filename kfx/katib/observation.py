"""From reported metric lines to what a trial achieved, and to the one value that its objective means."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kfx.apis.common import UNAVAILABLE, Metric, MetricLog, ObjectiveSpec, Observation
from kfx.katib.floats import parse_float

_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:\d{2})", re.ASCII)


class _BadTime(ValueError):
    """A reported line carries a time that is not RFC 3339."""


@dataclass(frozen=True, slots=True)
class Observed:
    """``observation`` is ``None`` where nothing came; ``unusable`` tells of lines that were left out."""

    observation: Observation | None = None
    unusable: str = ""


@dataclass(slots=True)
class _Running:
    """The aggregates of one metric so far."""

    low: float = math.nan
    high: float = math.nan
    min: str = UNAVAILABLE
    max: str = UNAVAILABLE
    latest: str = UNAVAILABLE
    at: tuple[datetime, str] | None = None

    def take(self, log: MetricLog, at: tuple[datetime, str]) -> None:
        if self.at is None or at >= self.at:
            self.at, self.latest = at, log.value
        value = parse_float(log.value)
        if value is None or math.isnan(value):
            return
        if math.isnan(self.low):
            self.low = self.high = value
            self.min = self.max = log.value
        elif value < self.low:
            self.low, self.min = value, log.value
        elif value > self.high:
            self.high, self.max = value, log.value


def observe(logs: Iterable[MetricLog], objective: ObjectiveSpec | None) -> Observed:
    """Minimum, maximum and latest value of each metric that has a strategy, in the strategies' order.

    ``logs`` come in the order in which the store returned them. Nothing where no line is of a metric of the
    objective. Values stay as reported; those that are no number, or NaN, count for ``latest`` only. Of equal
    times the later line is the latest. A line whose time is not RFC 3339 is left out; Katib's trial
    controller, ``getMetrics``, does without all of them then.
    """
    if objective is None:
        return Observed()
    wanted = frozenset(wanted_metrics(objective))
    found = {strategy.name: _Running() for strategy in objective.metric_strategies}
    usable, bad, first = 0, 0, None
    for log in logs:
        if log.name not in wanted:
            continue
        try:
            at = _instant(log)
        except _BadTime:
            bad, first = bad + 1, first or log
            continue
        usable += 1
        if log.name in found:
            found[log.name].take(log, at)
    metrics = tuple(Metric(name=name, min=f.min, max=f.max, latest=f.latest) for name, f in found.items())
    return Observed(Observation(metrics=metrics) if usable else None, _tell(first, bad, usable))


def wanted_metrics(objective: ObjectiveSpec | None) -> tuple[str, ...]:
    """The names of the metrics that an objective asks for, each once."""
    if objective is None:
        return ()
    return tuple(dict.fromkeys((objective.objective_metric_name, *objective.additional_metric_names)))


def _tell(first: MetricLog | None, bad: int, usable: int) -> str:
    if first is None:
        return ""
    return (
        f"{bad} of {bad + usable} values are left out, since their times are not RFC 3339, "
        f"first that of metric {first.name}: {first.time_stamp[:40]!r}; "
        "report times as 2006-01-02T15:04:05Z, with an offset or Z"
    )


def is_available(observation: Observation | None, objective: ObjectiveSpec | None) -> bool:
    """Whether the objective's metric was reported as something else than ``unavailable``."""
    if observation is None or objective is None:
        return False
    name = objective.objective_metric_name
    return any(m.name == name and m.latest != UNAVAILABLE for m in observation.metrics)


def objective_value(observation: Observation | None, objective: ObjectiveSpec | None) -> str:
    """The text that the objective's strategy picks; ``unavailable`` where there is none.

    A minimum or maximum that is unavailable falls back to the latest value. (Katib's experiment status
    utilities, ``getObjectiveMetricValue``.)
    """
    if observation is None or objective is None:
        return UNAVAILABLE
    name = objective.objective_metric_name
    strategy = _first_values(objective).get(name)
    metric = next((m for m in observation.metrics if m.name == name), None)
    if metric is None or strategy is None:
        return UNAVAILABLE
    return pick_value(metric, strategy, otherwise=UNAVAILABLE)


def pick_value(metric: Metric, strategy: str, *, otherwise: str) -> str:
    """The text that ``strategy`` means, ``otherwise`` where it means none."""
    picked = {"min": metric.min, "max": metric.max, "latest": metric.latest}.get(strategy, otherwise)
    return metric.latest if picked == UNAVAILABLE and strategy in {"min", "max"} else picked


def unavailable_log(objective: ObjectiveSpec | None) -> Sequence[MetricLog]:
    """The line that stands for a metric nobody reported: ``unavailable`` at the zero time."""
    if objective is None:
        return ()
    name = objective.objective_metric_name
    return (MetricLog(time_stamp="0001-01-01T00:00:00Z", name=name, value=UNAVAILABLE),)


def _first_values(objective: ObjectiveSpec) -> Mapping[str, str]:
    return {s.name: s.value for s in reversed(objective.metric_strategies)}


def _instant(log: MetricLog) -> tuple[datetime, str]:
    """The time to the second, and the fraction as text that compares like a number."""
    match = _RFC3339.fullmatch(log.time_stamp)
    if match is None:
        raise _BadTime(log.time_stamp)
    seconds, fraction, offset = match.groups()
    try:
        at = datetime.fromisoformat(seconds + offset.replace("Z", "+00:00"))
    except ValueError:
        raise _BadTime(log.time_stamp) from None
    return at, (fraction or "").rstrip("0")
