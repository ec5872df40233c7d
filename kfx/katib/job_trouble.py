"""Jobs that will not end their trial as they are: suspended, on their way out, or with an end nobody sees."""

from collections.abc import Iterator, Mapping
from typing import Any

from kfx.apis.trial import Trial
from kfx.katib.hold_up import HoldUp

_ENDS = {"Complete", "Succeeded", "Failed"}
_PHASES = {"Succeeded", "Failed", "Error", "Completed"}


def find_job_trouble(trial: Trial, document: Mapping[str, Any]) -> HoldUp | None:
    """What keeps the job ``document`` (decoded JSON), which meets neither condition, from ending the trial.

    Known by what most kinds of jobs have in common: conditions, a phase, and the field ``suspend``.
    """
    kind, name = document.get("kind", "job"), trial.metadata.name
    for end in _ends(_mapping(document.get("status"))):
        return HoldUp(
            "ConditionNotMet",
            f"{kind} {name} has ended ({end}), but neither successCondition {trial.spec.success_condition!r} "
            f"nor failureCondition {trial.spec.failure_condition!r} holds",
            "correct them in the Experiment's trialTemplate and in this Trial's spec, or delete the Trial",
        )
    metadata = _mapping(document.get("metadata"))
    if metadata.get("deletionTimestamp") is not None:
        return _explain_deletion(trial, str(kind), metadata)
    if _is_suspended(document):
        return HoldUp(
            "JobSuspended",
            f"{kind} {name} is suspended, so that it gets no pods",
            "wait for the queue that admits it, or set suspend to false in it",
        )
    return None


def _explain_deletion(trial: Trial, kind: str, metadata: Mapping[str, Any]) -> HoldUp:
    namespace, name = trial.key
    keepers = ", ".join(map(str, metadata.get("finalizers") or ()))
    lead = f"{kind} {name} is being deleted and does not go"
    look = f"see what keeps it with kubectl describe {kind.lower()} {name} -n {namespace}"
    return HoldUp(
        "JobTerminating",
        f"{lead} (finalizers: {keepers})" if keepers else lead,
        f"{look}; once it is gone the Trial makes it again",
    )


def _ends(status: Mapping[str, Any]) -> Iterator[str]:
    for condition in _conditions(status):
        if condition.get("type") in _ENDS and condition.get("status") == "True":
            yield f"condition {condition['type']} is True"
    if status.get("phase") in _PHASES:
        yield f"phase is {status['phase']}"


def _is_suspended(document: Mapping[str, Any]) -> bool:
    """Kubernetes' Job and TrainJob have ``spec.suspend``, Training Operator's jobs a run policy."""
    spec = _mapping(document.get("spec"))
    return spec.get("suspend") is True or _mapping(spec.get("runPolicy")).get("suspend") is True


def _conditions(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = status.get("conditions")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
