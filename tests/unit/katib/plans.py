"""Short ways to ask for an Experiment's plan."""

from collections.abc import Sequence
from typing import Any

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import plan_experiment
from kfx.katib.tally import Tally
from kfx.kube.model import Condition
from kfx.runtime.plan import Plan
from tests.katib_objects import NOW, RUN_SPEC, condition, said, trial

MAX_REACHED = condition("Succeeded", reason="ExperimentMaxTrialsReached")


def seen_of(
    of: Any, trials: Sequence[Trial] = (), found: Suggestion | None = None, **more: Any
) -> ExperimentSeen:
    """An experiment, its trials and its suggestion, whose every job is :data:`RUN_SPEC`."""

    def render(*_: object) -> dict[str, Any]:
        return RUN_SPEC

    defaults: dict[str, Any] = {"experiment": of, "suggestion": found, "render": render}
    return ExperimentSeen(**{**defaults, "trials": Tally.of(trials)} | more)


def plan_of(
    of: Experiment, trials: Sequence[Trial] = (), found: Suggestion | None = None, **more: Any
) -> Plan:
    """What is decided of an experiment, its trials and its suggestion."""
    return plan_experiment(seen_of(of, trials, found, **more), NOW)


def conditions_of(found: Plan) -> list[str]:
    assert found.status is not None
    return said(found.status.conditions)


def last(found: Plan) -> Condition:
    assert found.status is not None
    condition_: Condition = found.status.conditions[-1]
    return condition_


def trials_of(*words: str | tuple[str, ...], value: str | None = None) -> list[Trial]:
    return [
        trial(*((w,) if isinstance(w, str) else w), name=f"t{i}", age=i, value=value)
        for i, w in enumerate(words)
    ]
