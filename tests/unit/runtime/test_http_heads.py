"""A head that came before is not parsed again, and nothing else is taken for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from kfx.runtime.http_connection import Connection
from kfx.runtime.http_heads import LONGEST, MOST, KnownHead, KnownHeads
from kfx.runtime.http_server import Limits
from tests.serving import read_to_end
from tests.unit.runtime.test_http_connection import BODY, POST, Client, Served, post, serving

pytestmark = pytest.mark.real_time

HEAD = POST % len(BODY)


@asynccontextmanager
async def knowing(limits: Limits | None = None) -> AsyncIterator[tuple[Served, Client]]:
    """A connection to a server that has seen the head, and parses none any more without a trace."""
    async with serving(limits) as served, served.connected() as client:
        assert await client.ask(post()) == b"now:" + BODY
        assert served.server.heads.find(post()) is not None
        served.bodies.clear()
        yield served, client


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser is given."""
    found: list[bytes] = []
    parse = Connection._parse

    def note(self: Connection, data: bytes, *others: object) -> None:
        found.append(data)
        parse(self, data, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "_parse", note)
    return found


async def test_the_same_head_again_is_answered_past_the_parser(parsed: list[bytes]) -> None:
    async with knowing() as (_, client):
        parsed.clear()
        for body in (b"other body", b"third body"):
            assert await client.ask(post(body)) == b"now:" + body
        assert parsed == []
        assert await client.ask(post(b"longer than that")) == b"now:longer than that"
        assert len(parsed) == 1


async def test_a_new_connection_knows_it_too(parsed: list[bytes]) -> None:
    async with knowing() as (served, _), served.connected() as another:
        parsed.clear()
        assert await another.ask(post()) == b"now:" + BODY
        assert parsed == []


@pytest.mark.parametrize("at", [1, len(HEAD) - 1, len(HEAD), len(HEAD) + 1, len(post()) - 1])
async def test_its_request_may_come_in_pieces(at: int) -> None:
    async with knowing() as (served, client):
        for _ in range(2):
            assert await client.ask(post()[:at], post()[at:]) == b"now:" + BODY
        assert served.bodies == [BODY, BODY]


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with knowing() as (_, client):
        client.writer.write(post() * 3 + post()[:-2])
        for _ in range(3):
            assert (await client.read()).endswith(BODY)
        client.writer.write(post()[-2:] + post())
        for _ in range(2):
            assert (await client.read()).endswith(BODY)
        assert await client.ask(post()) == b"now:" + BODY


@pytest.mark.parametrize("cut", [0, 1, len(POST % len(post()))])
async def test_a_body_that_looks_like_a_known_request_is_a_body(cut: int) -> None:
    whole = post(post())
    async with knowing() as (served, client):
        pieces = (whole[: len(whole) - len(post()) - cut], whole[len(whole) - len(post()) - cut :])
        assert await client.ask(*pieces) == b"now:" + post()
        assert served.bodies == [post()]


async def test_the_rest_of_a_request_that_looks_like_a_known_one_is_its_rest() -> None:
    """The first of it came together with the request before."""
    longer = post(post())
    split = len(longer) - len(post())
    async with knowing() as (served, client):
        served.declined = True
        client.writer.write(post() + longer[:split])
        assert await client.read() == b"later:" + BODY
        client.writer.write(longer[split:])
        assert await client.read() == b"later:" + post()


async def test_what_is_declined_is_asked_about_once_and_keeps_its_body() -> None:
    async with knowing() as (served, client):
        served.declined = True
        for _ in range(2):
            assert await client.ask(post()) == b"later:" + BODY
        assert await client.ask(post()[:-3], post()[-3:]) == b"later:" + BODY
        served.declined = False
        assert await client.ask(post()) == b"now:" + BODY
        assert served.bodies == [BODY] * 4


async def test_half_of_it_ends_with_its_time_its_client_or_the_server() -> None:
    async with knowing(Limits(request=0.6)) as (served, client):
        client.writer.write(post()[:-4])
        assert await read_to_end(client.reader) == b""
        assert served.refused == {"slow": 1}
    async with knowing() as (served, client):
        client.writer.write(post()[:-4])
        await asyncio.sleep(0.05)
        client.writer.transport.abort()
        await asyncio.sleep(0.05)
        assert served.bodies == []
    async with asyncio.timeout(20), serving(Limits(request=60, grace=60)) as served:
        client = Client(*await asyncio.open_connection(*served.server.bound))
        for _ in range(2):
            assert (await client.ask(post())).endswith(BODY)
        client.writer.write(post()[:-4])
        await asyncio.sleep(0.05)
    assert await read_to_end(client.reader) == b""
    client.writer.transport.abort()


async def test_keep_alive_counts_from_its_last_answer() -> None:
    async with knowing(Limits(keep_alive=1.0)) as (served, client):
        for _ in range(3):
            await asyncio.sleep(0.6)
            assert await client.ask(post()) == b"now:" + BODY
        assert await read_to_end(client.reader) == b""
        assert served.refused == {}


SHORT_TAIL = b"POST /nobody HTTP/1.1\r\nX-Pad: "


async def by_connect(attacker: Client) -> None:
    """A CONNECT has no body: what looks like one begins another request, which the next bytes complete."""
    connect = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(SHORT_TAIL)
    attacker.writer.write(connect + SHORT_TAIL)
    await attacker.reader.read(4096)
    attacker.writer.write(post())
    await attacker.reader.read(4096)


async def by_an_early_answer(attacker: Client) -> None:
    """Empty lines before a request hide where its head ends, and its answer does not wait for its body."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nX-Pad: %s\r\n\r\n" % (b"x" * 60))
    length = len(head) + 50
    early = b"PUT /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-Pad: \r\n\r\n" % length
    early = early.replace(b"X-Pad: ", b"X-Pad: " + b"x" * (len(head) - len(early)))
    attacker.writer.write(b"\r\n\r\n" + early + b"b" * (length - len(early)))
    await attacker.reader.read(4096)
    more = b"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n"
    attacker.writer.write(head + more + b"b" * (30_000 - len(more)))
    await attacker.reader.read(4096)


@pytest.mark.parametrize("attack", [by_connect, by_an_early_answer])
async def test_nobody_can_have_another_request_taken_for_the_one_of_a_head(
    attack: Callable[[Client], Awaitable[None]],
) -> None:
    async with serving(Limits(request=2.0)) as served:
        attacker = Client(*await asyncio.open_connection(*served.server.bound))
        await asyncio.sleep(0.05)
        served.declined = True
        async with asyncio.timeout(10):
            await attack(attacker)
            served.declined = False
            assert [k.message.url.path for k in served.server.heads._known.values()] in ([], ["/json"])
            async with served.connected() as client:
                assert await client.ask(post()) == b"now:" + BODY
        attacker.writer.transport.abort()


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n" + post(),
        post().replace(b": a", b":  a"),
        post().replace(b"Host: a", b"Host: a\r\nConnection: upgrade\r\nUpgrade: h2c"),
    ],
)
async def test_a_head_that_is_written_otherwise_is_not_kept(request_: bytes) -> None:
    async with serving() as served, served.connected() as client:
        kept = dict(served.server.heads._known)
        assert (await client.ask(request_)).endswith(BODY)
        assert served.server.heads._known == kept


def known(head: bytes) -> KnownHead:
    return KnownHead(None, len(head), len(head) + 1)  # type: ignore[arg-type]


def test_a_long_head_is_not_kept_and_many_are_forgotten() -> None:
    heads = KnownHeads()
    long = b"x" * LONGEST + b"\r\n\r\n"
    heads.learn(long, known(long))
    assert heads.find(long) is None
    for number in range(MOST + 1):
        head = b"%d\r\n\r\n" % number
        heads.learn(head, known(head))
        assert heads.find(head + b"body") == known(head)
    assert heads.find(b"0\r\n\r\n") is None
    assert heads.find(b"no end") is None
