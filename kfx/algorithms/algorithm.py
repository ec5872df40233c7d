"""What every search algorithm answers."""

from collections.abc import Sequence
from typing import Protocol

from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial


class Algorithm(Protocol):
    """One search algorithm. It keeps nothing between calls: the same arguments, the same answer."""

    @property
    def name(self) -> str:
        """As in ``spec.algorithm.algorithmName``."""
        ...

    def validate(self, experiment: Experiment) -> str | None:
        """Why this experiment cannot be searched, naming the field and the remedy; None if it can."""
        ...

    def suggest(
        self, experiment: Experiment, trials: Sequence[Trial], start: int, count: int
    ) -> list[tuple[ParameterAssignment, ...]]:
        """Suggestions number ``start`` to ``start + count``, fewer where the space is exhausted.

        ``trials`` are those so far, finished or not. The experiment has passed :meth:`validate`.
        """
        ...
