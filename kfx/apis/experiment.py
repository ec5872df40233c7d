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
from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class ConfigMapSource(Model, kw_only=True):
    """A trial template kept in a ConfigMap."""

    config_map_name: str = ""
    config_map_namespace: str = ""
    template_path: str = ""


class TrialParameterSpec(Model, kw_only=True):
    """A placeholder ``${trialParameters.<name>}`` and what fills it."""

    name: str = ""
    description: str = ""
    reference: str = ""


class TrialTemplate(Model, kw_only=True):
    """The job of every trial, with placeholders. Exactly one of ``trial_spec``, ``config_map`` is set."""

    retain: bool = False
    trial_spec: Mapping[str, Any] | None = None
    config_map: ConfigMapSource | None = None
    trial_parameters: tuple[TrialParameterSpec, ...] = ()
    primary_pod_labels: Mapping[str, str] | None = None
    primary_container_name: str = ""
    success_condition: str = ""
    failure_condition: str = ""


class GraphConfig(Model, kw_only=True):
    """Shape of the network a NAS algorithm searches."""

    num_layers: Int32 | None = None
    input_sizes: tuple[Int32, ...] = ()
    output_sizes: tuple[Int32, ...] = ()


class Operation(Model, kw_only=True):
    """One kind of layer a NAS algorithm may place."""

    operation_type: str = ""
    parameters: tuple[ParameterSpec, ...] = ()


class NasConfig(Model, kw_only=True):
    """Search space of a NAS algorithm."""

    graph_config: GraphConfig = GraphConfig()
    operations: tuple[Operation, ...] = ()


class ExperimentSpec(Model, kw_only=True):
    """What the user asks for."""

    parameters: tuple[ParameterSpec, ...] = ()
    objective: ObjectiveSpec | None = None
    algorithm: AlgorithmSpec | None = None
    early_stopping: EarlyStoppingSpec | None = None
    trial_template: TrialTemplate | None = None
    parallel_trial_count: Int32 | None = None
    max_trial_count: Int32 | None = None
    max_failed_trial_count: Int32 | None = None
    metrics_collector_spec: MetricsCollectorSpec | None = None
    nas_config: NasConfig | None = None
    resume_policy: str = ""


class OptimalTrial(Model, kw_only=True):
    """The best trial so far. ``observation`` is always written, if only as ``{}``: the SDK reads it."""

    best_trial_name: str = ""
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    observation: Observation | None = None


class ExperimentStatus(Model, kw_only=True):
    """What became of it. Note ``trialMetricsUnavailable``, singular, as Katib spells it."""

    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    conditions: tuple[Condition, ...] = ()
    current_optimal_trial: OptimalTrial | None = None
    running_trial_list: tuple[str, ...] = ()
    pending_trial_list: tuple[str, ...] = ()
    failed_trial_list: tuple[str, ...] = ()
    succeeded_trial_list: tuple[str, ...] = ()
    killed_trial_list: tuple[str, ...] = ()
    early_stopped_trial_list: tuple[str, ...] = ()
    metrics_unavailable_trial_list: tuple[str, ...] = ()
    trials: int = 0
    trials_succeeded: int = 0
    trials_failed: int = 0
    trials_killed: int = 0
    trials_pending: int = 0
    trials_running: int = 0
    trials_early_stopped: int = 0
    trial_metrics_unavailable: int = 0


class Experiment(KubeObject, kw_only=True):
    """A search for the best parameters of a training job."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "experiments", "Experiment")
    spec: ExperimentSpec = ExperimentSpec()
    status: ExperimentStatus = ExperimentStatus()
