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


Objects = tuple[Mapping[str, Any], ...]


class SuggestionEntry(Model, kw_only=True):
    """One of ``runtime.suggestions``: a core/v1 Container, inlined, and what surrounds it."""

    algorithm_name: str = ""
    service_account_name: str = ""
    volume_mount_path: str = ""
    persistent_volume_claim_spec: Mapping[str, Any] | None = None
    persistent_volume_spec: Mapping[str, Any] | None = None
    persistent_volume_labels: Mapping[str, str] | None = None

    name: str = ""
    image: str = ""
    image_pull_policy: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: Objects = ()
    env_from: Objects = ()
    ports: Objects = ()
    volume_mounts: Objects = ()
    volume_devices: Objects = ()
    liveness_probe: Mapping[str, Any] | None = None
    readiness_probe: Mapping[str, Any] | None = None
    startup_probe: Mapping[str, Any] | None = None
    lifecycle: Mapping[str, Any] | None = None
    security_context: Mapping[str, Any] | None = None
    termination_message_path: str = ""
    termination_message_policy: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


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
