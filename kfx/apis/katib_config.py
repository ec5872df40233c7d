"""KatibConfig, ``config.kubeflow.org/v1beta1``, as far as it is read at run time."""

from collections.abc import Mapping
from typing import Any

from kfx.kube.model import Model

API_VERSION = "config.kubeflow.org/v1beta1"
KIND = "KatibConfig"


class ResourceRequirements(Model, kw_only=True):
    """Requests and limits by resource name; quantities as they were written."""

    requests: Mapping[str, str | int | float] | None = None
    """By resource name; a negative quantity takes the default away."""
    limits: Mapping[str, str | int | float] | None = None
    """By resource name; a negative quantity takes the default away."""


class SuggestionEntry(Model, kw_only=True):
    """One of ``runtime.suggestions``, as far as an embedded algorithm needs it: whether it has an image."""

    algorithm_name: str = ""
    image: str = ""
    image_pull_policy: str = ""
    resources: ResourceRequirements = ResourceRequirements()


class EarlyStoppingEntry(Model, kw_only=True):
    """One of ``runtime.earlyStoppings``."""

    algorithm_name: str = ""
    """The rule's name; of two entries the last counts."""
    image: str = ""
    """Its image."""
    image_pull_policy: str = ""
    """``IfNotPresent`` where it is not one of Kubernetes' three."""
    resources: ResourceRequirements = ResourceRequirements()
    """What its container asks for."""


class MetricsCollectorEntry(Model, kw_only=True):
    """One of ``runtime.metricsCollectors``. ``wait_all_processes`` absent is neither true nor false."""

    kind: str = ""
    """The collector's kind; of two entries the last counts."""
    image: str = ""
    """Its image."""
    image_pull_policy: str = ""
    """``IfNotPresent`` where it is not one of Kubernetes' three."""
    resources: ResourceRequirements = ResourceRequirements()
    """What its container asks for."""
    wait_all_processes: bool | None = None
    """Whether it waits for all containers of the pod, not for the training only."""


class RuntimeSection(Model, kw_only=True):
    """What is looked up while the process runs."""

    suggestions: tuple[SuggestionEntry, ...] = ()
    """The algorithms."""
    early_stoppings: tuple[EarlyStoppingEntry, ...] = ()
    """The rules for early stopping."""
    metrics_collectors: tuple[MetricsCollectorEntry, ...] = ()
    """The collectors of metrics."""


class KatibConfigFile(Model, kw_only=True):
    """The whole text; ``init`` is read elsewhere, once, at the start."""

    api_version: str = API_VERSION
    kind: str = KIND
    runtime: RuntimeSection = RuntimeSection()
    init: Mapping[str, Any] | None = None
