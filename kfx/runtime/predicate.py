"""Which events matter: functions from an event to yes or no, combined as in controller-runtime."""

from collections.abc import Callable
from typing import Any

from kfx.kube.model import KubeObject
from kfx.runtime.event import Event

Predicate = Callable[[Event[Any]], bool]


def resource_version_changed(event: Event[KubeObject]) -> bool:
    """Everything but an update that changed nothing, as a list after a gap brings them."""
    if event.old is None or event.new is None:
        return True
    return event.old.metadata.resource_version != event.new.metadata.resource_version


def generation_changed(event: Event[KubeObject]) -> bool:
    """Arrivals, departures and changes of the spec; not those of status or metadata alone."""
    if event.old is None or event.new is None:
        return True
    return event.old.metadata.generation != event.new.metadata.generation


def any_of(*predicates: Predicate) -> Predicate:
    """What at least one of them lets through."""
    return lambda event: any(accepts(event) for accepts in predicates)


def all_of(*predicates: Predicate) -> Predicate:
    """What every one of them lets through."""
    return lambda event: all(accepts(event) for accepts in predicates)
