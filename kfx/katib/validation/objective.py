"""Rules about the objective: V9 to V12. An error here ends the validation, as in Katib."""

from collections.abc import Iterator

from kfx.apis.common import ObjectiveSpec
from kfx.katib.validation.context import Findings
from kfx.katib.validation.field_error import FieldError, invalid, required

_STRATEGIES = ("min", "max", "latest")


def check_objective(objective: ObjectiveSpec | None) -> Iterator[FieldError]:
    """V9 to V12."""
    path = "spec.objective"
    if objective is None:
        yield required(path, "say what to optimise: set type and objectiveMetricName")
        return
    if objective.type not in ("minimize", "maximize"):
        yield invalid(f"{path}.type", objective.type, "write minimize or maximize")
    if not objective.objective_metric_name:
        yield required(f"{path}.objectiveMetricName", "name the metric that the training reports")
    if objective.objective_metric_name in objective.additional_metric_names:
        detail = f"must not hold the objective itself; remove {objective.objective_metric_name!r}"
        yield invalid(f"{path}.additionalMetricNames", list(objective.additional_metric_names), detail)


def doubt_objective(objective: ObjectiveSpec, findings: Findings) -> None:
    """What Katib takes without a word, and what then never counts (table of defects, K16)."""
    metrics = [objective.objective_metric_name, *objective.additional_metric_names]
    if len(set(metrics)) < len(metrics):
        findings.warn("spec.objective.additionalMetricNames names a metric twice; remove one")
    known = set(metrics)
    for index, strategy in enumerate(objective.metric_strategies):
        path = f"spec.objective.metricStrategies[{index}]"
        if strategy.value not in _STRATEGIES:
            findings.warn(f"{path}.value {strategy.value!r} picks no value; write {', '.join(_STRATEGIES)}")
        if strategy.name not in known:
            findings.warn(
                f"{path}.name {strategy.name!r} is no metric of spec.objective; it is never reported"
            )
