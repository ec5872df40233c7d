"""The bounds of the HTTP server under all the others, on plain connections."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from kfx.runtime.address import Address
from kfx.runtime.http_answer import JsonAnswer
from kfx.runtime.http_body import MIB, BodyBudget, read_body
from kfx.runtime.http_server import HttpServer, Limits
from tests.serving import get, read_to_end

pytestmark = pytest.mark.real_time
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Served:
    server: HttpServer
    refused: Counter[str] = field(default_factory=Counter)

    async def connect(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.server.bound, local_addr=(source, 0))

    async def is_served(self, source: str = "127.0.0.1") -> bool:
        reader, writer = await self.connect(source)
        try:
            writer.write(GET)
            return (await reader.read(12)) == b"HTTP/1.1 200"
        except ConnectionError:
            return False
        finally:
            writer.transport.abort()


async def hello(request: web.BaseRequest) -> web.StreamResponse | JsonAnswer:
    if request.path == "/json":
        return JsonAnswer(str(len(await read_body(request, limit=8 * MIB, budget=BodyBudget()))).encode())
    if request.path == "/broken":
        raise KeyError("inner secret")
    return web.Response(text="hello")


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[Served]:
    refused: Counter[str] = Counter()
    server = HttpServer(
        hello,
        address=Address("127.0.0.1", 0),
        flag="--addr",
        limits=limits,
        refused=lambda reason: refused.update([reason]),
    )
    async with server.serving():
        yield Served(server, refused)


async def test_one_address_cannot_take_all_connections() -> None:
    async with serving(Limits(connections=10, per_address=2)) as served:
        held = [(await served.connect("127.0.0.2"))[1] for _ in range(2)]
        assert await served.is_served("127.0.0.1")
        assert not await served.is_served("127.0.0.2")
        assert served.refused == {"full": 1}
        for writer in held:
            writer.transport.abort()
        async with asyncio.timeout(20):
            while not await served.is_served("127.0.0.2"):
                await asyncio.sleep(0.01)


async def test_all_addresses_together_are_capped() -> None:
    async with serving(Limits(connections=3, per_address=2)) as served:
        held = [(await served.connect(f"127.0.0.{host}"))[1] for host in (2, 2, 3)]
        assert not await served.is_served("127.0.0.4")
        for writer in held:
            writer.transport.abort()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2]])
async def test_who_sends_no_whole_request_in_time_is_dropped(sent: bytes) -> None:
    async with serving(Limits(request=1.0)) as served:
        reader, writer = await served.connect()
        writer.write(sent)
        assert await read_to_end(reader) == b""
        assert served.refused == {"slow": 1}
        writer.transport.abort()


async def test_a_drop_at_a_time_does_not_buy_more_time() -> None:
    async with serving(Limits(request=1.0)) as served, asyncio.TaskGroup() as group:
        reader, writer = await served.connect()
        dripping = group.create_task(drip(writer))
        assert await read_to_end(reader) == b""
        dripping.cancel()
        writer.transport.abort()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(GET[:-2] + b"X-Slow: ")
    while True:
        writer.write(b"y")
        await asyncio.sleep(0.05)


async def test_between_requests_a_connection_may_rest_until_its_keep_alive_ends() -> None:
    async with serving(Limits(request=0.6, keep_alive=2.0)) as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(1.2)
        assert await read_to_end(reader) == b""
        assert served.refused == {}
        writer.transport.abort()


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01 not http\r\n\r\n", b"GET <script> \r\n\r\n", b"GET /" + b"a" * 9_000]
)
async def test_garbage_is_answered_without_being_repeated(garbage: bytes) -> None:
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        writer.write(garbage)
        answer = await read_to_end(reader)
        writer.transport.abort()
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert b"script" not in answer
    assert answer.endswith(b"\r\n\r\n400\n")


@pytest.mark.parametrize("sent", [GET, GET.replace(b"/ ", b"/broken "), b"NONSENSE\r\n\r\n"])
async def test_no_answer_tells_versions(sent: bytes) -> None:
    """R 3.3 R10."""
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        writer.write(sent.replace(b"Host", b"Connection: close\r\nHost"))
        answer = await read_to_end(reader)
        writer.transport.abort()
    assert b"\r\nServer: kfx\r\n" in answer
    assert b"ython" not in answer


@pytest.mark.parametrize("size", [0, 5, 3 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
async def test_json_is_answered_to_one_request_after_the_other(size: int, chunked: bool) -> None:
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(post(b"x" * size, chunked=chunked))
            head = await reader.readuntil(b"\r\n\r\n")
            length = len(str(size))
            assert f"\r\nContent-Length: {length}\r\n".encode() in head
            assert await reader.readexactly(length) == str(size).encode()
        writer.transport.abort()


async def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        sizes = list(range(30))
        writer.write(b"".join(post(b"x" * size) for size in sizes))
        for size in sizes:
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(str(size))) == str(size).encode()
        writer.transport.abort()


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"POST /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", b"2"),
        (b"POST /json HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", b"2"),
        (b"HEAD /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b""),
    ],
)
async def test_json_for_a_connections_last_request_ends_it(sent: bytes, body: bytes) -> None:
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        writer.write(sent)
        head, _, found = (await read_to_end(reader)).partition(b"\r\n\r\n")
        writer.transport.abort()
    assert head.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n"))
    assert b"\r\nServer: kfx" in head
    assert b"\r\nContent-Type: application/json" in head
    assert found == body


def post(body: bytes, *, chunked: bool = False) -> bytes:
    if not chunked:
        return b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    return b"POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + framed


async def test_a_failure_of_the_handler_is_a_bare_500() -> None:
    async with serving(Limits()) as served:
        answer = await get(served.server.bound[1], "/broken")
    assert (answer.status, answer.body) == (500, b"500\n")


async def test_a_connection_accepted_as_the_server_ends_is_closed() -> None:
    clients = []
    for turns in range(6):
        async with serving(Limits()) as served:
            client = socket.create_connection(served.server.bound)
            clients.append(client)
            for _ in range(turns):
                await asyncio.sleep(0)
    for client in clients:
        with client:
            client.settimeout(20)
            assert closed_by_the_other_side(client)


def closed_by_the_other_side(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


async def test_at_the_end_no_connection_is_left() -> None:
    async with serving(Limits()) as served:
        reader, writer = await served.connect()
        writer.write(GET)
        await reader.readuntil(b"hello")
        unused, other = await served.connect()
        await asyncio.sleep(0.01)
    assert await read_to_end(reader) == b""
    assert await read_to_end(unused) == b""
    for each in (writer, other):
        each.transport.abort()
