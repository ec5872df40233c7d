"""Watches, as bytes: lines cut anywhere, lines that are none, streams that end, break or fall silent."""

import functools
import json
from collections.abc import AsyncGenerator

import pytest

from kfx.kube import errors
from kfx.kube.client import Client
from kfx.kube.decode import Undecodable, decoder_for, ends_initial_events
from kfx.kube.listwatch import WatchMessage
from kfx.kube.transport import LineSplitter
from tests.playback import (
    CLOSE,
    CONFIG_MAPS,
    CUT,
    SILENCE,
    STREAM_END,
    STREAM_HEAD,
    Script,
    Step,
    answer,
    chunk,
    line,
    refusal,
    status_text,
    talk,
)
from tests.things import Thing

A, B = line("ADDED", "a", 1), line("MODIFIED", "b", 2, data={"k": "äöü"})


def stream(*parts: bytes, end: Step = STREAM_END) -> list[Step]:
    """A watch's answer of these chunks."""
    return [STREAM_HEAD, *[chunk(part) for part in parts], end]


def watch(client: Client) -> AsyncGenerator[WatchMessage, None]:
    return client.watch(CONFIG_MAPS, resource_version="1", timeout_seconds=300)


async def seen(client: Client, names: list[str]) -> None:
    """Adds to ``names`` what the watch tells, until it ends or raises."""
    async for message in watch(client):
        metadata = json.loads(bytes(message.object))["metadata"]
        names.append(f"{message.type} {metadata.get('name', '')} {metadata['resourceVersion']}")


async def names_of(script: Script) -> list[str]:
    found: list[str] = []
    async with talk(script) as (client, _):
        await seen(client, found)
    return found


async def broken(script: Script, *, idle: float = 70.0) -> tuple[list[str], Exception]:
    """What the watch told before it broke, and how it broke."""
    found: list[str] = []
    async with talk(script, idle=idle) as (client, _):
        with pytest.raises((errors.ApiError, errors.TransportError)) as caught:
            await seen(client, found)
    return found, caught.value


async def test_a_watch_tells_each_line_and_ends_when_the_server_ends_it() -> None:
    assert await names_of(stream(A + B)) == ["ADDED a 1", "MODIFIED b 2"]


async def test_a_watch_asks_for_changes_after_a_version_with_bookmarks() -> None:
    async with talk(stream()) as (client, playback):
        await seen(client, [])
    (request,) = playback.requests
    path, _, query = request.target.partition("?")
    assert (request.method, path) == ("GET", "/api/v1/configmaps")
    assert sorted(query.split("&")) == [
        "allowWatchBookmarks=true",
        "resourceVersion=1",
        "timeoutSeconds=300",
        "watch=true",
    ]


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_lines_cut_across_chunks_are_joined(size: int) -> None:
    text = A + b"\r\n" + B
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    assert await names_of(stream(*parts)) == ["ADDED a 1", "MODIFIED b 2"]


async def test_lines_cut_across_segments_are_joined() -> None:
    whole = b"".join([STREAM_HEAD, chunk(A), chunk(B), STREAM_END])
    split = [STREAM_HEAD[:20], 0.01, whole[20:150], 0.01, whole[150:-12], 0.01, whole[-12:]]
    assert await names_of(split) == ["ADDED a 1", "MODIFIED b 2"]


async def test_bookmarks_are_told_too() -> None:
    mark = line("BOOKMARK", "", 9)
    assert await names_of(stream(A, mark)) == ["ADDED a 1", "BOOKMARK  9"]


async def test_initial_events_end_with_their_bookmark() -> None:
    metadata = {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}
    mark = json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}).encode() + b"\n"
    async with talk(stream(A, mark)) as (client, playback):
        messages = [
            ends_initial_events(message.object)
            async for message in client.watch(
                CONFIG_MAPS, resource_version="", timeout_seconds=300, initial_events=True
            )
        ]
    assert messages == [False, True]
    assert "sendInitialEvents=true&resourceVersionMatch=NotOlderThan" in playback.requests[0].target


async def test_an_expired_version_in_mid_watch_is_told_as_such() -> None:
    gone = json.dumps(
        {"type": "ERROR", "object": json.loads(status_text(410, "Expired", "too old"))}
    ).encode()
    found, failed = await broken(stream(A, gone + b"\n", B))
    assert found == ["ADDED a 1"]
    assert isinstance(failed, errors.Expired)
    assert str(failed) == "WATCH /api/v1/configmaps: 410 Expired: too old"


@pytest.mark.parametrize("reason", ["InternalError", ""])
async def test_another_error_in_mid_watch_keeps_its_code(reason: str) -> None:
    text = json.dumps({"type": "ERROR", "object": json.loads(status_text(500, reason))}).encode()
    found, failed = await broken(stream(A, text + b"\n"))
    assert (found, type(failed)) == (["ADDED a 1"], errors.ServerError)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"<html>down</html>\n",
        b'{"type":"ADDED","obj\n',
        b'{"type":"ADDED"}\n',
        b"[]\n",
        b"\xff\xfe\n",
        b'{"type":"\xff","object":{}}\n',
        b"\x1f\x8b\x08\x00garbage\n",
    ],
)
async def test_a_line_that_is_no_event_ends_the_watch(nonsense: bytes) -> None:
    found, failed = await broken(stream(A, nonsense, B))
    assert found == ["ADDED a 1"]
    assert isinstance(failed, errors.Interrupted)
    assert "sent a line that is no event" in str(failed)


@pytest.mark.parametrize("end", [CUT, CLOSE, b"zz\r\n"])
async def test_a_stream_that_breaks_off_drops_its_unfinished_line(end: Step) -> None:
    found, failed = await broken([STREAM_HEAD, chunk(A), chunk(B[:-1]), 0.05, end])
    assert found == ["ADDED a 1"]
    assert isinstance(failed, errors.Interrupted)
    assert "in mid-stream" in str(failed)


async def test_a_stream_that_ends_drops_its_unfinished_line() -> None:
    assert await names_of(stream(A, B[:-1])) == ["ADDED a 1"]


async def test_a_silent_stream_is_given_up_and_its_connection_ended() -> None:
    found: list[str] = []
    async with talk([STREAM_HEAD, chunk(A), SILENCE], idle=0.2) as (client, playback):
        with pytest.raises(errors.Interrupted, match="SocketTimeoutError in mid-stream"):
            await seen(client, found)
        await playback.left.acquire()
    assert found == ["ADDED a 1"]


async def test_a_stream_that_speaks_now_and_then_is_kept() -> None:
    slow = [STREAM_HEAD, 0.3, chunk(A), 0.3, chunk(B), 0.3, STREAM_END]
    async with talk(slow, idle=0.5) as (client, _):
        found: list[str] = []
        await seen(client, found)
    assert found == ["ADDED a 1", "MODIFIED b 2"]


async def test_headers_that_do_not_come_are_given_up() -> None:
    _, failed = await broken([STREAM_HEAD[:-10], SILENCE], idle=0.2)
    assert type(failed) is errors.TransportError
    assert "no answer from http://127.0.0.1:" in str(failed)


async def test_a_watch_that_is_left_ends_its_connection() -> None:
    async with talk([STREAM_HEAD, chunk(A), SILENCE]) as (client, playback):
        messages = watch(client)
        assert (await anext(messages)).type == "ADDED"
        await messages.aclose()
        await playback.left.acquire()


async def test_a_very_long_line_arrives_whole() -> None:
    large = line("ADDED", "large", 7, data={"k": "x" * 16 * 1024 * 1024})
    assert await names_of(stream(A, large, B)) == ["ADDED a 1", "ADDED large 7", "MODIFIED b 2"]


async def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfx.kube.transport.LineSplitter", functools.partial(LineSplitter, limit=1000))
    found, failed = await broken([STREAM_HEAD, chunk(A), 0.1, chunk(b"x" * 2000), SILENCE])
    assert (found, type(failed)) == (["ADDED a 1"], errors.Interrupted)


async def test_an_object_nested_too_deeply_does_not_stop_the_watch() -> None:
    deep = (
        b'{"type":"ADDED","object":{"metadata":{"name":"deep"},"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}}\n"
    )
    async with talk(stream(deep, A)) as (client, _):
        first, second = [message async for message in watch(client)]
    with pytest.raises(Undecodable, match=r"Thing deep cannot be read: it is nested too deeply"):
        decoder_for(Thing)(first.object)
    assert decoder_for(Thing)(second.object).metadata.name == "a"


async def test_an_object_that_is_no_utf_8_does_not_stop_the_watch() -> None:
    bad = b'{"type":"ADDED","object":{"metadata":{"name":"bad"},"spec":{"group":"\xc3"}}}\n'
    async with talk(stream(bad, A)) as (client, _):
        first, second = [message async for message in watch(client)]
    with pytest.raises(Undecodable, match=r"Thing bad cannot be read: .*utf-8"):
        decoder_for(Thing)(first.object)
    assert decoder_for(Thing)(second.object).metadata.name == "a"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refusal("410 Gone", "Expired"), errors.Expired),
        (refusal("403 Forbidden", "Forbidden"), errors.Forbidden),
        (refusal("401 Unauthorized", "Unauthorized"), errors.Unauthorized),
        (refusal("422 Unprocessable Entity", "Invalid"), errors.Invalid),
        (refusal("503 Service Unavailable", "ServiceUnavailable"), errors.ServerError),
    ],
)
async def test_a_refused_watch_raises_what_was_refused(script: bytes, kind: type[Exception]) -> None:
    _, failed = await broken(script)
    assert type(failed) is kind


async def test_a_refusal_need_not_end_with_a_line() -> None:
    _, failed = await broken(answer(status_text(403, "Forbidden", "you may not").strip(), "403 Forbidden"))
    assert str(failed) == "WATCH /api/v1/configmaps: 403 Forbidden: you may not"
    _, failed = await broken(answer(b"<html>\nno such page", "404 Not Found"))
    assert str(failed) == "WATCH /api/v1/configmaps: 404 no reason: <html>\nno such page"


async def test_a_watch_that_is_put_off_says_until_when() -> None:
    _, failed = await broken(refusal("429 Too Many Requests", "TooManyRequests", retry_after="7"))
    assert isinstance(failed, errors.TooManyRequests)
    assert failed.retry_after == 7.0


async def test_html_instead_of_a_stream_ends_the_watch() -> None:
    _, failed = await broken(answer(b"<html>\n<body>welcome</body>\n</html>\n"))
    assert isinstance(failed, errors.Interrupted)


async def test_a_redirected_watch_is_refused() -> None:
    _, failed = await broken(answer(b"", "302 Found", location="http://127.0.0.1:1/"))
    assert "a redirect, which is not followed" in str(failed)


@pytest.mark.parametrize("end", [CUT, CLOSE])
async def test_a_connection_that_ends_before_the_headers_is_a_cut(end: Script) -> None:
    _, failed = await broken(end)
    assert "cut the connection before an answer" in str(failed)
