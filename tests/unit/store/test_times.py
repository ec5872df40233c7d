from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.store.times import format_time, parse_time


@given(st.datetimes())
def test_a_time_comes_back_as_it_was_stored(time: datetime) -> None:
    assert parse_time(format_time(time)) == time


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    st.integers(min_value=-1439, max_value=1439),
)
def test_an_offset_is_taken_out(time: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    text = time.replace(tzinfo=zone).isoformat()
    assert parse_time(text) == time.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("2016-12-31T21:02:05.123456+01:00", "2016-12-31T20:02:05.123456Z"),
        ("2016-12-31T20:02:05.120Z", "2016-12-31T20:02:05.12Z"),
        ("2016-12-31T20:02:05.123456789Z", "2016-12-31T20:02:05.123456Z"),
        ("2016-12-31T20:02:05,5Z", "2016-12-31T20:02:05.5Z"),
    ],
)
def test_what_is_stored_is_utc_in_microseconds(text: str, stored: str) -> None:
    assert format_time(parse_time(text)) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "invalid",
        "2016-12-31",
        "2016-12-31 20:02:05Z",
        "2016-12-31T20:02:05",
        "2016-12-31t20:02:05z",
        "2016-02-30T20:02:05Z",
        "2016-12-31T20:02:60Z",
        "2016-12-31T20:02:05+25:00",
        "2016-12-31T20:02:05+00:61",
        "0001-01-01T00:00:00+01:00",
        "٢٠١٦-12-31T20:02:05Z",
        "2016-12-31T20:02:05Z\n",
    ],
)
def test_anything_but_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)
