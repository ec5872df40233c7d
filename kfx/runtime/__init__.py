"""The generic controller runtime: cache, queue, controller, lease, admission. No Katib word.

The names below are what an operator's author needs; docs/runtime.md explains them. Each module is loaded
when the first of its names is asked for, so importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfx.runtime.access import AccessReviewer
    from kfx.runtime.admission import (
        AdmissionHandler,
        AdmissionRequest,
        AdmissionServer,
        Allowed,
        Denied,
        InvalidRequest,
    )
    from kfx.runtime.builder import Operator
    from kfx.runtime.cache import Cache
    from kfx.runtime.certs import FileCertificates, Identity, SelfSigned
    from kfx.runtime.controller import Controller
    from kfx.runtime.event import Event
    from kfx.runtime.events import EventRecorder
    from kfx.runtime.handler import (
        EnqueueRequestForObject,
        EnqueueRequestForOwner,
        EnqueueRequestsFromMapFunc,
        EventHandler,
    )
    from kfx.runtime.health import HealthServer, MetricsServer
    from kfx.runtime.leader import AlwaysLeader, LeaderElector, LeadershipLost, WriteHeld, own_identity
    from kfx.runtime.lease import ApiLeaseLock
    from kfx.runtime.manager import Manager
    from kfx.runtime.metrics import RuntimeMetrics
    from kfx.runtime.plan import Count, Create, Delete, Note, Patch, Plan
    from kfx.runtime.predicate import Predicate, all_of, any_of, generation_changed, resource_version_changed
    from kfx.runtime.reconcile import Reconciler, Request, Result, StaleRead, TerminalError
    from kfx.runtime.store import Lister
    from kfx.runtime.tracing import TracingUnavailable, recording_spans
    from kfx.runtime.workqueue import WorkQueue
    from kfx.runtime.writer import Writer

__all__ = [
    "AccessReviewer",
    "AdmissionHandler",
    "AdmissionRequest",
    "AdmissionServer",
    "Allowed",
    "AlwaysLeader",
    "ApiLeaseLock",
    "Cache",
    "Controller",
    "Count",
    "Create",
    "Delete",
    "Denied",
    "EnqueueRequestForObject",
    "EnqueueRequestForOwner",
    "EnqueueRequestsFromMapFunc",
    "Event",
    "EventHandler",
    "EventRecorder",
    "FileCertificates",
    "HealthServer",
    "Identity",
    "InvalidRequest",
    "LeaderElector",
    "LeadershipLost",
    "Lister",
    "Manager",
    "MetricsServer",
    "Note",
    "Operator",
    "Patch",
    "Plan",
    "Predicate",
    "Reconciler",
    "Request",
    "Result",
    "RuntimeMetrics",
    "SelfSigned",
    "StaleRead",
    "TerminalError",
    "TracingUnavailable",
    "WorkQueue",
    "WriteHeld",
    "Writer",
    "all_of",
    "any_of",
    "generation_changed",
    "own_identity",
    "recording_spans",
    "resource_version_changed",
]

_NAMES = {
    "access": ("AccessReviewer",),
    "admission": (
        "AdmissionHandler",
        "AdmissionRequest",
        "AdmissionServer",
        "Allowed",
        "Denied",
        "InvalidRequest",
    ),
    "builder": ("Operator",),
    "cache": ("Cache",),
    "certs": ("FileCertificates", "Identity", "SelfSigned"),
    "controller": ("Controller",),
    "event": ("Event",),
    "events": ("EventRecorder",),
    "handler": (
        "EnqueueRequestForObject",
        "EnqueueRequestForOwner",
        "EnqueueRequestsFromMapFunc",
        "EventHandler",
    ),
    "health": ("HealthServer", "MetricsServer"),
    "leader": ("AlwaysLeader", "LeaderElector", "LeadershipLost", "WriteHeld", "own_identity"),
    "lease": ("ApiLeaseLock",),
    "manager": ("Manager",),
    "metrics": ("RuntimeMetrics",),
    "plan": ("Count", "Create", "Delete", "Note", "Patch", "Plan"),
    "predicate": ("Predicate", "all_of", "any_of", "generation_changed", "resource_version_changed"),
    "reconcile": ("Reconciler", "Request", "Result", "StaleRead", "TerminalError"),
    "store": ("Lister",),
    "tracing": ("TracingUnavailable", "recording_spans"),
    "workqueue": ("WorkQueue",),
    "writer": ("Writer",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker that saw this would believe in every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
