"""R 3.4 D6: what a backtracking engine never ends is judged, and used, in linear time."""

from itertools import product
from typing import Any

import pytest
from hypothesis import strategies as st

from hack.fuzz.metric_filter import TARGET
from hack.fuzz.target import Target
from kfx.collector.metrics_log import text_parser

SLACK = 4.0
"""Other tests run beside these."""
_REPEATED = ("a+", "a*", "[a-z]+", "(?:a|a)", "(?:a|aa)", r"\w*", "(?:a|b|ab)", ".*", "a{1,20}", "(?:a?){20}")
_AROUND = ("({0})+$", "^(?:{0})*b", "(?:{0}{0})*$", "(?:({0})*)*c", r"(?:{0}\s?)*!")
PATTERNS = [f"(loss)=([0-9.]+){around.format(each)}" for each, around in product(_REPEATED, _AROUND)]
LINE = "loss=0.1" + "a" * 30_000 + "?"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_expression_that_backtracks_for_ever_elsewhere_does_not_here(pattern: str) -> None:
    TARGET.run(([pattern], LINE), slack=SLACK)

    def read(value: Any) -> object:
        return text_parser(["loss"], [pattern])(value)

    Target(name="text_parser", inputs=st.just(LINE), act=read).run(LINE, slack=SLACK)


def test_there_are_fifty_of_them() -> None:
    assert len(set(PATTERNS)) == 50
