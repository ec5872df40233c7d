"""Kubernetes quantities (``500m``, ``10Mi``, ``1e3``), by value.

Pure; the grammar is apimachinery's ``resource.Quantity``. Values are exact fractions.
"""

import re
from fractions import Fraction
from typing import Any

_QUANTITY = re.compile(
    r"^(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,3})|(?P<suffix>[numkMGTPE]|[KMGTPE]i))?$"
)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}


class QuantityError(ValueError):
    """The value is no quantity; the message says what one looks like."""


def parse_quantity(value: Any) -> Fraction:
    """The exact value of a quantity given as string or JSON number. Raises :class:`QuantityError`."""
    text = value if isinstance(value, str) else repr(value) if _is_number(value) else ""
    match = _QUANTITY.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        shown = f"{text[:80]!r}" if isinstance(value, str) else f"a value of type {type(value).__name__}"
        raise QuantityError(f"{shown} is no quantity; write for example 500m, 2 or 10Mi")
    number = Fraction(match["number"])
    if match["exponent"]:
        return number * Fraction(10) ** int(match["exponent"])
    return number * _SUFFIXES.get(match["suffix"] or "", Fraction(1))


def _is_number(value: Any) -> bool:
    """Whether it is one that can be written out: Python refuses to for integers of more than 4300 digits."""
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() < 256
    return isinstance(value, float)
