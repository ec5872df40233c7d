"""What the client sends, and what it makes of bytes that come back; a server that plays back a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import ApiError, Interrupted, TransportError
from kfx.kube.resource import Resource
from kfx.kube.tokens import StaticToken
from kfx.kube.transport import Transport

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRET = "s3cret-token"
EMPTY_LIST = b'{"metadata":{"resourceVersion":"5"},"items":[]}'
CUT, SILENCE = b"", None


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Playback:
    """Gives each request the next answer: bytes, ``CUT`` the connection, or ``SILENCE``."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await self._read(reader):
                self.requests.append(head)
                found = self.answers.pop(0) if self.answers else answer(b"{}", "500 Oops")
                if found is SILENCE:
                    await reader.read()
                    return
                if found == CUT:
                    writer.transport.abort()
                    return
                writer.write(found)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length:"):
                await reader.readexactly(int(line.partition(":")[2]))
        return head


@asynccontextmanager
async def client_of(playback: Playback, *, idle: float = 70.0, token: str = "") -> AsyncIterator[Client]:
    async with await asyncio.start_server(playback.serve, "127.0.0.1", 0) as server:
        playback.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        credentials = Credentials(playback.url, tokens=StaticToken(token))
        async with Transport.open(credentials, idle=idle) as transport:
            yield Client(transport, user_agent="kfx/test")


async def test_a_list_is_a_consistent_read_in_pages() -> None:
    playback = Playback(answer(EMPTY_LIST))
    async with client_of(playback) as client:
        page = await client.list_page(CONFIG_MAPS, namespace="ns", label_selector="a=b")
    assert page.resource_version == "5"
    (line,) = [request.split("\r\n")[0] for request in playback.requests]
    assert line == "GET /api/v1/namespaces/ns/configmaps?labelSelector=a%3Db&limit=500 HTTP/1.1"


async def test_a_silent_watch_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    line = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
    playback = Playback(head + b"%x\r\n%s\r\n" % (len(line), line))
    async with client_of(playback, idle=0.3) as client, asyncio.timeout(10):
        stream = client.watch(CONFIG_MAPS, resource_version="1", timeout_seconds=300)
        assert (await anext(stream)).type == "ADDED"
        with pytest.raises(Interrupted, match="in mid-stream"):
            await anext(stream)


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("DELETE", 1)])
async def test_only_a_read_is_repeated_when_its_connection_is_cut(method: str, times: int) -> None:
    playback = Playback(CUT, CUT, CUT)
    async with client_of(playback) as client:
        with pytest.raises(TransportError, match="cut the connection before an answer"):
            await client.request(method, "/api/v1/things", body=None if method == "GET" else {})
    assert len(playback.requests) == times


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(answer(b"{}", "403 Forbidden"), id="refused"),
        pytest.param(answer(b"<html>", "200 OK"), id="html"),
        pytest.param(answer(b"", "302 Found", "Location: http://other.example/\r\n"), id="redirect"),
        pytest.param(CUT, id="cut"),
    ],
)
async def test_no_token_reaches_a_log_or_an_error(found: bytes) -> None:
    playback = Playback(found, found)
    with capture_logs() as lines:
        async with client_of(playback, token=SECRET) as client:
            with pytest.raises((ApiError, TransportError)) as caught:
                await client.get_document(CONFIG_MAPS, "ns", "a")
            shown = [repr(client), repr(client._exchange.transport.credentials)]
    assert f"Authorization: Bearer {SECRET}" in playback.requests[0]
    texts: list[Any] = [str(caught.value), repr(caught.value), caught.value.__dict__, lines, shown]
    assert SECRET not in str(texts)


async def test_a_redirect_is_not_followed_and_says_what_to_do() -> None:
    elsewhere = answer(b"", "307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n")
    async with client_of(Playback(elsewhere)) as client:
        with pytest.raises(TransportError, match="a redirect, which is not followed"):
            await client.get_document(CONFIG_MAPS, "ns", "a")
