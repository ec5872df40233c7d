"""The first list as a stream of events, and what becomes of servers that cannot."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from kfx.kube import errors
from kfx.kube.listwatch import Page, WatchMessage
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import SLICE, Change, Listed, ListEnd, Put
from tests.things import FOREVER, Thing, end_of_list, event, play, reflector_of


class Server:
    """Plays back streams, one for each call; then a page, and a watch that is silent."""

    def __init__(self, *streams: list[Any]) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        self.asked.append("page")
        return Page("9", "", [event("", "paged", 9).object])

    async def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        self.asked.append("stream")
        async for message in play(self.streams.pop(0)):
            yield message

    async def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        self.asked.append(f"watch {since}")
        yield event("MODIFIED", "changed", int(since) + 1)
        await asyncio.Event().wait()


def refusal(kind: type[errors.ApiError], status: int) -> errors.ApiError:
    return kind("sendInitialEvents is forbidden", status=status, method="WATCH", path="/things")


async def followed(server: Server) -> list[Change[Thing]]:
    """The changes up to the first of the watch."""
    found = []
    async for change in reflector_of(server, streaming=True).changes():
        found.append(change)
        if isinstance(change, Put):
            return found
    raise AssertionError("endless")


def names(changes: list[Change[Thing]]) -> list[str]:
    return [o.metadata.name for c in changes if isinstance(c, Listed) for o in c.objects]


async def test_what_is_streamed_is_the_list_and_the_watch_goes_on_from_its_end() -> None:
    server = Server(
        [event("ADDED", "a", 1), event("ADDED", "b", 3), event("BOOKMARK", "", 4), end_of_list(7)]
    )
    changes = await followed(server)
    assert names(changes) == ["a", "b"]
    assert ListEnd({Request("ns", "a"), Request("ns", "b")}) in changes
    assert server.asked == ["stream", "watch 7"]


async def test_what_changes_while_it_streams_is_listed_once_in_its_last_state() -> None:
    stream = [
        event("ADDED", "a", 1), event("ADDED", "b", 2),
        event("MODIFIED", "a", 3), event("DELETED", "b", 4), end_of_list(4),
    ]  # fmt: skip
    changes = await followed(Server(stream))
    (listed,) = [c for c in changes if isinstance(c, Listed)]
    assert [(o.metadata.name, o.metadata.resource_version) for o in listed.objects] == [("a", "3")]
    assert ListEnd({Request("ns", "a")}) in changes


async def test_a_long_list_is_handed_on_in_slices() -> None:
    stream = [event("ADDED", f"n{i}", i) for i in range(1, 2 * SLICE + 2)]
    changes = await followed(Server([*stream, end_of_list(999)]))
    assert [len(c.objects) for c in changes if isinstance(c, Listed)] == [SLICE, SLICE, 1]


async def test_an_unreadable_object_is_part_of_the_list() -> None:
    bad = WatchMessage("ADDED", b'{"metadata":{"name":"bad","namespace":"ns","labels":3}}')
    changes = await followed(Server([event("ADDED", "a", 1), bad, end_of_list(2)]))
    assert names(changes) == ["a", "bad"]
    assert ListEnd({Request("ns", "a"), Request("ns", "bad")}) in changes


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([refusal(errors.Invalid, 422)], id="gate-off"),
        pytest.param([refusal(errors.BadRequest, 400)], id="unknown"),
        pytest.param([event("ADDED", "a", 1), FOREVER], id="no-end-in-sight"),
    ],
)
async def test_a_server_that_cannot_stream_is_asked_for_pages(stream: list[Any]) -> None:
    server = Server(stream)
    assert names(await followed(server)) == ["paged"]
    assert server.asked == ["stream", "page", "watch 9"]


async def test_a_stream_that_breaks_hands_on_nothing_and_is_tried_again() -> None:
    server = Server(
        [event("ADDED", "gone", 1), errors.Interrupted("cut")],
        [event("ADDED", "whole", 2)],
        [event("ADDED", "whole", 2), end_of_list(2)],
    )
    assert names(await followed(server)) == ["whole"]
    assert server.asked == ["stream", "stream", "stream", "watch 2"]


async def test_after_an_outage_the_first_answer_to_anybody_wakes_it(clock: Any) -> None:
    server = Server([errors.Unreachable("refused")], [end_of_list(1)])
    answered = asyncio.Event()
    server.reachable = answered.wait  # type: ignore[attr-defined]
    asyncio.get_running_loop().call_later(0.1, answered.set)
    assert ListEnd(set()) in await followed(server)
    assert clock.now <= 1.1


async def test_in_a_long_outage_it_tries_by_itself_as_well() -> None:
    server = Server([errors.Unreachable("refused")], [end_of_list(1)])
    server.reachable = asyncio.Event().wait  # type: ignore[attr-defined]
    assert ListEnd(set()) in await followed(server)
