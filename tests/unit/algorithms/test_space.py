import math
from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kfx.algorithms.space import SpaceError, dimension
from kfx.apis.common import FeasibleSpace, ParameterSpec

DISTRIBUTIONS = ["", "uniform", "unknown", "logUniform", "normal", "logNormal"]


def parameter(kind: str, **space: object) -> ParameterSpec:
    return ParameterSpec(name="p", parameter_type=kind, feasible_space=FeasibleSpace(**space))  # type: ignore[arg-type]


def draws(spec: ParameterSpec, count: int = 2_000) -> list[str]:
    rng = Random(7)
    values = dimension(spec)
    return [values.draw(rng) for _ in range(count)]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(low=FLOATS, high=FLOATS, distribution=st.sampled_from(DISTRIBUTIONS), seed=st.integers())
def test_a_double_lies_within_its_bounds(low: float, high: float, distribution: str, seed: int) -> None:
    assume(low <= high and (low > 0 or not distribution.startswith("log")))
    spec = parameter("double", min=repr(low), max=repr(high), distribution=distribution)
    assert low <= float(dimension(spec).draw(Random(seed))) <= high


@given(
    low=st.integers(),
    extent=st.integers(min_value=0, max_value=10**12),
    step=st.one_of(st.none(), st.integers(min_value=1, max_value=10**6)),
    distribution=st.sampled_from(DISTRIBUTIONS),
    seed=st.integers(),
)
def test_an_int_lies_on_the_grid_of_its_step(
    low: int, extent: int, step: int | None, distribution: str, seed: int
) -> None:
    assume(abs(low) < 10**15 and (low > 0 or not distribution.startswith("log")))
    spec = parameter(
        "int",
        min=str(low),
        max=str(low + extent),
        step="" if step is None else str(step),
        distribution=distribution,
    )
    value = int(dimension(spec).draw(Random(seed)))
    assert low <= value <= low + extent
    assert (value - low) % (step or 1) == 0


@given(
    low=st.decimals(min_value=-1000, max_value=1000, places=3),
    steps=st.integers(min_value=0, max_value=1000),
    step=st.decimals(min_value=Decimal("0.001"), max_value=10, places=3),
    distribution=st.sampled_from(DISTRIBUTIONS),
    seed=st.integers(),
)
def test_a_double_with_a_step_is_the_nearest_float_of_a_grid_point(
    low: Decimal, steps: int, step: Decimal, distribution: str, seed: int
) -> None:
    assume(low > 0 or not distribution.startswith("log"))
    high = low + step * steps
    spec = parameter("double", min=str(low), max=str(high), step=str(step), distribution=distribution)
    value = dimension(spec).draw(Random(seed))
    assert value in {str(float(low + step * index)) for index in range(steps + 1)}


def test_the_maximum_belongs_to_the_grid() -> None:
    found = set(draws(parameter("double", min="0.1", max="0.5", step="0.1")))
    assert found == {"0.1", "0.2", "0.3", "0.4", "0.5"}


def test_a_grid_ends_at_the_last_point_below_a_maximum_that_is_none() -> None:
    assert set(draws(parameter("int", min="1", max="10", step="4"))) == {"1", "5", "9"}


def test_every_point_of_a_uniform_grid_is_as_likely() -> None:
    counts = Counter(draws(parameter("int", min="0", max="9"), 10_000))
    assert len(counts) == 10
    assert sum((count - 1_000) ** 2 / 1_000 for count in counts.values()) < 27.9  # chi², 9 degrees, p = 0.001


def test_half_of_the_logarithmic_draws_lie_below_the_geometric_mean() -> None:
    values = draws(parameter("double", min="0.0001", max="1", distribution="logUniform"), 10_000)
    assert abs(sum(float(value) < 0.01 for value in values) - 5_000) < 200


def test_a_normal_double_has_its_mean_midway_and_a_sixth_of_the_range_as_deviation() -> None:
    values = [float(v) for v in draws(parameter("double", min="2", max="8", distribution="normal"), 10_000)]
    mean = math.fsum(values) / len(values)
    assert abs(mean - 5) < 0.05
    # Cut at three deviations, a normal distribution keeps 0.9866 of its own.
    assert abs(math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)) - 0.9866) < 0.03


def test_a_normal_draw_beyond_the_bounds_is_drawn_again_and_not_moved_onto_them() -> None:
    values = draws(parameter("double", min="2", max="8", distribution="normal"), 10_000)
    assert not {"2.0", "8.0"} & set(values)


def test_a_log_normal_double_is_normal_in_its_logarithm() -> None:
    spec = parameter("double", min="0.01", max="100", distribution="logNormal")
    logs = [math.log10(float(value)) for value in draws(spec, 10_000)]
    assert abs(math.fsum(logs) / len(logs)) < 0.03


def test_a_choice_passes_its_values_on_as_written() -> None:
    assert set(draws(parameter("discrete", list=("1e-3", "0.10")))) == {"1e-3", "0.10"}
    assert set(draws(parameter("categorical", list=("sgd", "adam")))) == {"sgd", "adam"}


def test_values_are_written_as_python_writes_them() -> None:
    assert draws(parameter("double", min="0.00001", max="0.00001", step="1"), 1) == ["1e-05"]
    assert draws(parameter("int", min="5.0", max="5"), 1) == ["5"]


@pytest.mark.parametrize(
    ("kind", "space", "text"),
    [
        ("double", {"min": "1"}, "parameter p: feasibleSpace.max is missing: give a number"),
        ("double", {"min": "x", "max": "1"}, "feasibleSpace.min 'x' is no number"),
        ("double", {"min": "0", "max": "inf"}, "feasibleSpace.max 'inf' is not finite"),
        ("double", {"min": "0", "max": "1e999"}, "feasibleSpace.max '1e999' is not finite"),
        ("double", {"min": "nan", "max": "1"}, "feasibleSpace.min 'nan' is not finite"),
        ("int", {"min": "0.5", "max": "1"}, "feasibleSpace.min 0.5 is no integer"),
        ("int", {"min": "2", "max": "1"}, "feasibleSpace.min 2 is above max 1"),
        ("int", {"min": "1", "max": "2", "step": "0"}, "feasibleSpace.step 0 is not above 0"),
        ("double", {"min": "1", "max": "2", "step": "-0.1"}, "feasibleSpace.step -0.1 is not above 0"),
        ("double", {"min": "0", "max": "1", "step": "1e-99"}, "feasibleSpace.step 1E-99 is too fine"),
        ("double", {"min": "0", "max": "1", "distribution": "logUniform"}, "needs a min above 0"),
        ("int", {"min": "-1", "max": "1", "distribution": "logNormal"}, "needs a min above 0"),
        ("double", {"min": "1e-999", "max": "1", "distribution": "logUniform"}, "needs a min above 0"),
        ("double", {"min": "0", "max": "1", "distribution": "beta"}, "feasibleSpace.distribution 'beta'"),
        ("categorical", {}, "parameter p: feasibleSpace.list is empty"),
        ("unknown", {"min": "0", "max": "1"}, "parameter p: parameterType 'unknown' cannot be searched"),
    ],
)
def test_an_unusable_space_is_named_with_its_field(kind: str, space: dict[str, str], text: str) -> None:
    with pytest.raises(SpaceError) as raised:
        dimension(parameter(kind, **space))
    assert text in str(raised.value)
