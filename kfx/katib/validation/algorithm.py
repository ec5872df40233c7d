"""Rules about algorithm, early stopping and resume policy: V13 to V18, and that the two suit each other."""

from collections.abc import Callable, Collection, Iterator

from kfx.apis.experiment import ExperimentSpec
from kfx.katib.katib_config import CONFIG_MAP, KatibConfigError
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.field_error import FieldError, forbidden, invalid, required

_RESUME_POLICIES = ("Never", "LongRunning", "FromVolume")
_IDLE_COLLECTORS = ("Push", "Custom", "PrometheusMetric")
_MAX_NAME = 100


def check_algorithm(spec: ExperimentSpec, context: ValidationContext) -> Iterator[FieldError]:
    """V13 to V15."""
    if spec.algorithm is None:
        yield required("spec.algorithm", f"choose one of: {_names(context.algorithms)}")
        return
    path, name = "spec.algorithm.algorithmName", spec.algorithm.algorithm_name
    if not name:
        yield required(path, f"choose one of: {_names(context.algorithms)}")
    known = _names(context.algorithms)
    if isinstance(context.config, str):
        yield invalid(path, name, context.config)
    elif name in context.config.suggestions:
        if problem := _problem(context.config.suggestion, name):
            yield invalid(path, name, problem)
    elif not context.algorithms:
        yield invalid(path, name, _problem(context.config.suggestion, _cut(name)))
    elif name not in context.algorithms:
        detail = f"unknown algorithm {_short(name)}; this kfx answers: {known}"
        yield invalid(path, name, detail + _in_images(context.config.suggestions))


def check_early_stopping(spec: ExperimentSpec, context: ValidationContext) -> Iterator[FieldError]:
    """V16 and V17."""
    if spec.early_stopping is None:
        return
    path, name = "spec.earlyStopping.algorithmName", spec.early_stopping.algorithm_name
    if not name:
        yield required(path, f"choose one of: {_names(context.early_stoppings)}, or drop spec.earlyStopping")
    known = _names(context.early_stoppings)
    if isinstance(context.config, str):
        yield invalid(path, name, context.config)
    elif name in context.config.early_stoppings:
        if problem := _problem(context.config.early_stopping, name) or _stands_alone(spec, context):
            yield invalid(path, name, problem)
    elif not context.algorithms:
        yield invalid(path, name, _problem(context.config.early_stopping, _cut(name)))
    elif name not in context.early_stoppings:
        detail = f"unknown early stopping {_short(name)}; this kfx answers: {known}"
        images = _in_images(context.config.early_stoppings)
        yield invalid(path, name, f"{detail}{images}; else drop spec.earlyStopping")


def check_resume_policy(spec: ExperimentSpec) -> Iterator[FieldError]:
    """V18."""
    if spec.resume_policy and spec.resume_policy not in _RESUME_POLICIES:
        detail = f"write one of: {', '.join(_RESUME_POLICIES)}"
        yield invalid("spec.resumePolicy", spec.resume_policy, detail)


def check_early_stopping_suits(spec: ExperimentSpec, context: ValidationContext, findings: Findings) -> None:
    """Early stopping needs a collector that watches the metrics while they come."""
    collectors = spec.metrics_collector_spec
    kind = collectors.collector.kind if collectors and collectors.collector else ""
    if spec.early_stopping is None:
        return
    if kind == "TensorFlowEvent":
        detail = "the TensorFlowEvent collector knows no stop rules and fails; use StdOut or File, or drop it"
        findings.errors.append(forbidden("spec.earlyStopping", detail))
    elif kind in _IDLE_COLLECTORS:
        findings.warn(
            f"spec.earlyStopping has no effect with metrics collector kind {kind}; use StdOut or File"
        )
    elif image := _own_image(kind or "StdOut", context):
        findings.warn(
            "spec.earlyStopping: pods of trials that get stop rules will be refused, as image "
            f"{image}, kfx's own collector, knows none; name Katib's image for {kind or 'StdOut'} in "
            f"ConfigMap {CONFIG_MAP}"
        )


def _own_image(kind: str, context: ValidationContext) -> str:
    """Of the collector of that kind, if it is kfx's own."""
    entry = None if isinstance(context.config, str) else context.config.metrics_collectors.get(kind)
    return entry.image if entry is not None and context.is_own(entry) else ""


def _problem(look_up: Callable[[str], object], name: str) -> str:
    """What Katib's look-up says of an entry that is there."""
    try:
        look_up(name)
    except KatibConfigError as error:
        return str(error)
    return ""


def _stands_alone(spec: ExperimentSpec, context: ValidationContext) -> str:
    """What is wrong with a rule in an image beside an algorithm that has none: both run in one pod."""
    rule = spec.early_stopping.algorithm_name if spec.early_stopping is not None else ""
    algorithm = spec.algorithm.algorithm_name if spec.algorithm is not None else ""
    if rule in context.early_stoppings or isinstance(context.config, str):
        return ""
    if algorithm not in context.algorithms or algorithm in context.config.suggestions:
        return ""
    return (
        f"early stopping {rule!r} runs in an image, and needs one of algorithm {algorithm!r} beside it: add "
        f"the algorithm to runtime.suggestions of ConfigMap {CONFIG_MAP}, or drop spec.earlyStopping"
    )


def _in_images(names: Collection[str]) -> str:
    return f"; in images, by ConfigMap {CONFIG_MAP}: {_names(names)}" if names else ""


def _short(name: str) -> str:
    return repr(_cut(name))


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"


def _names(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
