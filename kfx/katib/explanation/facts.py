"""What was read in order to explain an Experiment; what could not be read is a fact, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.apis.workload import Deployment, DetailedPod, Event

KindName = tuple[str, str]
"""``(apiVersion, kind)``."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read: ``what`` as ``jobs.batch``, ``why`` as ``forbidden``."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"could not check {self.what} ({self.why})"


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """Who says to lead, ``""`` once released; ``renewed`` is RFC 3339, ``duration`` in seconds."""

    namespace: str
    name: str
    holder: str
    renewed: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSeen:
    """One webhook as it is registered.

    ``bundle_problem``: what is wrong with its caBundle. ``service``: ``namespace/name``, ``""`` for a URL;
    ``service_problem``: why that cannot answer. ``unread``: what of this could not be looked at.
    """

    configuration: str
    name: str
    bundle_problem: str = ""
    service: str = ""
    service_problem: str = ""
    selector: Mapping[str, Any] = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it. ``outage``: problem and remedy where the API server did not answer at all.

    ``served``: the kinds of ``kubeflow.org/v1beta1``. Of active trials: ``jobs`` and ``pods`` by the trial's
    name, ``kinds``: whether a kind of job is served. ``unreadable``: what is wrong with trials that do not
    decode and have not ended, by name. ``algorithms``: those that this kfx brings along.
    """

    namespace: str
    name: str
    now: datetime
    core_namespace: str = "kubeflow"
    lease_name: str = ""
    algorithms: Sequence[str] = ()
    server: str = ""
    version: str = ""
    outage: tuple[str, str] | None = None
    served: frozenset[str] | Unread = frozenset()
    deployments: tuple[Deployment, ...] | Unread = ()
    leases: tuple[LeaseSeen, ...] | Unread = ()
    controller_pods: tuple[DetailedPod, ...] | Unread = ()
    hooks: tuple[HookSeen, ...] | Unread = ()
    experiment: Mapping[str, Any] | Unread | None = None
    namespace_labels: Mapping[str, str] | Unread | None = None
    suggestion: Suggestion | Unread | None = None
    suggestion_deployment: Deployment | Unread | None = None
    suggestion_pods: tuple[DetailedPod, ...] | Unread = ()
    trials: tuple[Trial, ...] | Unread = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[KindName, bool | Unread] = field(default_factory=dict)
    jobs: Mapping[str, Mapping[str, Any] | Unread | None] = field(default_factory=dict)
    pods: Mapping[str, Sequence[DetailedPod]] | Unread = field(default_factory=dict)
    events: tuple[Event, ...] | Unread = ()
