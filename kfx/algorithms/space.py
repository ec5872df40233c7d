"""The search space: what one parameter may be, and how a value of it is drawn and written.

Numbers stay decimal until they are drawn, so that a grid of 0.1 holds 0.3 and not 0.30000000000000004.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Protocol

from kfx.apis.common import ParameterSpec

SIGMAS = 3
"""A normal distribution has its mean midway, and minimum and maximum this many deviations away."""


class SpaceError(ValueError):
    """A parameter cannot be searched; the text names it, the field and the remedy."""


class Dimension(Protocol):
    """One parameter's values."""

    def draw(self, rng: Random) -> str:
        """A value as Katib writes it."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list, each as likely; values are passed on as they were written."""

    values: tuple[str, ...]

    def draw(self, rng: Random) -> str:
        """One of the values."""
        return rng.choice(self.values)


@dataclass(frozen=True, slots=True)
class Continuous:
    """Any float between ``low`` and ``high``, on the scale that ``sample`` has."""

    low: float
    high: float
    sample: Callable[[Random, float, float], float]

    def draw(self, rng: Random) -> str:
        """``str`` of a float, as Katib's images write it."""
        return str(min(max(self.sample(rng, self.low, self.high), self.low), self.high))


@dataclass(frozen=True, slots=True)
class Grid:
    """``low``, ``low + step`` … up to the last that is not above the maximum, ``count`` values."""

    low: Decimal
    step: Decimal
    count: int
    integral: bool
    sample: Callable[[Random, float, float], float] | None

    def draw(self, rng: Random) -> str:
        """An int's or a float's ``str``. Without ``sample`` every value is as likely."""
        value = self.low + self.step * self._index(rng)
        return str(int(value)) if self.integral else str(float(value))

    def _index(self, rng: Random) -> int:
        if self.sample is None or self.count == 1:
            return rng.randrange(self.count)
        low, step = float(self.low), float(self.step)
        drawn = self.sample(rng, low, low + step * (self.count - 1))
        return min(max(round((drawn - low) / step), 0), self.count - 1)


def _uniform(rng: Random, low: float, high: float) -> float:
    # Weighted, since high - low of two large floats may be infinite.
    share = rng.random()
    return low * (1 - share) + high * share


def _log_uniform(rng: Random, low: float, high: float) -> float:
    return math.exp(min(_uniform(rng, math.log(low), math.log(high)), _MAX_LOG))


def _normal(rng: Random, low: float, high: float) -> float:
    # Katib's hyperopt leaves the space once in 370 draws; a user's bounds are bounds here.
    while True:
        deviation = rng.gauss(0, 1)
        if abs(deviation) <= SIGMAS:
            return low / 2 + high / 2 + deviation * (high / 2 - low / 2) / SIGMAS


def _log_normal(rng: Random, low: float, high: float) -> float:
    return math.exp(min(_normal(rng, math.log(low), math.log(high)), _MAX_LOG))


_SAMPLES: dict[str, Callable[[Random, float, float], float]] = {
    "uniform": _uniform,
    "logUniform": _log_uniform,
    "normal": _normal,
    "logNormal": _log_normal,
}

_MAX_LOG = math.log(sys.float_info.max)

_UNIFORM = {"", "uniform", "unknown"}
_LOGARITHMIC = {"logUniform", "logNormal"}


def dimension(parameter: ParameterSpec) -> Dimension:
    """The values of one parameter. Raises SpaceError."""
    kind = parameter.parameter_type
    if kind in {"categorical", "discrete"}:
        if not parameter.feasible_space.list:
            raise _error(parameter, "list", "is empty: list the values to try")
        return Choice(parameter.feasible_space.list)
    if kind in {"int", "double"}:
        return _numeric(parameter, integral=kind == "int")
    raise SpaceError(
        f"parameter {parameter.name}: parameterType {kind!r} cannot be searched: "
        "use int, double, discrete or categorical"
    )


def _numeric(parameter: ParameterSpec, *, integral: bool) -> Dimension:
    low, high = (_number(parameter, field, integral=integral) for field in ("min", "max"))
    if low > high:
        raise _error(parameter, "min", f"{low} is above max {high}: exchange them")
    distribution = parameter.feasible_space.distribution
    if distribution in _LOGARITHMIC and float(low) <= 0:
        raise _error(parameter, "min", f"{low} has no logarithm: {distribution} needs a min above 0")
    if distribution not in _UNIFORM and distribution not in _SAMPLES:
        raise _error(
            parameter,
            "distribution",
            f"{distribution!r} is unknown: use uniform, logUniform, normal or logNormal",
        )
    sample = _SAMPLES.get(distribution, _uniform)
    if not integral and not parameter.feasible_space.step:
        return Continuous(float(low), float(high), sample)
    step = _step(parameter, integral=integral)
    return Grid(
        low,
        step,
        _count(parameter, low, high, step),
        integral,
        None if distribution in _UNIFORM else sample,
    )


def _count(parameter: ParameterSpec, low: Decimal, high: Decimal, step: Decimal) -> int:
    try:
        return int((high - low) // step) + 1
    except InvalidOperation:  # the quotient has more digits than decimals keep exactly
        raise _error(parameter, "step", f"{step} is too fine for {low} to {high}: enlarge it") from None


def _step(parameter: ParameterSpec, *, integral: bool) -> Decimal:
    if not parameter.feasible_space.step:
        return Decimal(1)
    step = _number(parameter, "step", integral=integral)
    if step <= 0:
        raise _error(parameter, "step", f"{step} is not above 0: give the distance between two values")
    return step


def _number(parameter: ParameterSpec, field: str, *, integral: bool) -> Decimal:
    text: str = getattr(parameter.feasible_space, field).strip()
    if not text:
        raise _error(parameter, field, "is missing: give a number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _error(parameter, field, f"{text!r} is no number: write it in decimal digits") from None
    if not number.is_finite() or not math.isfinite(float(number)):
        raise _error(parameter, field, f"{text!r} is not finite: give a bound")
    if integral and number != number.to_integral_value():
        raise _error(parameter, field, f"{text} is no integer: round it, or use parameterType double")
    return number


def _error(parameter: ParameterSpec, field: str, problem: str) -> SpaceError:
    return SpaceError(f"parameter {parameter.name}: feasibleSpace.{field} {problem}")
