"""Experiment, ``kubeflow.org/v1beta1``: the complete type."""

from collections.abc import Mapping
from typing import Any, ClassVar

from kfx.apis.common import (
    GROUP,
    VERSION,
    AlgorithmSpec,
    EarlyStoppingSpec,
    Int32,
    MetricsCollectorSpec,
    ObjectiveSpec,
    Observation,
    ParameterAssignment,
    ParameterSpec,
)
from kfx.kube.model import Condition, KubeObject, Model, Time
from kfx.kube.resource import Resource

ExperimentCondition = Condition
"""Whether the experiment is ``Created``, ``Running``, ``Restarting``, ``Succeeded`` or ``Failed``."""


class ConfigMapSource(Model, kw_only=True):
    """A trial template kept in a ConfigMap."""

    config_map_name: str = ""
    """Name of the ConfigMap."""
    config_map_namespace: str = ""
    """Its namespace."""
    template_path: str = ""
    """Its key that holds the template."""


class TrialParameterSpec(Model, kw_only=True):
    """A placeholder ``${trialParameters.<name>}`` and what fills it."""

    name: str = ""
    """The word in the placeholder."""
    description: str = ""
    """A note for people."""
    reference: str = ""
    """A parameter of the Experiment, or metadata of the trial such as ``${trialSpec.Name}``."""


class TrialTemplate(Model, kw_only=True):
    """The job of every trial, with placeholders. Exactly one of ``trial_spec``, ``config_map`` is set."""

    retain: bool = False
    """Whether the job of a trial is kept after its end."""
    trial_spec: Mapping[str, Any] | None = None
    """The job itself: a manifest of any kind that is among ``--trial-resources``."""
    config_map: ConfigMapSource | None = None
    """Where the job's manifest is kept instead."""
    trial_parameters: tuple[TrialParameterSpec, ...] = ()
    """All placeholders of the manifest."""
    primary_pod_labels: Mapping[str, str] | None = None
    """Labels of the pods that train. The kinds Katib knows have a default; without any, all pods train."""
    primary_container_name: str = ""
    """The container that trains."""
    success_condition: str = ""
    """A GJSON expression over the job; the trial succeeds where it finds something."""
    failure_condition: str = ""
    """A GJSON expression over the job; the trial fails where it finds something."""


class GraphConfig(Model, kw_only=True):
    """Shape of the network a NAS algorithm searches."""

    num_layers: Int32 | None = None
    """Number of layers."""
    input_sizes: tuple[Int32, ...] = ()
    """Shape of the input."""
    output_sizes: tuple[Int32, ...] = ()
    """Shape of the output."""


class Operation(Model, kw_only=True):
    """One kind of layer a NAS algorithm may place."""

    operation_type: str = ""
    """Name of the layer, such as ``convolution``."""
    parameters: tuple[ParameterSpec, ...] = ()
    """What may vary in it."""


class NasConfig(Model, kw_only=True):
    """Search space of a NAS algorithm."""

    graph_config: GraphConfig = GraphConfig()
    """The network."""
    operations: tuple[Operation, ...] = ()
    """The layers to choose from."""


class ExperimentSpec(Model, kw_only=True):
    """What the user asks for."""

    parameters: tuple[ParameterSpec, ...] = ()
    """The search space; absent where ``nasConfig`` is given."""
    objective: ObjectiveSpec | None = None
    """What is optimised."""
    algorithm: AlgorithmSpec | None = None
    """Who proposes the parameters of trials."""
    early_stopping: EarlyStoppingSpec | None = None
    """Which trials are ended before their time."""
    trial_template: TrialTemplate | None = None
    """What a trial runs."""
    parallel_trial_count: Int32 | None = None
    """How many trials may run at once; 3 by default."""
    max_trial_count: Int32 | None = None
    """The Experiment succeeds once so many trials have ended; there are never more."""
    max_failed_trial_count: Int32 | None = None
    """The Experiment fails once so many trials have failed, or have ended without metrics."""
    metrics_collector_spec: MetricsCollectorSpec | None = None
    """How the metrics of trials are collected; from standard output by default."""
    nas_config: NasConfig | None = None
    """The search space of a NAS algorithm."""
    resume_policy: str = ""
    """What is kept for a later restart: ``Never`` (the default), ``LongRunning`` or ``FromVolume``."""


class OptimalTrial(Model, kw_only=True):
    """The best trial so far. ``observation`` is always written, if only as ``{}``: the SDK reads it."""

    best_trial_name: str = ""
    """Name of the trial."""
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    """Its parameters."""
    observation: Observation | None = None
    """Its metrics."""


class ExperimentStatus(Model, kw_only=True):
    """What became of it. Note ``trialMetricsUnavailable``, singular, as Katib spells it."""

    start_time: Time | None = None
    """When the controller first saw it."""
    completion_time: Time | None = None
    """When it ended."""
    last_reconcile_time: Time | None = None
    """When the controller last changed this status."""
    conditions: tuple[ExperimentCondition, ...] = ()
    """What has happened; the last entry is the state now."""
    current_optimal_trial: OptimalTrial | None = None
    """The best trial so far."""
    running_trial_list: tuple[str, ...] = ()
    """Names of the trials that run."""
    pending_trial_list: tuple[str, ...] = ()
    """Names of the trials that have no job yet."""
    failed_trial_list: tuple[str, ...] = ()
    """Names of the trials that failed."""
    succeeded_trial_list: tuple[str, ...] = ()
    """Names of the trials that succeeded."""
    killed_trial_list: tuple[str, ...] = ()
    """Names of the trials that were killed."""
    early_stopped_trial_list: tuple[str, ...] = ()
    """Names of the trials that were stopped early."""
    metrics_unavailable_trial_list: tuple[str, ...] = ()
    """Names of the trials that ended without metrics."""
    trials: int = 0
    """How many trials there are."""
    trials_succeeded: int = 0
    """How many succeeded."""
    trials_failed: int = 0
    """How many failed."""
    trials_killed: int = 0
    """How many were killed."""
    trials_pending: int = 0
    """How many have no job yet."""
    trials_running: int = 0
    """How many run."""
    trials_early_stopped: int = 0
    """How many were stopped early."""
    trial_metrics_unavailable: int = 0
    """How many ended without metrics."""


class Experiment(KubeObject, kw_only=True):
    """A search for the best parameters of a training job."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "experiments", "Experiment")
    spec: ExperimentSpec = ExperimentSpec()
    """What is asked for."""
    status: ExperimentStatus = ExperimentStatus()
    """What became of it; the controller writes it."""
