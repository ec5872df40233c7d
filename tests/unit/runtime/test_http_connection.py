"""Which requests are answered at once, and that the others are none the worse for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from kfx.runtime.address import Address
from kfx.runtime.http_answer import JsonAnswer
from kfx.runtime.http_body import MIB, BodyBudget, read_body
from kfx.runtime.http_connection import SHORT
from kfx.runtime.http_server import HttpServer, Limits
from tests.serving import read_to_end

pytestmark = pytest.mark.real_time

BODY = b"whole body"
POST = b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def post(body: bytes = BODY) -> bytes:
    return POST % len(body) + body


async def in_time(request: web.BaseRequest) -> web.StreamResponse | JsonAnswer:
    if request.path == "/nobody":
        return web.Response(text="unread")
    return JsonAnswer(b"later:" + await read_body(request, limit=MIB, budget=BodyBudget()))


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        return await self.reader.readexactly(length)

    async def ask(self, *pieces: bytes) -> bytes:
        """The answer to what comes piece by piece."""
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.02)
        return await self.read()


@dataclass
class Served:
    server: HttpServer
    declined: bool = False
    bodies: list[bytes] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def at_once(self, message: RawRequestMessage, body: bytes) -> JsonAnswer | None:
        self.bodies.append(body)
        return None if self.declined else JsonAnswer(b"now:" + body)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A connection that has been used: the first request may come before aiohttp's task waits for any."""
        client = Client(*await asyncio.open_connection(*self.server.bound))
        try:
            assert (await client.ask(post(b"first"))).endswith(b":first")
            self.bodies.clear()
            yield client
        finally:
            client.writer.transport.abort()


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncIterator[Served]:
    refused: Counter[str] = Counter()
    server = HttpServer(
        in_time,
        address=Address("127.0.0.1", 0),
        flag="--addr",
        limits=limits or Limits(),
        refused=lambda reason: refused.update([reason]),
    )
    served = Served(server, refused=refused)
    server.at_once = served.at_once
    async with server.serving():
        yield served


async def test_a_short_request_is_answered_at_once_() -> None:
    async with serving() as served, served.connected() as client:
        for _ in range(3):
            assert await client.ask(post()) == b"now:" + BODY


@pytest.mark.parametrize("at", [1, 20, len(POST % 10), len(POST % 10) + 3, len(post()) - 1])
async def test_it_may_come_in_pieces(at: int) -> None:
    async with serving() as served, served.connected() as client:
        assert await client.ask(post()[:at], post()[at:]) == b"now:" + BODY
        assert await client.ask(post()) == b"now:" + BODY


async def test_what_cannot_be_answered_at_once_keeps_its_body() -> None:
    async with serving() as served, served.connected() as client:
        served.declined = True
        assert await client.ask(post()[:-4], post()[-4:]) == b"later:" + BODY
        served.declined = False
        assert await client.ask(post()) == b"now:" + BODY
        assert served.bodies == [BODY, BODY]


async def test_a_body_that_nobody_read_is_not_taken_for_the_next_requests() -> None:
    async with serving() as served, served.connected() as client:
        served.declined = True
        unread, longer = post().replace(b"/json", b"/nobody"), b"x" * (SHORT + 1)
        assert await client.ask(unread) == b"unread"
        assert await client.ask(post(longer)) == b"later:" + longer
        client.writer.write(unread + post(b"second") + post(b"third"))
        assert [await client.read() for _ in range(3)] == [b"unread", b"later:second", b"later:third"]


async def test_a_long_answer_is_left_to_who_waits_until_it_is_read() -> None:
    async with serving() as served, served.connected() as client:
        body = b"x" * SHORT  # and a few bytes before it
        assert await client.ask(post(body)) == b"later:" + body


async def test_a_length_of_thousands_of_digits_is_a_broken_request() -> None:
    async with serving() as served, served.connected() as client:
        client.writer.write(post().replace(b"Content-Length: ", b"Content-Length: " + b"0" * 5_000))
        assert (await read_to_end(client.reader)).startswith(b"HTTP/1.1 ")
        assert served.bodies == []


async def test_an_answer_that_was_read_late_does_not_end_its_connection() -> None:
    async with serving(Limits(answer=0.6)) as served, served.connected() as client:
        connection = next(iter(served.server._open))
        connection.pause_writing()
        connection._is_draining, connection.in_request = True, True
        connection.deadline = asyncio.get_running_loop().time() + 0.6
        connection.resume_writing()
        await asyncio.sleep(1.2)
        assert await client.ask(post()) == b"now:" + BODY
        assert served.refused == {}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (post(b"x" * (SHORT + 1)), b"later:" + b"x" * (SHORT + 1)),
        (post(b""), b"later:"),
        (post().replace(b"POST", b"PUT"), b"later:" + BODY),
        (post().replace(b"Content-Length", b"Connection: close\r\nContent-Length"), b"later:" + BODY),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            b"later:ab",
        ),
    ],
)
async def test_no_other_request_is_asked_about(request_: bytes, answer: bytes) -> None:
    async with serving() as served, served.connected() as client:
        assert await client.ask(request_) == answer
        assert served.bodies == []


async def test_answers_keep_the_order_of_requests_that_come_together() -> None:
    async with serving() as served, served.connected() as client:
        client.writer.write(b"".join(post(b"%d" % n) for n in range(30)) + post(b"last")[:-2])
        found = [(await client.read()).partition(b":")[2] for _ in range(30)]
        assert found == [b"%d" % n for n in range(30)]
        client.writer.write(b"st")
        assert (await client.read()).endswith(b":last")


async def test_half_a_request_does_not_keep_the_server_from_ending() -> None:
    async with asyncio.timeout(20):
        async with serving(Limits(request=60, grace=60)) as served:
            client = Client(*await asyncio.open_connection(*served.server.bound))
            assert (await client.ask(post(b"first"))).endswith(b":first")
            client.writer.write(post()[:-4])
            await asyncio.sleep(0.05)
        assert await read_to_end(client.reader) == b""
        client.writer.transport.abort()


async def test_half_a_request_ends_with_its_time_or_its_client() -> None:
    async with serving(Limits(request=0.6)) as served:
        async with served.connected() as client:
            client.writer.write(post()[:-4])
            assert await read_to_end(client.reader) == b""
        assert served.refused == {"slow": 1}
        async with served.connected() as client:
            client.writer.write(post()[:-4])
            await asyncio.sleep(0.02)
        assert served.bodies == []


async def test_keep_alive_counts_from_the_last_answer() -> None:
    async with serving(Limits(keep_alive=1.0)) as served, served.connected() as client:
        for _ in range(3):
            await asyncio.sleep(0.6)
            assert await client.ask(post()) == b"now:" + BODY
        assert await read_to_end(client.reader) == b""
        assert served.refused == {}


async def test_a_client_that_does_not_read_is_no_longer_answered_at_once() -> None:
    async with serving(Limits(answer=0.6)) as served, served.connected() as client:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        body = b"x" * SHORT
        for _ in range(4_000):
            client.writer.write(post(body))
            if client.writer.transport.get_write_buffer_size() > 4 * MIB:  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while not served.refused:
                await asyncio.sleep(0.05)
        assert served.refused == {"slow": 1}


async def test_garbage_in_the_place_of_a_request_is_refused() -> None:
    async with serving() as served, served.connected() as client:
        client.writer.write(b"NONSENSE\r\n\r\n")
        assert (await read_to_end(client.reader)).startswith(b"HTTP/1.0 400 ")
        assert served.bodies == []
