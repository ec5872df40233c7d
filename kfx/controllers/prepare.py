"""What is done to an Experiment that no webhook has seen."""

from collections.abc import Callable

from kfx.apis.experiment import Experiment

# defaults and validates; the text of what is wrong where the experiment cannot be followed
Prepare = Callable[[Experiment], Experiment | str]


def as_it_is(experiment: Experiment) -> Experiment:
    """Nothing: the webhooks have done it."""
    return experiment
