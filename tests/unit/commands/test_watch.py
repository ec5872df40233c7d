"""The client is real, what the server says is played back."""

from contextlib import aclosing

import pytest

from kfx.commands import watch
from kfx.commands.session import Session
from kfx.kube.decode import read_head
from tests.playback import (
    CONFIG_MAPS,
    CUT,
    STREAM_END,
    STREAM_HEAD,
    Script,
    answer,
    chunk,
    line,
    refusal,
    talk,
)

pytestmark = pytest.mark.real_time


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE", 0.01)


def stream(*lines: bytes, end: str | bytes = STREAM_END) -> Script:
    return [STREAM_HEAD, *(chunk(each) for each in lines), end]


async def changes(count: int, *scripts: Script, known: tuple[bytes, ...] = ()) -> tuple[list[str], list[str]]:
    """The first changes as ``name@version``, and the watches' starting points."""
    found: list[str] = []
    async with talk(*scripts) as (client, playback):
        session = Session(client=client, namespace="ns")
        following = watch.follow(
            session, CONFIG_MAPS, namespace="ns", labels="", name="", since="5", known=known
        )
        async with aclosing(following):
            async for raw in following:
                head = read_head(raw)
                found.append(f"{head.name}@{head.resource_version}")
                if len(found) == count:
                    break
    asked = [r.target.partition("resourceVersion=")[2].partition("&")[0] for r in playback.requests]
    return found, asked


async def test_changes_are_shown_and_bookmarks_are_not() -> None:
    lines = [line("ADDED", "a", 6), line("BOOKMARK", "", 9), line("DELETED", "a", 10)]
    assert await changes(2, stream(*lines)) == (["a@6", "a@10"], ["5"])


@pytest.mark.parametrize("end", [CUT, STREAM_END])
async def test_a_watch_that_ends_goes_on_where_it_was(end: str | bytes) -> None:
    scripts = [
        stream(line("ADDED", "a", 6), line("BOOKMARK", "", 9), end=end),
        stream(line("ADDED", "b", 11)),
    ]
    assert await changes(2, *scripts) == (["a@6", "b@11"], ["5", "9"])


async def test_after_a_gap_only_what_differs_is_shown() -> None:
    listed = b'{"metadata":{"resourceVersion":"20"},"items":[%s,%s]}'
    old = b'{"metadata":{"name":"old","namespace":"ns","resourceVersion":"4"}}'
    new = b'{"metadata":{"name":"new","namespace":"ns","resourceVersion":"19"}}'
    scripts = [refusal("410 Gone", "Expired"), answer(listed % (old, new)), stream(line("ADDED", "b", 21))]
    found, asked = await changes(2, *scripts, known=(old,))
    assert found == ["new@19", "b@21"]
    assert asked == ["5", "", "20"]
