"""Rules about the objective: V9 to V12. An error here ends the validation, as in Katib."""

from collections.abc import Iterator

from kfx.apis.common import ObjectiveSpec
from kfx.katib.validation.field_error import FieldError, invalid, required


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
