from datetime import UTC, datetime

import pytest

from kfx.katib.ages import change_times, latest, parse_time, seconds_since, spell, spell_age
from tests.katib_objects import conditions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "<unknown>"), (0, "0s"), (119.9, "119s"), (120, "2m"), (252, "4m12s"), (600, "10m"),
        (10_799, "179m"), (10_800, "3h"), (3 * 3600 + 61, "3h1m"), (9 * 3600 + 61, "9h"),
        (48 * 3600, "2d"), (49 * 3600, "2d1h"), (9 * 86400 + 3600, "9d"), (800 * 86400, "2y70d"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_writes_them(seconds: float | None, text: str) -> None:
    assert spell(seconds) == text


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-02T03:04:05"])
def test_what_is_no_time_has_no_age(text: str | None) -> None:
    assert parse_time(text) is None
    assert seconds_since(text, NOW) is None
    assert spell_age(text, NOW) == "<unknown>"


def test_a_clock_that_is_behind_gives_no_negative_age() -> None:
    assert seconds_since("2026-01-02T03:04:09.5Z", NOW) == 0
    assert seconds_since("2026-01-02T03:04:00.5Z", NOW) == 4.5


def test_the_latest_change_is_the_last_of_all_times() -> None:
    found = change_times(conditions("Created", "Running"))
    assert latest([*found, None, "2026-01-01T00:00:00Z"]) == found[0]
    assert latest([]) == ""
