"""List, watch, and what each way of failing leads to."""

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from kfx.kube import errors
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.model import Unreadable
from kfx.kube.transport import ConnectionCut
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reflector import NOT_SERVED_PERIOD, Change, Listed, ListEnd, Put, is_older
from tests.things import FOREVER, Script, Scripted, Thing, event, raw, reflector_of

EMPTY = Page("5", "", [])


def refused(kind: type[errors.ApiError], status: int, **more: Any) -> errors.ApiError:
    return kind("no", status=status, method="GET", path="/things", **more)


GONE = refused(errors.Expired, 410)


async def followed(server: Scripted, seconds: float, **options: Any) -> list[Change[Thing]]:
    """The changes of the first ``seconds``."""
    found: list[Change[Thing]] = []
    reflector = reflector_of(server, **options)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for change in reflector.changes():
                found.append(change)  # noqa: PERF401 — the time limit cuts it
    return found


def asked(server: Scripted) -> list[str]:
    return [what for what, _ in server.asked]


async def after_watch(*script: Any, seconds: float = 30, lists: int = 3) -> Scripted:
    """What is asked for when the first watch goes like that."""
    server = Scripted(lists=[EMPTY] * lists, watches=[list(script), [FOREVER]])
    await followed(server, seconds)
    return server


async def test_the_watch_begins_where_the_list_ended() -> None:
    server = await after_watch(FOREVER)
    assert asked(server) == ["list", "watch 5"]


async def test_a_watch_that_ends_is_opened_again_at_once_from_the_last_version() -> None:
    server = await after_watch(event("ADDED", "a", 7), 2)
    assert server.asked == [("list", 0), ("watch 5", 0), ("watch 7", 2)]


async def test_a_bookmark_moves_the_version_on() -> None:
    server = await after_watch(event("BOOKMARK", "", 90), 2)
    assert asked(server) == ["list", "watch 5", "watch 90"]


async def test_a_broken_stream_loses_nothing_and_lists_nothing() -> None:
    server = await after_watch(event("ADDED", "a", 7), errors.Interrupted("cut"))
    assert asked(server) == ["list", "watch 5", "watch 7"]


@pytest.mark.parametrize(
    "failure",
    [errors.TransportError("refused"), refused(errors.TooManyRequests, 429)],
    ids=["refused", "429"],
)
async def test_a_server_that_does_not_answer_is_asked_again_from_the_same_version(failure: Exception) -> None:
    server = await after_watch(failure)
    assert asked(server) == ["list", "watch 5", "watch 5"]
    assert 0.8 <= server.asked[-1][1] < 1.6


@pytest.mark.parametrize(
    "failure",
    [GONE, refused(errors.ServerError, 500), refused(errors.Forbidden, 403)],
    ids=["410", "500", "403"],
)
async def test_what_the_server_has_forgotten_or_refuses_is_listed_again(failure: Exception) -> None:
    server = await after_watch(failure)
    assert asked(server) == ["list", "watch 5", "list", "watch 5"]


async def test_a_watch_that_ends_as_soon_as_it_began_counts_as_an_error() -> None:
    server = await after_watch()
    assert asked(server) == ["list", "watch 5", "list", "watch 5"]
    assert server.asked[2][1] >= 0.8


@pytest.mark.parametrize(("silence", "lists"), [(0.9, 2), (1.0, 1)])
async def test_a_watch_of_a_second_is_long_enough(silence: float, lists: int) -> None:
    server = await after_watch(silence)
    assert asked(server).count("list") == lists


async def test_a_short_watch_that_brought_something_is_no_error() -> None:
    server = await after_watch(event("ADDED", "a", 7))
    assert server.asked == [("list", 0), ("watch 5", 0), ("watch 7", 0)]


async def test_a_version_that_goes_backwards_is_a_server_set_back() -> None:
    server = await after_watch(event("BOOKMARK", "", 3))
    assert asked(server)[:3] == ["list", "watch 5", "list"]


@pytest.mark.parametrize("failure", [errors.Unreachable("down"), ConnectionCut("cut")], ids=["down", "cut"])
@pytest.mark.parametrize(
    ("version", "then"),
    [("3", ["list", "watch 8"]), ("6", ["watch 5"]), ("", ["watch 5"])],
    ids=["set-back", "went-on", "unknown"],
)
async def test_a_server_that_comes_back_is_asked_whether_it_was_set_back(
    failure: Exception, version: str, then: list[str]
) -> None:
    look = Page(version, "", [])
    server = Scripted(lists=[EMPTY, look, Page("8", "", [])], watches=[[failure], [FOREVER]])
    await followed(server, 30)
    assert asked(server) == ["list", "watch 5", "list", *then]


async def test_a_server_that_cannot_be_asked_whether_it_was_set_back_is_followed_on() -> None:
    watches: list[Script] = [[errors.Unreachable("down")], [FOREVER]]
    server = Scripted(lists=[EMPTY, errors.TransportError("down")], watches=watches)
    await followed(server, 30)
    assert asked(server) == ["list", "watch 5", "list", "watch 5"]


async def test_waits_grow_up_to_a_minute() -> None:
    server = Scripted(lists=[errors.TransportError("down")] * 40 + [EMPTY], watches=[])
    await followed(server, 600)
    times = [time for _, time in server.asked]
    waits = [later - before for before, later in pairwise(times)]
    assert 0.8 <= waits[0] < 1.6
    assert all(30 <= wait < 60 for wait in waits[7:])
    assert len(times) <= 40


async def test_pages_are_put_together_before_any_is_handed_on() -> None:
    pages = [Page("5", "more", [raw("a", 1)]), Page("5", "", [raw("b", 2)])]
    server = Scripted(lists=[*pages], watches=[])
    changes = await followed(server, 1)
    assert asked(server)[:2] == ["list", "list more"]
    assert [o.metadata.name for c in changes if isinstance(c, Listed) for o in c.objects] == ["a", "b"]


async def test_a_list_forgotten_half_way_is_read_anew_as_a_whole() -> None:
    first, whole = Page("5", "more", [raw("old", 1)]), Page("8", "", [raw("new", 7)])
    server = Scripted(lists=[first, GONE, whole], watches=[])
    changes = await followed(server, 1)
    assert [o.metadata.name for c in changes if isinstance(c, Listed) for o in c.objects] == ["new"]
    assert asked(server) == ["list", "list more", "list", "watch 8"]


async def test_a_kind_that_is_not_served_is_empty_and_looked_for_now_and_then() -> None:
    absent = refused(errors.NotFound, 404)
    server = Scripted(lists=[absent, absent, Page("9", "", [raw("a", 9)])], watches=[])
    with capture_logs() as lines:
        changes = await followed(server, 100)
    assert changes[:2] == [ListEnd(frozenset())] * 2
    first, second, third, _ = [time for _, time in server.asked]
    for wait in (second - first, third - second):
        assert 0.9 * NOT_SERVED_PERIOD <= wait <= 1.1 * NOT_SERVED_PERIOD
    assert [line["event"].partition(";")[0] for line in lines] == ["kind is not served", "following"]


async def after_absence(*answers: Exception) -> list[Change[Thing]]:
    """What is told when lists of a kind that was there are answered like that, before it is there again."""
    there = Page("5", "", [raw("a", 1)])
    server = Scripted(lists=[there, *answers, there], watches=[[refused(errors.ServerError, 500)]])
    changes = await followed(server, 1000)
    assert server.lists == []
    return changes


ABSENT = refused(errors.NotFound, 404)


async def test_a_kind_that_was_there_is_asked_for_twice_before_it_counts_as_empty() -> None:
    assert ListEnd(frozenset()) not in await after_absence(ABSENT)
    assert ListEnd(frozenset()) in await after_absence(ABSENT, ABSENT)


@pytest.mark.parametrize(
    "between",
    [errors.TransportError("down"), errors.Unreachable("down"), GONE, refused(errors.Forbidden, 403)],
    ids=["no-answer", "unreachable", "410", "403"],
)
async def test_a_kind_is_absent_only_when_that_is_said_twice_in_a_row(between: Exception) -> None:
    assert ListEnd(frozenset()) not in await after_absence(ABSENT, between, between, ABSENT)


async def test_a_kind_that_is_gone_stays_gone_through_an_outage() -> None:
    with capture_logs() as lines:
        changes = await after_absence(ABSENT, ABSENT, errors.Unreachable("down"), ABSENT)
    assert changes.count(ListEnd(frozenset())) == 2
    assert [line["log_level"] for line in lines] == ["warning", "warning", "info"]


async def test_a_right_that_is_missing_is_named_as_a_rule_until_it_is_there() -> None:
    server = Scripted(lists=[refused(errors.Forbidden, 403), EMPTY], watches=[])
    reflector = reflector_of(server)
    changes = reflector.changes()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(anext(changes))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        assert reflector.problem == (
            'forbidden: grant the rule {apiGroups: ["example.org"], resources: ["things"], '
            'verbs: ["get", "list", "watch"]}'
        )
        await first
    assert reflector.problem is None
    await changes.aclose()


FORBIDDEN = refused(errors.Forbidden, 403)


async def test_an_optional_kind_that_may_not_be_read_counts_as_empty_until_it_may() -> None:
    server = Scripted(lists=[FORBIDDEN] * 8 + [Page("5", "", [raw("a", 1)])], watches=[])
    with capture_logs() as lines:
        changes = await followed(server, 200, optional="nobody greets")
    empty = ListEnd(frozenset())
    assert changes[:6] == [empty] * 6
    assert [type(each) for each in changes[6:8]] == [Listed, ListEnd]
    assert changes[7] != empty
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "may not be followed; going on without"),
        ("info", "following"),
    ]
    assert lines[0]["without"] == "nobody greets"
    assert lines[0]["remedy"].startswith('grant the rule {apiGroups: ["example.org"]')


async def test_a_right_that_is_missing_is_looked_for_soon_and_then_every_half_minute() -> None:
    server = Scripted(lists=[FORBIDDEN] * 40, watches=[])
    await followed(server, 600, optional="nobody greets")
    waits = [later - earlier for (_, earlier), (_, later) in pairwise(server.asked)]
    assert waits[0] < 2
    assert 20 < waits[-1] <= NOT_SERVED_PERIOD


async def test_a_server_that_knows_no_roles_yet_leaves_an_optional_kind_as_it_was() -> None:
    pages = [Page("5", "", [raw("a", 1)])] * 2
    server = Scripted(lists=[*[FORBIDDEN] * 2, *pages], watches=[[FORBIDDEN]])
    with capture_logs() as lines:
        changes = await followed(server, 20, optional="nobody greets")
    assert ListEnd(frozenset()) not in changes
    assert "may not be followed; going on without" not in [line["event"] for line in lines]


async def test_a_right_that_is_taken_away_empties_the_kind_once_that_is_certain() -> None:
    lists = [Page("5", "", [raw("a", 1)]), *[FORBIDDEN] * 10]
    server = Scripted(lists=lists, watches=[[FORBIDDEN]])
    reflector = reflector_of(server, optional="nobody greets")
    found: list[Change[Thing]] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            async for change in reflector.changes():
                found.append(change)
                if len(found) == 3:
                    assert reflector.problem is not None
    assert found[2] == ListEnd(frozenset())


async def test_one_outage_is_logged_once() -> None:
    server = Scripted(lists=[errors.TransportError("odd")] * 5 + [EMPTY], watches=[])
    with capture_logs() as lines:
        await followed(server, 300)
    assert [line["log_level"] for line in lines] == ["warning", "info"]


async def test_what_the_transport_has_logged_is_not_logged_again() -> None:
    server = Scripted(lists=[errors.Unreachable("down")] * 5 + [EMPTY], watches=[])
    with capture_logs() as lines:
        await followed(server, 300)
    assert lines == []


async def test_an_unreadable_object_is_counted_and_comes_as_what_can_be_read_of_it() -> None:
    bad = WatchMessage(
        "MODIFIED", b'{"metadata":{"name":"a","namespace":"ns","resourceVersion":"8","labels":1}}'
    )
    nameless = WatchMessage("MODIFIED", b'{"metadata":{"name":1,"resourceVersion":"8"}}')
    script: Script = [bad, nameless, event("ADDED", "b", 9), FOREVER]
    metrics = RuntimeMetrics()
    server = Scripted(lists=[Page("5", "", [raw("a", 1)])], watches=[script])
    changes = await followed(server, 5, metrics=metrics.informer("things"))
    put = [c.obj for c in changes if isinstance(c, Put)]
    assert [(obj.metadata.name, isinstance(obj, Unreadable)) for obj in put] == [("a", True), ("b", False)]
    name = "kfx_informer_undecodable_objects_total"
    assert metrics.registry.get_sample_value(name, {"resource": "things"}) == 2


async def test_the_figures_tell_why_it_was_listed_and_how_watches_ended() -> None:
    metrics = RuntimeMetrics()
    cut, failed = errors.Interrupted("cut"), refused(errors.ServerError, 500)
    watches = [[2], [2, cut], [2, errors.TransportError("down")], [2, GONE], [2, failed], [], [FOREVER]]
    server = Scripted(lists=[EMPTY] * 4, watches=watches)
    await followed(server, 600, metrics=metrics.informer("things"))

    def figures(name: str) -> dict[str, float]:
        (family,) = [found for found in metrics.registry.collect() if found.name == name]
        samples = [found for found in family.samples if found.name.endswith("_total")]
        return {found.labels["reason"]: found.value for found in samples}

    assert figures("kfx_informer_lists") == {"start": 1, "expired": 1, "error": 1, "short_watch": 1}
    assert figures("kfx_informer_watch_restarts") == {"ended": 2, "interrupted": 1, "error": 1}


async def test_its_age_is_the_time_since_the_server_was_heard_of() -> None:
    server = Scripted(lists=[EMPTY], watches=[[10, event("BOOKMARK", "", 6), FOREVER]])
    reflector = reflector_of(server)
    assert reflector.age() == -1
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_exhaust(reflector.changes()))
        await asyncio.sleep(4)
        assert reflector.age() == 4
        await asyncio.sleep(7)
        assert reflector.age() == 1
        following.cancel()


async def _exhaust(changes: Any) -> None:
    async for _ in changes:
        pass


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [("9", "10", True), ("10", "9", False), ("9", "9", False), ("x", "9", False), ("", "9", False)],
)
def test_versions_are_numbers_and_what_is_none_is_not_older(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older
