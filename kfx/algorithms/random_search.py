"""Random search: every suggestion is drawn by itself, so none depends on a trial's result."""

from collections.abc import Sequence

from kfx.algorithms.settings import rng_for, seed_of, validate_random_state
from kfx.algorithms.space import Dimension, SpaceError, dimension
from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial


class RandomSearch:
    """``random``. Its one setting is ``random_state``; texts as in Katib's hyperopt image."""

    name = "random"

    def validate(self, experiment: Experiment) -> str | None:
        """See :class:`Algorithm`."""
        algorithm = experiment.spec.algorithm
        for each in algorithm.algorithm_settings if algorithm else ():
            if each.name != "random_state":
                return f"unknown setting {each.name} for algorithm {self.name}"
            problem = validate_random_state(each.value)
            if problem is not None:
                return problem
        return _validate_parameters(experiment)

    def suggest(
        self, experiment: Experiment, trials: Sequence[Trial], start: int, count: int
    ) -> list[tuple[ParameterAssignment, ...]]:
        """See :class:`Algorithm`; ``trials`` do not matter. Raises SpaceError."""
        space = [(each.name, dimension(each)) for each in experiment.spec.parameters]
        seed = seed_of(experiment)
        return [_draw(space, seed, number) for number in range(start, start + count)]


def _draw(space: Sequence[tuple[str, Dimension]], seed: str, number: int) -> tuple[ParameterAssignment, ...]:
    rng = rng_for(seed, number)
    return tuple(ParameterAssignment(name=name, value=values.draw(rng)) for name, values in space)


def _validate_parameters(experiment: Experiment) -> str | None:
    if not experiment.spec.parameters:
        return "spec.parameters is empty: name at least one parameter to search"
    seen: set[str] = set()
    for each in experiment.spec.parameters:
        if each.name in seen:
            return f"Detect duplicated parameter name: {each.name}"
        seen.add(each.name)
        try:
            dimension(each)
        except SpaceError as error:
            return str(error)
    return None
