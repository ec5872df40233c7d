"""What is sent again, how often and when; a transport that plays back answers, on a clock that jumps."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kfx.kube import errors
from kfx.kube.credentials import Credentials, CredentialsError
from kfx.kube.exchange import MAX_ATTEMPTS, Exchange
from kfx.kube.transport import REQUEST_TIMEOUT, Answer, ConnectionCut, before_send

OK = Answer(200, b"{}", None)
REFUSED = Answer(401, b"", None)
SILENCE = "silence"
CUT = ConnectionCut("cut")
WRITES = ["POST", "PUT", "PATCH", "DELETE"]
SECRETS = ("first-secret", "second-secret")


def put_off(status: int, seconds: float | None) -> Answer:
    return Answer(status, b"", seconds)


class Tokens:
    """The first token until it expires, then the next; the last one stands."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def token(self) -> str:
        return self.tokens[0]

    def expire(self) -> None:
        if len(self.tokens) > 1:
            self.tokens.pop(0)


class Scripted:
    """Stands in for the transport; ``sent`` holds method, token and second of every request."""

    server, host = "https://api:6443", "api:6443"

    def __init__(self, *script: Any, tokens: Any = None) -> None:
        self.script = list(script)
        self.sent: list[tuple[str, str, float]] = []
        self.headers: list[dict[str, str]] = []
        self.credentials = Credentials(self.server, tokens=tokens)

    async def request(self, method: str, path: str, *, query: Any, headers: Any, body: Any) -> Answer:
        if check := before_send.get():
            check()
        self._note(method, headers)
        return await self._next()

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Any, headers: Any
    ) -> AsyncIterator[tuple[int, AsyncGenerator[bytes, None], float | None]]:
        self._note("WATCH", headers)
        found = await self._next()

        async def lines() -> AsyncGenerator[bytes, None]:
            for line in found.body.splitlines():
                yield line

        yield found.status, lines(), found.retry_after

    def _note(self, method: str, headers: dict[str, str]) -> None:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        self.headers.append(headers)
        self.sent.append((method, token, asyncio.get_running_loop().time()))

    async def _next(self) -> Answer:
        found = self.script.pop(0)
        if found == SILENCE:
            await asyncio.Event().wait()
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def times(self) -> list[float]:
        return [at for _, _, at in self.sent]


def exchange_of(
    transport: Any,
    *,
    fence: Callable[[], None] | None = None,
    observe: Callable[[str, str, str], None] | None = None,
    concurrency: int = 32,
) -> Exchange:
    return Exchange(transport, user_agent="kfx/test", fence=fence, observe=observe, concurrency=concurrency)


@pytest.mark.parametrize("method", ["GET", *WRITES])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_the_server_puts_off_is_sent_again_when_it_says(method: str, status: int) -> None:
    transport = Scripted(put_off(status, 3.0), put_off(status, 2.0), OK)
    assert await exchange_of(transport).call(method, "/x") == b"{}"
    assert transport.times == [0, 3, 5]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_that_names_no_time_is_told_at_once(status: int) -> None:
    transport = Scripted(put_off(status, None))
    with pytest.raises(errors.ApiError) as caught:
        await exchange_of(transport).call("GET", "/x")
    assert (caught.value.status, transport.times) == (status, [0])


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 422])
async def test_a_refusal_for_good_is_not_sent_again_even_if_it_names_a_time(status: int) -> None:
    transport = Scripted(put_off(status, 1.0))
    with pytest.raises(errors.ApiError):
        await exchange_of(transport).call("GET", "/x")
    assert transport.times == [0]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
async def test_a_request_is_put_off_only_so_often(seconds: float) -> None:
    transport = Scripted(*[put_off(429, seconds)] * (MAX_ATTEMPTS + 1))
    with pytest.raises(errors.TooManyRequests) as caught:
        await exchange_of(transport).call("GET", "/x")
    assert transport.times == [seconds * number for number in range(MAX_ATTEMPTS)]
    assert caught.value.retry_after == seconds


async def test_a_wait_beyond_the_time_limit_is_not_begun(clock: object) -> None:
    transport = Scripted(put_off(503, 20.0), put_off(503, 10.0))
    with pytest.raises(errors.ServerError):
        await exchange_of(transport).call("GET", "/x")
    assert (transport.times, clock) == ([0, 20], 20)


async def test_the_longest_wait_within_the_time_limit_is_made() -> None:
    transport = Scripted(put_off(503, REQUEST_TIMEOUT - 1), OK)
    assert await exchange_of(transport).call("GET", "/x") == b"{}"


async def test_the_time_limit_spans_all_attempts(clock: object) -> None:
    transport = Scripted(put_off(503, 20.0), SILENCE)
    with pytest.raises(errors.TransportError, match=r"GET /x: no answer from https://api:6443 within 30 s"):
        await exchange_of(transport).call("GET", "/x")
    assert clock == REQUEST_TIMEOUT


async def test_the_time_limit_counts_the_wait_for_a_slot(clock: object) -> None:
    exchange = exchange_of(Scripted(SILENCE, OK), concurrency=1)
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(failure_of(exchange.call("GET", "/x"))) for _ in range(2)]
    assert [type(call.result()) for call in calls] == [errors.TransportError] * 2
    assert clock == REQUEST_TIMEOUT


async def failure_of(call: Any) -> Exception | None:
    try:
        await call
    except (errors.ApiError, errors.TransportError) as failed:
        return failed
    return None


async def test_no_slot_is_held_while_a_request_waits_to_be_sent_again() -> None:
    transport = Scripted(put_off(429, 5.0), OK, OK)
    exchange = exchange_of(transport, concurrency=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(exchange.call("GET", "/x"))
        tasks.create_task(exchange.call("GET", "/y"))
    assert transport.times == [0, 0, 5]


async def test_a_read_that_was_cut_is_sent_again_once() -> None:
    transport = Scripted(CUT, OK)
    assert await exchange_of(transport).call("GET", "/x") == b"{}"
    transport = Scripted(CUT, CUT, OK)
    with pytest.raises(ConnectionCut):
        await exchange_of(transport).call("GET", "/x")
    assert len(transport.sent) == 2


async def test_a_read_is_forgiven_one_cut_however_often_it_is_put_off() -> None:
    transport = Scripted(CUT, put_off(429, 1.0), CUT, OK)
    with pytest.raises(ConnectionCut):
        await exchange_of(transport).call("GET", "/x")
    assert len(transport.sent) == 3


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_that_was_cut_is_never_sent_again(method: str) -> None:
    transport = Scripted(CUT, OK)
    with pytest.raises(ConnectionCut):
        await exchange_of(transport).call(method, "/x")
    assert len(transport.sent) == 1


@pytest.mark.parametrize("failure", [errors.Unreachable("down"), errors.TransportError("html")])
async def test_a_read_that_failed_otherwise_is_not_sent_again(failure: Exception) -> None:
    transport = Scripted(failure, OK)
    with pytest.raises(type(failure), match=str(failure)):
        await exchange_of(transport).call("GET", "/x")
    assert len(transport.sent) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_token_is_replaced_once(method: str) -> None:
    transport = Scripted(REFUSED, OK, tokens=Tokens(*SECRETS))
    assert await exchange_of(transport).call(method, "/x") == b"{}"
    assert transport.sent == [(method, "first-secret", 0), (method, "second-secret", 0)]


async def test_a_second_refused_token_is_an_error() -> None:
    transport = Scripted(REFUSED, REFUSED, OK, tokens=Tokens(*SECRETS, "third-secret"))
    with pytest.raises(errors.Unauthorized):
        await exchange_of(transport).call("GET", "/x")
    assert len(transport.sent) == 2


async def test_a_token_that_stays_the_same_is_not_tried_again() -> None:
    transport = Scripted(REFUSED, OK, tokens=Tokens("first-secret"))
    with pytest.raises(errors.Unauthorized):
        await exchange_of(transport).call("GET", "/x")
    assert len(transport.sent) == 1


async def test_a_token_that_cannot_be_had_sends_nothing() -> None:
    class Broken(Tokens):
        async def token(self) -> str:
            raise CredentialsError("tokenFile: holds no token")

    transport = Scripted(OK, tokens=Broken())
    with pytest.raises(errors.TransportError, match="tokenFile: holds no token"):
        await exchange_of(transport).call("GET", "/x")
    assert transport.sent == []


@pytest.mark.parametrize("method", WRITES)
async def test_a_fence_that_raises_stops_the_write(method: str) -> None:
    def fence() -> None:
        raise RuntimeError("not the leader")

    transport = Scripted(OK)
    with pytest.raises(RuntimeError, match="not the leader"):
        await exchange_of(transport, fence=fence).call(method, "/x")
    assert transport.sent == []


async def test_the_fence_is_asked_before_each_attempt_of_a_write() -> None:
    asked: list[float] = []
    script = [put_off(429, 2.0), REFUSED, OK]
    transport = Scripted(*script, tokens=Tokens(*SECRETS))
    exchange = exchange_of(transport, fence=lambda: asked.append(asyncio.get_running_loop().time()))
    await exchange.call("POST", "/x")
    assert asked == transport.times == [0, 2, 2]


async def test_a_write_put_off_is_not_sent_once_the_fence_has_closed() -> None:
    open_until = 1.0

    def fence() -> None:
        if asyncio.get_running_loop().time() > open_until:
            raise RuntimeError("not the leader")

    transport = Scripted(put_off(429, 2.0), OK)
    with pytest.raises(RuntimeError):
        await exchange_of(transport, fence=fence).call("POST", "/x")
    assert transport.times == [0]


async def test_no_fence_is_asked_before_a_read() -> None:
    asked: list[str] = []
    transport = Scripted(OK, OK, OK)
    exchange = exchange_of(transport, fence=lambda: asked.append("fence"))
    await exchange.call("GET", "/x")
    assert asked == []
    await exchange.call("POST", "/x")
    await exchange.call("GET", "/x")
    assert asked == ["fence"]
    assert before_send.get() is None


async def test_every_attempt_is_told_with_code_method_and_host() -> None:
    told: list[tuple[str, str, str]] = []
    transport = Scripted(put_off(429, 1.0), CUT)
    exchange = exchange_of(transport, observe=lambda *seen: told.append(seen))
    await failure_of(exchange.call("PUT", "/x"))
    assert told == [("429", "PUT", "api:6443"), ("<error>", "PUT", "api:6443")]


async def test_a_request_says_who_asks_and_what_it_sends() -> None:
    transport = Scripted(OK, tokens=Tokens("t"))
    await exchange_of(transport).call("PATCH", "/x", body={"a": 1}, content_type="application/what")
    assert transport.headers == [
        {
            "User-Agent": "kfx/test",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": "Bearer t",
            "Content-Type": "application/what",
        }
    ]


async def lines_of(exchange: Exchange) -> list[bytes]:
    async with exchange.stream("/x", {}) as lines:
        return [line async for line in lines]


async def test_a_watch_replaces_a_refused_token_once() -> None:
    transport = Scripted(REFUSED, Answer(200, b"a\nb\n", None), tokens=Tokens(*SECRETS))
    assert await lines_of(exchange_of(transport)) == [b"a", b"b"]
    assert [token for _, token, _ in transport.sent] == list(SECRETS)
    transport = Scripted(REFUSED, REFUSED, OK, tokens=Tokens(*SECRETS, "third-secret"))
    with pytest.raises(errors.Unauthorized):
        await lines_of(exchange_of(transport))
    assert len(transport.sent) == 2


async def test_a_refused_watch_is_left_to_the_caller_to_ask_again() -> None:
    transport = Scripted(put_off(429, 7.0), OK)
    with pytest.raises(errors.TooManyRequests) as caught:
        await lines_of(exchange_of(transport))
    assert (caught.value.retry_after, transport.times) == (7.0, [0])


async def test_every_attempt_of_a_watch_is_told_too() -> None:
    told: list[tuple[str, str, str]] = []
    transport = Scripted(REFUSED, errors.Unreachable("down"), tokens=Tokens(*SECRETS))
    exchange = exchange_of(transport, observe=lambda *seen: told.append(seen))
    with pytest.raises(errors.Unreachable):
        await lines_of(exchange)
    assert told == [("401", "GET", "api:6443"), ("<error>", "GET", "api:6443")]


@pytest.mark.parametrize("ending", [REFUSED, CUT, put_off(500, None), Answer(302, b"", None)])
async def test_no_error_holds_a_token(ending: Any) -> None:
    for method in ("GET", "POST"):
        transport = Scripted(REFUSED, ending, ending, tokens=Tokens(*SECRETS))
        failed = await failure_of(exchange_of(transport).call(method, "/x"))
        assert failed is not None
        assert "secret" not in f"{failed} {failed!r} {failed.__dict__} {transport.credentials}"
