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
from kfx.kube.model import Condition, KubeObject, Model, Time
from kfx.kube.resource import Resource

SuggestionCondition = Condition
"""Whether the suggestion is ``Created``, ``DeploymentReady``, ``Running``, ``Succeeded`` or ``Failed``."""


class SuggestionSpec(Model, kw_only=True):
    """How many assignments the experiment wants in all, and from which algorithm."""

    algorithm: AlgorithmSpec | None = None
    """Who proposes."""
    early_stopping: EarlyStoppingSpec | None = None
    """Who gives the rules for early stopping."""
    requests: int = 0
    """How many assignments are wanted in all."""
    resume_policy: str = ""
    """The Experiment's."""


class TrialAssignment(Model, kw_only=True):
    """The parameters of one trial; ``name`` becomes the trial's name."""

    name: str = ""
    """Name of the trial."""
    parameter_assignments: tuple[ParameterAssignment, ...] = ()
    """Its parameters."""
    early_stopping_rules: tuple[EarlyStoppingRule, ...] = ()
    """When it is ended before its time."""
    labels: Mapping[str, str] | None = None
    """Labels for it."""


class SuggestionStatus(Model, kw_only=True):
    """What the algorithm has answered so far."""

    algorithm_settings: tuple[AlgorithmSetting, ...] = ()
    """Settings that the algorithm itself has changed; they win over the specification's."""
    suggestion_count: int = 0
    """How many assignments there are."""
    assignments_made: int = 0
    """kfx's own, and only there once it is more than ``suggestionCount``: assignments that were given up
    count in it for ever."""
    suggestions: tuple[TrialAssignment, ...] = ()
    """The assignments, oldest first."""
    start_time: Time | None = None
    """When the controller first saw it."""
    completion_time: Time | None = None
    """When it ended."""
    last_reconcile_time: Time | None = None
    """When the controller last changed this status."""
    conditions: tuple[SuggestionCondition, ...] = ()
    """What has happened; the last entry is the state now."""


class Suggestion(KubeObject, kw_only=True):
    """The parameters an algorithm proposes for one Experiment of the same name."""

    resource: ClassVar[Resource] = Resource(GROUP, VERSION, "suggestions", "Suggestion")
    spec: SuggestionSpec = SuggestionSpec()
    """What the Experiment asks for."""
    status: SuggestionStatus = SuggestionStatus()
    """The answer; the controller writes it."""
