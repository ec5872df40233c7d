"""How a registry wants to be convinced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        (['Basic realm="x"'], Challenge("basic", "x")),
        (["Basic"], Challenge("basic")),
        (
            ['Bearer realm="https://a/t?b=c,d",service="s",scope="repository:x:pull,push"'],
            Challenge("bearer", "https://a/t?b=c,d", "s"),
        ),
        (["bearer realm=https://a/t , service=s"], Challenge("bearer", "https://a/t", "s")),
        (['Bearer realm="a\\"b"'], Challenge("bearer", 'a"b')),
        (['Basic realm="x"', 'Bearer realm="y"'], Challenge("bearer", "y")),
        (["Negotiate x", 'Basic realm="x"'], Challenge("basic", "x")),
        (["Bearer service=s"], None),
        (["Digest realm=x"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_way_to_be_taken_is_found(headers: list[str], challenge: Challenge | None) -> None:
    assert parse_challenges(headers) == challenge


@given(st.lists(st.text() | st.text(alphabet='Bearbsic ="\\,realm')))
def test_any_header_is_understood_or_passed_over(headers: list[str]) -> None:
    found = parse_challenges(headers)
    assert found is None or found.scheme in {"basic", "bearer"}
