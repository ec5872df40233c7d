"""KatibConfig, ``config.kubeflow.org/v1beta1``, as far as it is read at run time."""

from collections.abc import Mapping
from typing import Any

from kfx.kube.model import Model

API_VERSION = "config.kubeflow.org/v1beta1"
KIND = "KatibConfig"


Objects = tuple[Mapping[str, Any], ...]


class ResourceRequirements(Model, kw_only=True):
    """Requests and limits by resource name; quantities as they were written."""

    requests: Mapping[str, str | int | float] | None = None
    """By resource name; a negative quantity takes the default away."""
    limits: Mapping[str, str | int | float] | None = None
    """By resource name; a negative quantity takes the default away."""
    claims: Objects = ()
    """Devices that the pod claims, by the claim's name."""


class SuggestionEntry(Model, kw_only=True):
    """One of ``runtime.suggestions``: a core/v1 Container, inlined, and what surrounds it."""

    algorithm_name: str = ""
    """The algorithm's name; of two entries the last counts."""
    service_account_name: str = ""
    """Account of its pod; with early stopping kfx makes one where none is named."""
    volume_mount_path: str = ""
    """Where its volume is mounted, with ``resumePolicy: FromVolume``; ``/opt/katib/data`` by default."""
    persistent_volume_claim_spec: Mapping[str, Any] | None = None
    """That volume's claim; ``ReadWriteOnce`` and ``1Gi`` by default."""
    persistent_volume_spec: Mapping[str, Any] | None = None
    """That volume itself, reclaimed by ``Delete``; left to the cluster where there is none."""
    persistent_volume_labels: Mapping[str, str] | None = None
    """Labels of that volume."""

    name: str = ""
    """Name of the container."""
    image: str = ""
    """Its image."""
    image_pull_policy: str = ""
    """``IfNotPresent`` where it is not one of Kubernetes' three."""
    resources: ResourceRequirements = ResourceRequirements()
    """What its container asks for."""
    resize_policy: Objects = ()
    """What a change of resources in place does, by resource."""
    restart_policy: str = ""
    """Its own, where the cluster knows that of a container."""
    restart_policy_rules: Objects = ()
    """Which exit codes it is started anew for."""
    command: tuple[str, ...] = ()
    """Replaces the image's entry point."""
    args: tuple[str, ...] = ()
    """Replaces the image's own arguments."""
    working_dir: str = ""
    """Where the command is started."""
    env: Objects = ()
    """Its environment."""
    env_from: Objects = ()
    """ConfigMaps and Secrets whose keys join the environment."""
    ports: Objects = ()
    """Further ports; that of the service is added."""
    volume_mounts: Objects = ()
    """Further mounts; that of the volume is added."""
    volume_devices: Objects = ()
    """Raw block devices."""
    liveness_probe: Mapping[str, Any] | None = None
    """When it is started anew; a gRPC probe where none is given."""
    readiness_probe: Mapping[str, Any] | None = None
    """When it is asked; a gRPC probe where none is given."""
    startup_probe: Mapping[str, Any] | None = None
    """When the other probes begin."""
    lifecycle: Mapping[str, Any] | None = None
    """What runs after its start and before its end."""
    security_context: Mapping[str, Any] | None = None
    """Its rights on the node."""
    termination_message_path: str = ""
    """File of its last message."""
    termination_message_policy: str = ""
    """``File`` or ``FallbackToLogsOnError``."""
    stdin: bool = False
    """Whether standard input is kept open."""
    stdin_once: bool = False
    """Whether it is closed after the first session."""
    tty: bool = False
    """Whether it gets a terminal."""


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
