import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.katib.wildcard import compile_wildcard


@pytest.mark.parametrize(
    ("pattern", "text", "yes"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("***", "abc", True),
        ("?", "a", True),
        ("?", "", False),
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("ab*bc", "abc", False),
        ("*b?*", "abc", True),
        ("*b?*", "ab", False),
        ("a?c", "a\nc", True),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        (r"\?", "?", True),
        ("a\\", "a\\", True),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern_matches_the_whole_text(pattern: str, text: str, yes: bool) -> None:
    assert compile_wildcard(pattern).matches(text) is yes


@given(st.text(alphabet="ab*?\\", max_size=8), st.text(alphabet="ab*", max_size=10))
def test_it_matches_what_the_same_regular_expression_does(pattern: str, text: str) -> None:
    same, i = "", 0
    while i < len(pattern):
        if pattern[i] == "\\" and i + 1 < len(pattern):
            i += 1
            same += re.escape(pattern[i])
        else:
            same += {"*": ".*", "?": "."}.get(pattern[i], re.escape(pattern[i]))
        i += 1
    assert compile_wildcard(pattern).matches(text) is (re.fullmatch(same, text, re.DOTALL) is not None)


def test_what_a_match_may_cost_is_known_before() -> None:
    text = "a" * 1_000_000
    assert compile_wildcard("*" + "a?" * 500 + "b").cost(text) > 10_000_000
    assert compile_wildcard("*" + "a" * 1000 + "b").cost(text) < 20_000
    assert compile_wildcard("*" * 4000 + "b").cost(text) < 20_000
    assert compile_wildcard("a" * 1000).cost("a") == 1
