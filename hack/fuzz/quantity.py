"""Quantities of Kubernetes, as text or as JSON number."""

import re
from typing import Any

from hypothesis import strategies as st

from hack.fuzz.inputs import json_values, numbers
from hack.fuzz.target import Target
from kfx.katib.quantity import QuantityError, parse_quantity

_PIECES = (
    "1",
    "0",
    ".",
    "-",
    "+",
    "e",
    "E",
    "999",
    "n",
    "u",
    "m",
    "k",
    "K",
    "Ki",
    "M",
    "Mi",
    "Ei",
    " ",
    "\n",
    "٣",
    "_",
)
_GO = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
_values = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=8).map("".join),
    numbers,
    json_values,
    st.just(10**5000),
    st.tuples(st.sampled_from(("1", "0", "9e", ".1")), st.integers(1, 1_000_000)).map(
        lambda pair: pair[0] * pair[1]
    ),
)


def _act(value: Any) -> bool:
    try:
        parse_quantity(value)
    except QuantityError:
        return False
    return True


def _judge(value: Any, accepted: bool) -> None:
    if accepted and isinstance(value, str):
        assert _GO.fullmatch(value), value


TARGET = Target(name="quantity", inputs=_values, act=_act, judge=_judge)
