import pytest
from structlog.testing import capture_logs

from kfx.controllers.event_reader import LONGEST, EventReader
from kfx.katib.hold_up import HoldUp
from kfx.kube.errors import Forbidden
from tests.unit.controllers.listed_events import Events

STUCK = HoldUp("PodNotStarting", "pod p has not started", "mend it", about="p-uid")


async def explain(events: Events, hold_up: HoldUp = STUCK) -> str:
    return (await EventReader(events).explain("ns", hold_up)).said


async def test_the_newest_warning_about_the_object_is_quoted() -> None:
    events = Events(
        ("2026-01-02T00:00:00Z", 'secret "s" not found'), ("2026-01-01T00:00:00Z", "no"), about="p-uid"
    )
    assert await explain(events) == 'secret "s" not found'
    assert events.asked == ["involvedObject.uid=p-uid,type=Warning"]


async def test_a_long_one_is_cut() -> None:
    assert await explain(Events(("", "x" * 9000), about="p-uid")) == "x" * LONGEST


@pytest.mark.parametrize(
    "events",
    [
        Events(about="p-uid"),
        Events(refusal=Forbidden("events is forbidden", status=403)),  # Katib's own role
    ],
)
async def test_without_an_answer_nothing_is_quoted(events: Events) -> None:
    assert await explain(events) == ""


async def test_a_right_that_is_missing_is_told_once_and_that_it_came_once() -> None:
    events = Events(("", "a quota"), about="p-uid", refusal=Forbidden("events is forbidden", status=403))
    reader = EventReader(events)
    with capture_logs() as lines:
        for _ in range(2):
            assert (await reader.explain("ns", STUCK)).said == ""
        events.refusal = None
        for _ in range(2):
            assert (await reader.explain("ns", STUCK)).said == "a quota"
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert lines[0]["remedy"] == 'grant the rule {apiGroups: [""], resources: ["events"], verbs: ["list"]}'


async def test_nothing_is_asked_where_nobody_could_tell() -> None:
    events = Events()
    assert await explain(events, HoldUp("JobSuspended", "lead", "remedy")) == ""
    assert not events.asked
