"""What events say of an object, and what heals the errors that many objects share."""

from collections.abc import Collection, Iterable
from datetime import datetime

from kfx.apis.core import Pod
from kfx.apis.workload import Event
from kfx.katib.ages import seconds_since, spell
from kfx.katib.explanation.view import View
from kfx.katib.names import LABEL_INJECTION

PREFIX = "Failed to reconcile: "
RECENT = 900.0  # seconds; errors are repeated with growing pauses, events with pauses of 5 minutes

_TO_THE_SECOND = len("2006-01-02T15:04:05")


def last_warning(
    view: View, kind: str, name: str, reasons: Collection[str] = (), *, since: str = ""
) -> Event | None:
    """The newest Warning about an object, of some reasons or of any, not before ``since``."""
    found = [
        event
        for event in view.warnings.get((kind, name), ())
        if (not reasons or event.reason in reasons)
        and event.last_seen[:_TO_THE_SECOND] >= since[:_TO_THE_SECOND]
        and is_recent(event, view.facts.now)
    ]
    return max(found, key=lambda event: event.last_seen, default=None)


def is_recent(event: Event, now: datetime) -> bool:
    """Whether it may still be so."""
    age = seconds_since(event.last_seen, now)
    return age is not None and age <= RECENT


def quote(event: Event, now: datetime) -> str:
    """``FailedCreate (3 times, last 12s ago): the message``."""
    age = spell(seconds_since(event.last_seen, now))
    times = f"{event.times} times, last {age} ago" if event.times > 1 else f"{age} ago"
    return f"{event.reason} ({times}): {event.message.removeprefix(PREFIX).strip()}"


def unplaced(pods: Iterable[Pod]) -> Pod | None:
    """The first of some pods that the scheduler has found no node for."""
    return next((pod for pod in pods if _scheduling(pod)), None)


def quote_scheduler(pod: Pod) -> str:
    """What the scheduler says of a pod without a node."""
    return f"pod {pod.metadata.name} has no node: {_scheduling(pod)}"


def _scheduling(pod: Pod) -> str:
    said = (c for c in pod.status.conditions if (c.type, c.reason) == ("PodScheduled", "Unschedulable"))
    return next((condition.message or "it is unschedulable" for condition in said), "")


def heal(message: str, namespace: str, otherwise: str, *, pods: bool = False) -> str:
    """The remedy for a refusal in the API server's words; ``otherwise`` where none is known."""
    lowered = message.lower()
    if "exceeded quota" in lowered:
        return (
            f"raise or free the quota (kubectl -n {namespace} describe resourcequota), or lower the "
            "Experiment's spec.parallelTrialCount"
        )
    if "must specify" in lowered or "failed quota" in lowered:
        return "set the requests and limits that the quota asks for in the trial template's containers"
    if "failed calling webhook" in lowered or "x509" in lowered:
        return (
            "see that the webhook's Service has endpoints and that its caBundle fits the certificate; kfx "
            "writes its own again when it is restarted"
        )
    if "violates podsecurity" in lowered:
        return (
            "set the securityContext that the namespace's Pod Security level asks for in the trial template"
        )
    if "serviceaccount" in lowered and "not found" in lowered:
        return f"create the ServiceAccount in namespace {namespace}, or correct the trial template"
    if "no matches for kind" in lowered or "could not find the requested resource" in lowered:
        return "install the custom resource definition of the trial template's kind"
    if "is forbidden: user" in lowered or (" cannot " in lowered and "forbidden" in lowered):
        subject = "the job's controller" if pods else "the controller (config/rbac/cluster_role.yaml)"
        return f"grant that right to {subject}"
    if "because it is being terminated" in lowered:
        return f"namespace {namespace} is being deleted; use another one"
    return otherwise


def label_command(namespace: str) -> str:
    """The command that makes a namespace's pods be given collectors."""
    return f"kubectl label namespace {namespace} {LABEL_INJECTION}=enabled"


def listing(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    found = list(names)
    rest = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + rest
