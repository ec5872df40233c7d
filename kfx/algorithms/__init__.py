"""Search algorithms that run inside kfx. Pure: an experiment and a number in, parameters out."""

from collections.abc import Mapping
from types import MappingProxyType

from kfx.algorithms.algorithm import Algorithm
from kfx.algorithms.random_search import RandomSearch

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({"random": RandomSearch()})
"""By the name an Experiment gives them."""

__all__ = ["ALGORITHMS", "Algorithm"]
