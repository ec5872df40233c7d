"""One outage is one story: how it began, that it lasts, that it is over."""

import asyncio

from structlog.testing import capture_logs

from kfx.kube.outage import REMINDER, Outage


class Hand:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def told(*steps: float | None) -> list[tuple[str, float]]:
    """What is logged; a number is a failure so many seconds later, ``None`` an answer."""
    clock = Hand()
    outage = Outage("https://api", clock=clock)
    with capture_logs() as lines:
        for step in steps:
            if step is None:
                outage.over()
            else:
                clock.now += step
                outage.seen("refused")
    return [(line["log_level"], line.get("for_seconds", line.get("after_seconds"))) for line in lines]


def test_a_hundred_failures_are_one_line() -> None:
    assert told(*[0.1] * 100) == [("warning", 0)]


def test_a_long_outage_is_recalled_now_and_then() -> None:
    assert told(0, REMINDER / 2, REMINDER / 2, 1) == [("warning", 0), ("warning", REMINDER)]


def test_its_end_is_told_with_its_length() -> None:
    assert told(0, 30, None) == [("warning", 0), ("info", 30)]


def test_an_answer_without_an_outage_is_no_news() -> None:
    assert told(None, None) == []


def test_the_next_outage_is_told_anew() -> None:
    assert [level for level, _ in told(0, None, 1, None)] == ["warning", "info", "warning", "info"]


async def test_who_waits_for_the_end_is_woken_by_anybodys_answer(clock: object) -> None:
    outage = Outage("https://api")
    await outage.ended()
    outage.seen("refused")
    asyncio.get_running_loop().call_later(40, outage.over)
    await outage.ended()
    assert clock == 40
