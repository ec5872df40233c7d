"""The best trial of an experiment so far, and whether its goal is reached."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kfx.apis.common import UNAVAILABLE, ObjectiveSpec, Observation
from kfx.apis.experiment import OptimalTrial
from kfx.apis.trial import Trial
from kfx.katib.floats import parse_float
from kfx.katib.observation import objective_value

MINIMIZE = "minimize"
MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Optimum:
    """``trial`` is ``None`` while nothing qualifies."""

    trial: Trial | None = None
    goal_reached: bool = False

    def as_status(self, previous: OptimalTrial | None) -> OptimalTrial:
        """The status' entry, always with an observation; ``previous`` stays where no trial qualifies."""
        if self.trial is None:
            kept = previous or OptimalTrial()
            return OptimalTrial(
                best_trial_name=kept.best_trial_name,
                parameter_assignments=kept.parameter_assignments,
                observation=kept.observation or Observation(),
            )
        return OptimalTrial(
            best_trial_name=self.trial.metadata.name,
            parameter_assignments=self.trial.spec.parameter_assignments,
            observation=self.trial.status.observation or Observation(),
        )


def find_optimum(trials: Iterable[Trial], objective: ObjectiveSpec | None) -> Optimum:
    """The trial with the smallest or largest objective, whatever its state; the earlier one of equals.

    ``trials`` come in a stable order. A number too large counts as infinite, NaN not at all. Text that is no
    number (the genotype of a DARTS trial) wins, the last of several, only where no trial has a number.
    """
    best: Trial | None = None
    best_value = math.nan
    texts: Trial | None = None
    for trial in trials:
        text = objective_value(trial.status.observation, trial.spec.objective)
        if text == UNAVAILABLE:
            continue
        value = parse_float(text, clamp=True)
        if value is None:
            texts = trial
        elif (best is None and not math.isnan(value)) or _is_better(value, best_value, objective):
            best, best_value = trial, value
    return Optimum(best or texts, reaches_goal(best_value, objective))


def _is_better(value: float, best: float, objective: ObjectiveSpec | None) -> bool:
    match objective.type if objective is not None else "":
        case "minimize":
            return value < best
        case "maximize":
            return value > best
        case _:
            return False


def reaches_goal(best: float, objective: ObjectiveSpec | None) -> bool:
    """Whether the goal is there. Never with NaN, which stands for no number at all."""
    if objective is None or objective.goal is None:
        return False
    if objective.type == MINIMIZE:
        return best <= objective.goal
    return objective.type == MAXIMIZE and best >= objective.goal
