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
from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class TrialSpec(Model, kw_only=True):
    """One run with fixed parameters.

    ``run_spec`` is JSON. As decoded it is a view that keeps the whole message alive: whoever stores
    the object compacts it first (``kfx.katib.compaction``).
    """

    objective: ObjectiveSpec | None = None
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    early_stopping_rules: tuple[EarlyStoppingRule, ...] = ()
    run_spec: msgspec.Raw = msgspec.Raw(b"{}")
    retain_run: bool = False
    metrics_collector: MetricsCollectorSpec = MetricsCollectorSpec()
    primary_pod_labels: Mapping[str, str] | None = None
    primary_container_name: str = ""
    success_condition: str = ""
    failure_condition: str = ""
    labels: Mapping[str, str] | None = None

    def run_document(self) -> dict[str, Any]:
        """The job's manifest, decoded anew at each call."""
        found: dict[str, Any] = msgspec.json.decode(self.run_spec)
        return found


class TrialStatus(Model, kw_only=True):
    """How far the trial got."""

    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    conditions: tuple[Condition, ...] = ()
    observation: Observation | None = None


class Trial(KubeObject, kw_only=True):
    """One job with one set of parameters."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "trials", "Trial")
    spec: TrialSpec = TrialSpec()
    status: TrialStatus = TrialStatus()
