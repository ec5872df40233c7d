"""Quantities by value."""

from fractions import Fraction
from typing import Any

import pytest

from kfx.katib.quantity import QuantityError, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Fraction(0)),
        ("50m", Fraction(1, 20)),
        ("-1", Fraction(-1)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("10Mi", Fraction(10 * 1024**2)),
        ("5Gi", Fraction(5 * 1024**3)),
        ("1k", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1e3", Fraction(1000)),
        ("1E-3", Fraction(1, 1000)),
        ("100n", Fraction(1, 10**7)),
        (1, Fraction(1)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_a_quantity_has_an_exact_value(text: object, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "1 Gi", "1Xi", "Gi", "1e", "1ki", True, None, [], "1" * 65, "1e9999", "nan"]
)
def test_anything_else_is_named(text: object) -> None:
    with pytest.raises(QuantityError, match="is no quantity; write for example 500m"):
        parse_quantity(text)


@pytest.mark.parametrize(
    "value", ["1\n", "\u0663", pytest.param(10**5000, id="huge"), True, float("nan"), None, [], "1" * 65]
)
def test_odd_values_are_refused_as_quantities_and_not_otherwise(value: Any) -> None:
    with pytest.raises(QuantityError, match="is no quantity; write for example 500m"):
        parse_quantity(value)
