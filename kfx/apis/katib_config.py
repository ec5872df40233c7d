"""KatibConfig, ``config.kubeflow.org/v1beta1``, as far as it is read at run time."""

from collections.abc import Mapping
from typing import Any

from kfx.kube.model import Model

API_VERSION = "config.kubeflow.org/v1beta1"
KIND = "KatibConfig"


class ResourceRequirements(Model, kw_only=True):
    """Requests and limits by resource name; quantities as they were written."""

    requests: Mapping[str, str | int | float] | None = None
    limits: Mapping[str, str | int | float] | None = None


class SuggestionEntry(Model, kw_only=True):
    """One of ``runtime.suggestions``, as far as an embedded algorithm needs it: whether it has an image."""

    algorithm_name: str = ""
    persistent_volume_claim_spec: Mapping[str, Any] | None = None
    image: str = ""
    image_pull_policy: str = ""
    resources: ResourceRequirements = ResourceRequirements()


class EarlyStoppingEntry(Model, kw_only=True):
    """One of ``runtime.earlyStoppings``."""

    algorithm_name: str = ""
    image: str = ""
    image_pull_policy: str = ""
    resources: ResourceRequirements = ResourceRequirements()


class MetricsCollectorEntry(Model, kw_only=True):
    """One of ``runtime.metricsCollectors``. ``wait_all_processes`` absent is neither true nor false."""

    kind: str = ""
    image: str = ""
    image_pull_policy: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    wait_all_processes: bool | None = None


class RuntimeSection(Model, kw_only=True):
    """What is looked up while the process runs."""

    suggestions: tuple[SuggestionEntry, ...] = ()
    early_stoppings: tuple[EarlyStoppingEntry, ...] = ()
    metrics_collectors: tuple[MetricsCollectorEntry, ...] = ()


class KatibConfigFile(Model, kw_only=True):
    """The whole text; ``init`` is read elsewhere, once, at the start."""

    api_version: str = API_VERSION
    kind: str = KIND
    runtime: RuntimeSection = RuntimeSection()
    init: Mapping[str, Any] | None = None
