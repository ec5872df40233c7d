"""Durations: of flags, and of the time limit that the API server sends along."""

import math

from hypothesis import strategies as st

from hack.fuzz.target import Target
from kfx.flags import parse_duration
from kfx.runtime.admission import LONGEST_TIMEOUT, parse_timeout, timeout_of

_PIECES = (
    "1",
    "0",
    "9",
    ".",
    "ns",
    "us",
    "µs",
    "ms",
    "s",
    "m",
    "h",
    "-",
    "+",
    " ",
    "e",
    "٣",
    "&timeout=",
    "%",
    "\0",
)
_texts = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=10).map("".join),
    st.text(max_size=20),
    st.tuples(st.sampled_from(("1", "1s", "1h", ".", "s", "1.")), st.integers(1, 1_000_000)).map(
        lambda pair: pair[0] * pair[1]
    ),
)


def _act(text: str) -> None:
    for found in (parse_timeout(text, 10.0), timeout_of(f"timeout={text}", 10.0)):
        assert 0 < found <= LONGEST_TIMEOUT, found
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0, seconds
    assert math.isfinite(seconds), seconds


TARGET = Target(name="duration", inputs=_texts, act=_act)
