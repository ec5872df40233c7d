"""Whether a job of any kind has succeeded or failed: two expressions, evaluated on the whole object."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kfx.katib import gjson


class Phase(Enum):
    """How far a job is."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobState:
    """A job's phase, and what the matching condition gives as reason and message."""

    phase: Phase
    reason: str = ""
    message: str = ""


class StateUnreadable(ValueError):
    """An expression matched something that is no condition; the job's next change may heal it."""


def evaluate(success: str, failure: str, document: Mapping[str, Any]) -> JobState:
    """The state of the job ``document`` (decoded JSON) by its two conditions (GJSON paths).

    Failure is looked at first, so a job that satisfies both has failed. Raises :class:`StateUnreadable`,
    and :class:`kfx.katib.gjson_path.ExpressionError` where an expression can never be evaluated.
    (Katib ``job_util.GetDeployedJobStatus``.)
    """
    for expression, phase in ((failure, Phase.FAILED), (success, Phase.SUCCEEDED)):
        met = _met(expression, document)
        if met is not None:
            return JobState(phase, _text(met, "reason", expression), _text(met, "message", expression))
    return JobState(Phase.RUNNING)


def _met(expression: str, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object that meets the expression: the result itself, or its first element."""
    if not expression:
        return None
    found = gjson.get(document, expression)
    if isinstance(found, list):
        if not found:
            return None
        if not isinstance(found[0], Mapping):
            raise StateUnreadable(f"{expression} matches a list whose first element is no object")
        return found[0]
    return found if isinstance(found, Mapping) else None


def _text(condition: Mapping[str, Any], wanted: str, expression: str) -> str:
    """One text of the condition; its key may be in any case, as Go's JSON decoder reads it."""
    found = ""
    for key, value in condition.items():
        if key.lower() != wanted or value is None:
            continue
        if not isinstance(value, str):
            raise StateUnreadable(f"{expression} matches a condition whose {wanted} is no text")
        found = value
    return found
