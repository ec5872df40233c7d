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
    """What is given a value."""
    value: str = ""
    """The value, as text."""


ParameterAssignment = NameValue
"""The value of one parameter in one trial."""
AlgorithmSetting = NameValue
"""One thing that an algorithm is told."""
MetricStrategy = NameValue
"""Which of a metric's values counts: ``min``, ``max`` or ``latest``."""


class FeasibleSpace(Model, kw_only=True):
    """Where a parameter may lie; all numbers as text."""

    max: str = ""
    """The greatest value, for ``double`` and ``int``."""
    min: str = ""
    """The least value, for ``double`` and ``int``."""
    step: str = ""
    """Distance of neighbouring values; needed for a grid over ``double``."""
    list: tuple[str, ...] = ()
    """All values, for ``discrete`` and ``categorical``."""
    distribution: str = ""
    """``uniform`` (the default), ``logUniform``, ``normal`` or ``logNormal``."""


class ParameterSpec(Model, kw_only=True):
    """One dimension of the search space."""

    name: str = ""
    """Unique in the Experiment; trial parameters refer to it."""
    parameter_type: str = ""
    """``double``, ``int``, ``discrete`` or ``categorical``."""
    feasible_space: FeasibleSpace = FeasibleSpace()
    """The values that may be tried."""


class ObjectiveSpec(Model, kw_only=True):
    """What is optimised. ``goal`` absent is not the same as 0."""

    type: str = ""
    """``minimize`` or ``maximize``."""
    goal: float | None = None
    """The Experiment succeeds once a trial reaches it; without one it goes on to ``maxTrialCount``."""
    objective_metric_name: str = ""
    """The metric that is optimised."""
    additional_metric_names: tuple[str, ...] = ()
    """Metrics that are collected besides."""
    metric_strategies: tuple[MetricStrategy, ...] = ()
    """Which of its values counts for a metric; the objective's type decides where none is given."""


class AlgorithmSpec(Model, kw_only=True):
    """An algorithm, or an early-stopping rule, by name, with its settings."""

    algorithm_name: str = ""
    """Name of the algorithm, or of the rule."""
    algorithm_settings: tuple[AlgorithmSetting, ...] = ()
    """What it is told; the names depend on the algorithm."""


EarlyStoppingSpec = AlgorithmSpec
"""A rule for early stopping, by name, with its settings."""


class EarlyStoppingRule(Model, kw_only=True):
    """Stop when ``name`` compares with ``value``. ``comparison`` is equal, less or greater."""

    name: str = ""
    """The metric."""
    value: str = ""
    """What it is compared with, as text."""
    comparison: str = ""
    """``equal``, ``less`` or ``greater``."""
    start_step: int = 0
    """How many values have to be reported before the rule counts; 0: it counts at once."""


class FileSystemPath(Model, kw_only=True):
    """Where the training writes its metrics. ``kind`` is File or Directory, ``format`` TEXT or JSON."""

    path: str = ""
    """Absolute path in the training container."""
    kind: str = ""
    """``File`` or ``Directory``."""
    format: str = ""
    """``TEXT`` or ``JSON``, for the collector ``File``."""


class FilterSpec(Model, kw_only=True):
    """Regular expressions (RE2) with two groups: the metric's name and its value."""

    metrics_format: tuple[str, ...] = ()
    """The expressions; a line may match several times."""


class HTTPGetAction(Model, kw_only=True):
    """core/v1 HTTPGetAction as far as the PrometheusMetric collector reads it."""

    path: str = ""
    """Path of the metrics' page; ``/metrics`` by default."""
    port: Int32 | str = 0
    """Port of the training container; 8080 by default. A number, or its digits as text."""
    host: str = ""
    """Host of the page; kept as it came."""
    scheme: str = ""
    """``HTTP`` or ``HTTPS``; kept as it came."""
    http_headers: tuple[NameValue, ...] = ()
    """Headers of the request; kept as they came."""


class SourceSpec(Model, kw_only=True):
    """Where metrics come from."""

    http_get: HTTPGetAction | None = None
    """Where the training container serves its metrics, for ``PrometheusMetric``."""
    file_system_path: FileSystemPath | None = None
    """Where it writes them, for ``File`` and ``TensorFlowEvent``."""
    filter: FilterSpec | None = None
    """How metrics look in a text; ``name=value`` where nothing is said."""


class CollectorSpec(Model, kw_only=True):
    """How metrics are collected; ``custom_collector`` is a core/v1 Container, kept as it came."""

    kind: str = ""
    """``StdOut``, ``File``, ``TensorFlowEvent``, ``PrometheusMetric``, ``Push`` or ``Custom``."""
    custom_collector: Mapping[str, Any] | None = None
    """The collector's container, for ``Custom``."""


class MetricsCollectorSpec(Model, kw_only=True):
    """Source and collector of a trial's metrics."""

    source: SourceSpec | None = None
    """Where the metrics are."""
    collector: CollectorSpec | None = None
    """Who collects them; ``StdOut`` by default."""


class Metric(Model, kw_only=True):
    """Aggregates of one metric over a trial; strings kept as reported, or ``unavailable``."""

    name: str = ""
    """The metric."""
    min: str = ""
    """The least value."""
    max: str = ""
    """The greatest value."""
    latest: str = ""
    """The last value."""


class Observation(Model, kw_only=True):
    """What a trial was seen to achieve."""

    metrics: tuple[Metric, ...] = ()
    """One entry for each metric that has a strategy, in their order."""


class MetricLog(Model, kw_only=True):
    """One reported value. ``time_stamp`` is RFC 3339; the zero time marks a value without a time."""

    time_stamp: str
    name: str
    value: str
