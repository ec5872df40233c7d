"""Suggestion, ``kubeflow.org/v1beta1``: the complete type."""

from collections.abc import Mapping
from typing import ClassVar

from kfx.apis.common import (
    GROUP,
    VERSION,
    AlgorithmSetting,
    AlgorithmSpec,
    EarlyStoppingRule,
    EarlyStoppingSpec,
    ParameterAssignment,
)
from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class SuggestionSpec(Model, kw_only=True):
    """How many assignments the experiment wants in all, and from which algorithm."""

    algorithm: AlgorithmSpec | None = None
    early_stopping: EarlyStoppingSpec | None = None
    requests: int = 0
    resume_policy: str = ""


class TrialAssignment(Model, kw_only=True):
    """The parameters of one trial; ``name`` becomes the trial's name."""

    name: str = ""
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    early_stopping_rules: tuple[EarlyStoppingRule, ...] = ()
    labels: Mapping[str, str] | None = None


class SuggestionStatus(Model, kw_only=True):
    """What the algorithm has answered so far.

    ``assignments_made`` is kfx's own, and only there once it is more than ``suggestion_count``: assignments
    that were given up count in it for ever.
    """

    algorithm_settings: tuple[AlgorithmSetting, ...] = ()
    suggestion_count: int = 0
    assignments_made: int = 0
    suggestions: tuple[TrialAssignment, ...] = ()
    start_time: str | None = None
    completion_time: str | None = None
    last_reconcile_time: str | None = None
    conditions: tuple[Condition, ...] = ()


class Suggestion(KubeObject, kw_only=True):
    """The parameters an algorithm proposes for one Experiment of the same name."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "suggestions", "Suggestion")
    spec: SuggestionSpec = SuggestionSpec()
    status: SuggestionStatus = SuggestionStatus()
