"""Katib's own figures: the names of its counters, and how many objects are in which state."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from kfx.kube.model import KubeObject
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request

_STEPS = {
    "experiment_created": "Experiments created.",
    "experiment_deleted": "Experiments deleted.",
    "experiment_succeeded": "Experiments that succeeded.",
    "experiment_failed": "Experiments that failed.",
    "trial_created": "Trials created.",
    "trial_deleted": "Trials deleted.",
    "trial_succeeded": "Trials that succeeded.",
    "trial_failed": "Trials that failed.",
    "trial_metrics_unavailable": "Trials that ended without metrics.",
}

KATIB_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    f"katib_{step}_total": (text, ("namespace",)) for step, text in _STEPS.items()
}
"""Name → help text and labels, for ``RuntimeMetrics.register_counter``."""

UNKNOWN = "Unknown"


class ConditionGauge:
    """Objects by namespace and last condition, kept up from a cache's events; it enqueues nothing.

    A handler for ``Cache.watch``. A series without objects disappears.
    """

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(name, text, ("namespace", "status"), registry=registry)
        self._counts: Counter[tuple[str, str]] = Counter()

    def requests(self, event: Event[Any]) -> tuple[Request, ...]:
        """Count one change."""
        before = _series(event.old) if event.old is not None else None
        after = _series(event.new) if event.new is not None else None
        if before != after:
            self._add(before, -1)
            self._add(after, 1)
        return ()

    def _add(self, series: tuple[str, str] | None, step: int) -> None:
        if series is None:
            return
        self._counts[series] += step
        if self._counts[series]:
            self._gauge.labels(*series).set(self._counts[series])
        else:
            del self._counts[series]
            self._gauge.remove(*series)


def experiments_gauge(registry: CollectorRegistry) -> ConditionGauge:
    """``katib_experiments_current``, for a watch of Experiments."""
    return ConditionGauge("katib_experiments_current", "Experiments by last condition.", registry)


def trials_gauge(registry: CollectorRegistry) -> ConditionGauge:
    """``katib_trials_current``, for a watch of Trials."""
    return ConditionGauge("katib_trials_current", "Trials by last condition.", registry)


def _series(obj: KubeObject) -> tuple[str, str]:
    conditions = obj.status.conditions  # type: ignore[attr-defined]  # all of Katib's kinds have it
    return obj.metadata.namespace, conditions[-1].type if conditions else UNKNOWN
