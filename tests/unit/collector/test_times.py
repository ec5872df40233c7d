from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.collector.times import ZERO_TIME, is_time, time_of_number
from kfx.store.times import parse_time


def accepted_by_the_store(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


OFFSETS = st.one_of(st.just("Z"), st.from_regex(r"\A[+-][0-3][0-9]:[0-6][0-9]\Z"))


@given(st.datetimes(), OFFSETS)
def test_what_passes_for_a_time_is_accepted_by_the_store(time: object, offset: str) -> None:
    text = f"{time}".replace(" ", "T") + offset
    if is_time(text):
        assert accepted_by_the_store(text)


@pytest.mark.parametrize(
    "text",
    [
        "2021-12-02T14:27:50Z",
        "2021-12-02T14:27:50.000035161Z",
        "2021-12-02T14:27:50+09:00",
        "2021-12-02T14:27:50,5-01:30",
        ZERO_TIME,
    ],
)
def test_rfc_3339_is_a_time(text: str) -> None:
    assert is_time(text)
    assert accepted_by_the_store(text)


@pytest.mark.parametrize(
    "text",
    ["", "invalid", "2021-12-02", "2021-12-02 14:27:50Z", "2021-12-02T14:27:50", "2021-13-02T14:27:50Z",
     "2021-12-02T24:27:50Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    assert not is_time(text)


@pytest.mark.parametrize(
    ("number", "time"),
    [
        ("1638422847.28721", "2021-12-02T05:27:27.000028721Z"),
        ("1638422847", "2021-12-02T05:27:27Z"),
        ("1638422847.0", "2021-12-02T05:27:27Z"),
        ("1.638422847e9", "2021-12-02T05:27:27Z"),
        ("1638422847.9", "2021-12-02T05:27:27.000000009Z"),
        ("0.1234567890123", "1970-01-01T00:20:34.567890123Z"),
        ("-1", "1969-12-31T23:59:59Z"),
        ("1638422847000", ZERO_TIME),
        ("1e400", ZERO_TIME),
        ("NaN", ZERO_TIME),
    ],
)
def test_a_number_of_seconds_becomes_the_time_katibs_collector_makes_of_it(number: str, time: str) -> None:
    assert time_of_number(number) == time


@given(st.floats())
def test_no_number_makes_a_time_the_store_refuses(number: float) -> None:
    assert accepted_by_the_store(time_of_number(repr(number)))


@given(st.integers(min_value=-(10**9), max_value=10**11))
def test_whole_seconds_are_exact(seconds: int) -> None:
    assert parse_time(time_of_number(str(seconds))) == parse_time("1970-01-01T00:00:00Z") + timedelta(
        seconds=seconds
    )
