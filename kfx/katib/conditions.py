"""The list ``status.conditions``. Users see its order: ``kubectl get`` prints the last entry."""

from collections.abc import Iterable

import msgspec

from kfx.kube.model import Condition

Conditions = tuple[Condition, ...]

CREATED = "Created"
RUNNING = "Running"
RESTARTING = "Restarting"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
KILLED = "Killed"
EARLY_STOPPED = "EarlyStopped"
METRICS_UNAVAILABLE = "MetricsUnavailable"
DEPLOYMENT_READY = "DeploymentReady"


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The first condition of type ``kind``."""
    return next((c for c in conditions if c.type == kind), None)


def has(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether ``kind`` is True."""
    return any(c.type == kind and c.status == "True" for c in conditions)


def has_any(conditions: Iterable[Condition], kinds: Iterable[str]) -> bool:
    """Whether one of ``kinds`` is True."""
    return any(has(conditions, kind) for kind in kinds)


def remove(conditions: Conditions, kind: str) -> Conditions:
    """The conditions without those of type ``kind``."""
    return tuple(c for c in conditions if c.type != kind)


def set_condition(
    conditions: Conditions, kind: str, status: bool, *, reason: str, message: str, now: str
) -> Conditions:
    """The conditions with ``kind`` set and moved to the end.

    Equal status and reason change nothing, not even the message; an equal status alone keeps the time of
    the last transition. As in Katib, of all three kinds (``setCondition``).
    """
    text = "True" if status else "False"
    old = find(conditions, kind)
    if old is not None and (old.status, old.reason) == (text, reason):
        return conditions
    since = old.last_transition_time if old is not None and old.status == text else now
    new = Condition(
        type=kind,
        status=text,
        reason=reason,
        message=message,
        last_update_time=now,
        last_transition_time=since,
    )
    return (*remove(conditions, kind), new)


def set_false(conditions: Conditions, kind: str, *, now: str) -> Conditions:
    """The conditions with an existing ``kind`` turned to False, its reason and message kept."""
    old = find(conditions, kind)
    if old is None:
        return conditions
    return set_condition(conditions, kind, False, reason=old.reason, message=old.message, now=now)


def finish(conditions: Conditions, kind: str, *, reason: str, message: str, now: str) -> Conditions:
    """The conditions with ``kind`` True at the end, and an existing ``Running`` turned to False before it."""
    stopped = set_false(conditions, RUNNING, now=now)
    return set_condition(stopped, kind, True, reason=reason, message=message, now=now)


def as_json(conditions: Conditions) -> list[dict[str, str]]:
    """The conditions as they stand in a patch."""
    return [msgspec.to_builtins(condition) for condition in conditions]
