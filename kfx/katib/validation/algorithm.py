"""Rules about algorithm, early stopping and resume policy: V13 to V18, and that the two suit each other."""

from collections.abc import Collection, Iterator

from kfx.apis.experiment import ExperimentSpec
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.field_error import FieldError, forbidden, invalid, required

_RESUME_POLICIES = ("Never", "LongRunning", "FromVolume")
_IDLE_COLLECTORS = ("Push", "Custom", "PrometheusMetric")


def check_algorithm(spec: ExperimentSpec, context: ValidationContext) -> Iterator[FieldError]:
    """V13 to V15."""
    if spec.algorithm is None:
        yield required("spec.algorithm", f"choose one of: {_names(context.algorithms)}")
        return
    path, name = "spec.algorithm.algorithmName", spec.algorithm.algorithm_name
    if not name:
        yield required(path, f"choose one of: {_names(context.algorithms)}")
    if isinstance(context.config, str):
        yield invalid(path, name, context.config)
    elif name not in context.algorithms:
        elsewhere = " (katib-config names an image for it, which this version does not run)"
        noted = elsewhere if name in context.config.suggestions else ""
        detail = f"unknown algorithm {name!r}{noted}; this kfx answers: {_names(context.algorithms)}"
        yield invalid(path, name, detail)
    elif name in context.config.suggestions and not context.config.suggestions[name].image.strip():
        yield invalid(path, name, _blank_image(name))


def check_early_stopping(spec: ExperimentSpec, context: ValidationContext) -> Iterator[FieldError]:
    """V16 and V17."""
    if spec.early_stopping is None:
        return
    path, name = "spec.earlyStopping.algorithmName", spec.early_stopping.algorithm_name
    if not name:
        yield required(path, f"choose one of: {_names(context.early_stoppings)}, or drop spec.earlyStopping")
    if isinstance(context.config, str):
        yield invalid(path, name, context.config)
    elif name not in context.early_stoppings:
        detail = (
            f"unknown early stopping {name!r}; this kfx answers: {_names(context.early_stoppings)}; "
            "else drop spec.earlyStopping"
        )
        yield invalid(path, name, detail)
    elif name in context.config.early_stoppings and not context.config.early_stoppings[name].image.strip():
        yield invalid(path, name, _blank_image(name))


def check_resume_policy(spec: ExperimentSpec) -> Iterator[FieldError]:
    """V18."""
    if spec.resume_policy and spec.resume_policy not in _RESUME_POLICIES:
        detail = f"write one of: {', '.join(_RESUME_POLICIES)}"
        yield invalid("spec.resumePolicy", spec.resume_policy, detail)


def check_early_stopping_suits(spec: ExperimentSpec, findings: Findings) -> None:
    """Early stopping needs a collector that watches the metrics while they come."""
    collectors = spec.metrics_collector_spec
    kind = collectors.collector.kind if collectors and collectors.collector else ""
    if spec.early_stopping is None:
        return
    if kind == "TensorFlowEvent":
        detail = "the TensorFlowEvent collector knows no stop rules and fails; use StdOut or File, or drop it"
        findings.errors.append(forbidden("spec.earlyStopping", detail))
    elif kind in _IDLE_COLLECTORS:
        findings.warnings.append(
            f"spec.earlyStopping has no effect with metrics collector kind {kind}; use StdOut or File"
        )


def _blank_image(name: str) -> str:
    return (
        f"required value for image configuration of algorithm name: {name}; "
        "set image in ConfigMap katib-config, or remove the entry"
    )


def _names(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
