"""What the checks need to know of an Experiment, a Suggestion or a Trial; read without kfx's own types."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENDS = {
    "experiments.kubeflow.org": ("Succeeded", "Failed"),
    "suggestions.kubeflow.org": ("Succeeded", "Failed"),
    "trials.kubeflow.org": ("Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable"),
}
Point = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExperimentFacts:
    """``most`` is None where any number of trials is wanted. ``done``: those that count for the optimum."""

    parallel: int = 3
    most: int | None = None
    objective: str = ""
    terminal: frozenset[str] = frozenset()
    reason: str = ""
    optimal: str = ""
    optimal_value: float | None = None
    done: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[int, int | None]:
        return self.parallel, self.most

    def asks_for_less(self, before: "ExperimentFacts") -> bool:
        fewer = self.most is not None and (before.most is None or self.most < before.most)
        return self.parallel < before.parallel or fewer


@dataclass(frozen=True, slots=True)
class SuggestionFacts:
    """The point of each assignment by its name."""

    terminal: frozenset[str] = frozenset()
    points: Mapping[str, Point] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """``value``: of the objective, None while there is none."""

    terminal: frozenset[str] = frozenset()
    point: Point = ()
    value: float | None = None


def read_facts(
    resource: str, document: Mapping[str, Any]
) -> ExperimentFacts | SuggestionFacts | TrialFacts | None:
    """None for other kinds."""
    reader = _READERS.get(resource)
    if reader is None:
        return None
    spec, status = document.get("spec") or {}, document.get("status") or {}
    conditions = [c for c in status.get("conditions") or () if c.get("status") == "True"]
    ends = [c for c in conditions if c.get("type") in ENDS[resource]]
    return reader(spec, status, {c["type"]: c.get("reason", "") for c in ends})


def is_better(value: float, than: float, objective: str) -> bool:
    """By the objective's type."""
    return value < than if objective == "minimize" else value > than


def _read_experiment(
    spec: Mapping[str, Any], status: Mapping[str, Any], ends: Mapping[str, str]
) -> ExperimentFacts:
    objective = spec.get("objective") or {}
    optimal = status.get("currentOptimalTrial") or {}
    lists = ("succeededTrialList", "earlyStoppedTrialList")
    return ExperimentFacts(
        parallel=spec.get("parallelTrialCount", 3),
        most=spec.get("maxTrialCount"),
        objective=objective.get("type", ""),
        terminal=frozenset(ends),
        reason=next(iter(ends.values()), ""),
        optimal=optimal.get("bestTrialName", ""),
        optimal_value=_value(objective, optimal.get("observation")),
        done=tuple(name for each in lists for name in status.get(each) or ()),
    )


def _read_suggestion(
    spec: Mapping[str, Any], status: Mapping[str, Any], ends: Mapping[str, str]
) -> SuggestionFacts:
    entries = status.get("suggestions") or ()
    return SuggestionFacts(frozenset(ends), {each["name"]: _point(each) for each in entries})


def _read_trial(spec: Mapping[str, Any], status: Mapping[str, Any], ends: Mapping[str, str]) -> TrialFacts:
    value = _value(spec.get("objective") or {}, status.get("observation"))
    return TrialFacts(frozenset(ends), _point(spec), value)


_READERS: Mapping[str, Callable[..., ExperimentFacts | SuggestionFacts | TrialFacts]] = {
    "experiments.kubeflow.org": _read_experiment,
    "suggestions.kubeflow.org": _read_suggestion,
    "trials.kubeflow.org": _read_trial,
}


def _point(holder: Mapping[str, Any]) -> Point:
    entries = holder.get("parameterAssignments") or ()
    return tuple(sorted((each.get("name", ""), str(each.get("value", ""))) for each in entries))


def _value(objective: Mapping[str, Any], observation: Mapping[str, Any] | None) -> float | None:
    """The one number that the objective means, by the strategy of its metric."""
    name = objective.get("objectiveMetricName", "")
    strategies = {s.get("name"): s.get("value") for s in objective.get("metricStrategies") or ()}
    usual = {"minimize": "min", "maximize": "max"}.get(objective.get("type", ""), "latest")
    for metric in (observation or {}).get("metrics") or ():
        if metric.get("name") != name:
            continue
        for text in (metric.get(strategies.get(name) or usual), metric.get("latest")):
            try:
                value = float(text or "")
            except ValueError:
                continue
            return None if math.isnan(value) else value
    return None
