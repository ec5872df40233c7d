"""Trial, ``kubeflow.org/v1beta1``: the complete type. The job inside stays bytes until it is needed."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from kfx.apis.common import (
    GROUP,
    VERSION,
    EarlyStoppingRule,
    MetricsCollectorSpec,
    ObjectiveSpec,
    Observation,
    ParameterAssignment,
)
from kfx.kube.model import Condition, KubeObject, Model, Time
from kfx.kube.resource import Resource

TrialCondition = Condition
"""Whether the trial is ``Created``, ``Running``, ``Succeeded``, ``Failed``, ``Killed``, ``EarlyStopped`` or
``MetricsUnavailable``."""


class TrialSpec(Model, kw_only=True):
    """One run with fixed parameters.

    ``run_spec`` is JSON. As decoded it is a view that keeps the whole message alive: whoever stores
    the object compacts it first (``kfx.katib.compaction``).
    """

    objective: ObjectiveSpec | None = None
    """The Experiment's."""
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    """The parameters of this run."""
    early_stopping_rules: tuple[EarlyStoppingRule, ...] = ()
    """When it is ended before its time."""
    run_spec: msgspec.Raw = msgspec.Raw(b"{}")
    """The job's manifest, all placeholders filled in."""
    retain_run: bool = False
    """Whether the job is kept after its end."""
    metrics_collector: MetricsCollectorSpec = MetricsCollectorSpec()
    """How the metrics are collected."""
    primary_pod_labels: Mapping[str, str] | None = None
    """Labels of the pods that train; without any, all pods of the job do."""
    primary_container_name: str = ""
    """The container that trains."""
    success_condition: str = ""
    """A GJSON expression over the job; the trial succeeds where it finds something."""
    failure_condition: str = ""
    """A GJSON expression over the job; the trial fails where it finds something."""
    labels: Mapping[str, str] | None = None
    """Labels that the algorithm gave it."""

    def run_document(self) -> dict[str, Any]:
        """The job's manifest, decoded anew at each call."""
        found: dict[str, Any] = msgspec.json.decode(self.run_spec)
        return found


class TrialStatus(Model, kw_only=True):
    """How far the trial got."""

    start_time: Time | None = None
    """When the controller first saw it."""
    completion_time: Time | None = None
    """When it ended."""
    last_reconcile_time: Time | None = None
    """When the controller last changed this status."""
    conditions: tuple[TrialCondition, ...] = ()
    """What has happened; the last entry is the state now."""
    observation: Observation | None = None
    """Its metrics."""


class Trial(KubeObject, kw_only=True):
    """One job with one set of parameters."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "trials", "Trial")
    spec: TrialSpec = TrialSpec()
    """What is run."""
    status: TrialStatus = TrialStatus()
    """How far it got; the controller writes it."""
