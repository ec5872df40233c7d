"""Types shared by Experiment, Suggestion and Trial (``kubeflow.org/v1beta1``).

Numbers that Katib keeps as strings (feasible space, metric values, settings) stay strings here.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from kfx.kube.model import Model

GROUP = "kubeflow.org"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"

UNAVAILABLE = "unavailable"
"""The value of a metric that was never reported (Katib ``consts.UnavailableMetricValue``)."""

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""A number that Go keeps in 32 bits; what does not fit is a decoding error there too."""


class NameValue(Model, kw_only=True):
    """One name with one value: a parameter assignment, a setting, a metric strategy."""

    name: str = ""
    value: str = ""


ParameterAssignment = NameValue
AlgorithmSetting = NameValue
MetricStrategy = NameValue


class FeasibleSpace(Model, kw_only=True):
    """Where a parameter may lie; all numbers as text."""

    max: str = ""
    min: str = ""
    step: str = ""
    list: tuple[str, ...] = ()
    distribution: str = ""


class ParameterSpec(Model, kw_only=True):
    """One dimension of the search space."""

    name: str = ""
    parameter_type: str = ""
    feasible_space: FeasibleSpace = FeasibleSpace()


class ObjectiveSpec(Model, kw_only=True):
    """What is optimised. ``goal`` absent is not the same as 0."""

    type: str = ""
    goal: float | None = None
    objective_metric_name: str = ""
    additional_metric_names: tuple[str, ...] = ()
    metric_strategies: tuple[MetricStrategy, ...] = ()


class AlgorithmSpec(Model, kw_only=True):
    """An algorithm, or an early-stopping rule, by name, with its settings."""

    algorithm_name: str = ""
    algorithm_settings: tuple[AlgorithmSetting, ...] = ()


EarlyStoppingSpec = AlgorithmSpec


class EarlyStoppingRule(Model, kw_only=True):
    """Stop when ``name`` compares with ``value``. ``comparison`` is equal, less or greater."""

    name: str = ""
    value: str = ""
    comparison: str = ""
    start_step: int = 0


class FileSystemPath(Model, kw_only=True):
    """Where the training writes its metrics. ``kind`` is File or Directory, ``format`` TEXT or JSON."""

    path: str = ""
    kind: str = ""
    format: str = ""


class FilterSpec(Model, kw_only=True):
    """Regular expressions (RE2) with two groups: the metric's name and its value."""

    metrics_format: tuple[str, ...] = ()


class HTTPGetAction(Model, kw_only=True):
    """core/v1 HTTPGetAction as far as the PrometheusMetric collector reads it."""

    path: str = ""
    port: Int32 | str = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[NameValue, ...] = ()


class SourceSpec(Model, kw_only=True):
    """Where metrics come from."""

    http_get: HTTPGetAction | None = None
    file_system_path: FileSystemPath | None = None
    filter: FilterSpec | None = None


class CollectorSpec(Model, kw_only=True):
    """How metrics are collected; ``custom_collector`` is a core/v1 Container, kept as it came."""

    kind: str = ""
    custom_collector: Mapping[str, Any] | None = None


class MetricsCollectorSpec(Model, kw_only=True):
    """Source and collector of a trial's metrics."""

    source: SourceSpec | None = None
    collector: CollectorSpec | None = None


class Metric(Model, kw_only=True):
    """Aggregates of one metric over a trial; strings kept as reported, or ``unavailable``."""

    name: str = ""
    min: str = ""
    max: str = ""
    latest: str = ""


class Observation(Model, kw_only=True):
    """What a trial was seen to achieve."""

    metrics: tuple[Metric, ...] = ()


class MetricLog(Model, kw_only=True):
    """One reported value. ``time_stamp`` is RFC 3339; the zero time marks a value without a time."""

    time_stamp: str
    name: str
    value: str
