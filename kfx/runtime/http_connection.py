"""One client's connection: aiohttp parses and writes; here its clock is kept, and plain answers go past it.

A short request that can be answered without a wait is answered as soon as its last byte is there. aiohttp
would wake a task for the connection, which makes a request and a task for its handler, and waits for that:
two more turns of the loop and a fifth of all that a small admission request costs.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage

from kfx.runtime.http_answer import SERVER, JsonAnswer, is_plain
from kfx.runtime.http_heads import KnownHead, KnownHeads, head_size, is_written_as
from kfx.runtime.log import get_logger

AtOnce = Callable[[RawRequestMessage, bytes], JsonAnswer | None]
"""Answers a POST with its whole body, or says that it cannot without a wait. Raises nothing."""

NEVER = float("inf")
LINGER = 1.0
"""Seconds in which a refused body is still taken in and dropped, so that the refusal can be read."""
SHORT = 32 * 1024
"""Bytes of a body that may be waited for without a reader: aiohttp takes in twice as much. Of an answer, too,
as nothing waits until the client has read it."""
DIGITS = len(str(SHORT))

log = get_logger("http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one server; times in seconds.

    ``request``: from connecting or the first byte of a request to its last byte. ``answer``: from there to
    the last byte of the answer. ``grace``: for answers in hand when the server stops.
    """

    connections: int = 512
    per_address: int = 128
    handshake: float = 5.0
    request: float = 10.0
    answer: float = 60.0
    keep_alive: float = 120.0
    grace: float = 30.0


class Owner(Protocol):
    """The server as a connection sees it."""

    limits: Limits
    at_once: AtOnce | None
    heads: KnownHeads

    def forget(self, connection: "Connection") -> None: ...


class Connection(web.RequestHandler):
    """One client's connection.

    ``deadline``: when, by the loop's clock, it must have done what it is at. ``in_request``: between the
    first byte of a request and the last of its answer. ``handed_over``: a transport owns the socket.
    """

    def __init__(self, server: Owner, requests: web.Server, address: str) -> None:
        self._limits = server.limits
        super().__init__(
            requests,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._limits.keep_alive,
            access_log=cast(logging.Logger, None),
            auto_decompress=False,
            lingering_time=LINGER,
        )
        self.address = address
        self._server = server
        self._link: asyncio.Transport | None = None
        self.in_request = False
        self.handed_over = False
        self.deadline = NEVER
        self._at_once = server.at_once
        self._sleeper: asyncio.Future[Any] | None = None
        """What aiohttp's task waits on, kept from aiohttp while a short request comes in."""
        self._body: tuple[StreamReader, bytes] | None = None
        self._is_draining = False
        self._came: bytes | None = None if server.at_once is None else b""
        """What has come of a request; ``None`` where nobody has seen the one before it end."""
        self._is_parsed = self._came is None
        """Whether that is in the parser, so that it has to see the rest."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._link = cast(asyncio.Transport, transport)
        self._allow(self._limits.request)

    def data_received(self, data: bytes) -> None:
        # aiohttp calls this with nothing, too, to go on with what it has
        if data and not self.in_request:
            self.request_begun()
        data = self._gather(data)
        sleeper = self._sleeper or self._waiter
        if sleeper is None or sleeper.done() or self._at_once is None or not data:
            self._is_parsed = True
            super().data_received(data)
            return
        self._sleeper, self._waiter = sleeper, None
        known = None if self._is_parsed else self._find_known(data)
        if known is None:
            self._parse(data, self._at_once)
        elif len(data) == known.size and not self._answer_known(self._at_once, known, data):
            self._parse(data, None)

    def _gather(self, data: bytes) -> bytes:
        """``data``, with what came before it where the parser has not seen that."""
        if self._came is None:
            return data
        came = self._came + data
        self._came = came if len(came) <= 2 * SHORT else None
        return data if self._is_parsed else came

    def _find_known(self, request: bytes) -> KnownHead | None:
        """The head of a request that need not be parsed, though the rest of it may still be coming in."""
        known = self._server.heads.find(request)
        if known is None or len(request) > known.size or self._messages or not self._is_ready():
            return None
        return known

    def _answer_known(self, at_once: AtOnce, known: KnownHead, request: bytes) -> bool:
        answer = at_once(known.message, request[known.start :])
        if answer is None or len(answer.body) > SHORT:
            return False
        self._came = b""
        self._send(answer)
        self._wake(with_request=False)
        return True

    def _parse(self, data: bytes, at_once: AtOnce | None) -> None:
        """``at_once``: who may answer in aiohttp's place; ``None`` where they were asked already."""
        self._is_parsed = True
        super().data_received(data)
        if self._sleeper is None:
            return
        content = self._short_content()
        if content is None:
            self._wake(with_request=bool(self._messages))
        elif content.is_eof():
            self._wake(with_request=at_once is None or not self._answer_at_once(at_once, content))

    def _see_end(self, message: RawRequestMessage, content: StreamReader) -> None:
        """A request is answered. If it is certain that it has ended, and with what came, the next begins with
        what comes next. Whatever is unusual about it is not certain."""
        came, self._came = self._came, None
        length = _length(message)
        if came is None or not length or not content.is_eof():
            return
        if message.upgrade or not _stays_plain(message):
            return
        start = head_size(came)
        if start + length != len(came) or not is_written_as(came[:start], message):
            return
        if length <= SHORT:
            self._server.heads.learn(came[:start], KnownHead(message, start, len(came)))
        self._came, self._is_parsed = b"", False

    def _short_content(self) -> StreamReader | None:
        """The body of a request that is plain, short, and alone, and may still be coming in."""
        if len(self._messages) != 1 or not self._is_ready():
            return None
        message, content = self._messages[0]
        if type(message) is not RawRequestMessage or not _stays_plain(message):
            return None
        length = _length(message)
        return content if length is not None and 0 < length <= SHORT else None

    def _is_ready(self) -> bool:
        """Whether an answer could leave at once, and another request follow it."""
        if self._close or self._force_close or self._upgraded:
            return False
        return not self.writing_paused and self._keepalive_handle is not None and self._link is not None

    def _answer_at_once(self, at_once: AtOnce, content: StreamReader) -> bool:
        parser = self._parser
        if parser is None or content.exception() is not None:
            return False
        message, body = cast(RawRequestMessage, self._messages[0][0]), content.read_nowait()
        answer = at_once(message, body)
        if answer is None or len(answer.body) > SHORT:
            self._body = (content, body)
            return False
        self._messages.popleft()
        parser.message_consumed()
        self._see_end(message, content)
        self._send(answer)
        return True

    def _send(self, answer: JsonAnswer) -> None:
        """All of it; the connection must be ready."""
        cast(asyncio.Transport, self._link).write(answer.encode())
        now = self._loop.time()
        self._keepalive = True
        self._next_keepalive_close_time = now + self._limits.keep_alive
        if self.writing_paused:
            self._is_draining, self.deadline = True, now + self._limits.answer
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is in hand."""
        self.in_request = self._is_draining = False
        self.deadline = NEVER

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_draining and not self._messages and not self._request_in_progress:
            self._rest()

    def _wake(self, *, with_request: bool) -> None:
        """Give aiohttp back what its task waits on, and let it go on if there is a request for it."""
        if self._sleeper is None:
            return
        self._waiter, self._sleeper = self._sleeper, None
        if with_request and not self._waiter.done():
            self._waiter.set_result(None)

    def take_body(self, content: StreamReader) -> bytes | None:
        """What has been taken out of ``content`` already, if it has been."""
        taken, self._body = self._body, None
        return taken[1] if taken is not None and taken[0] is content else None

    def close(self) -> None:
        self._wake(with_request=False)
        super().close()

    def force_close(self) -> None:
        self._wake(with_request=False)
        super().force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.deadline = NEVER
        self._link = None
        self._server.forget(self)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls this for each piece that is read, and would parse nothing once more
        if self._reading_paused:
            super().resume_reading(resume_parser)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            if isinstance(resp, JsonAnswer):
                stays = request.keep_alive is True
                if is_plain(request.method, request.version, stays=stays) and not self._upgraded:
                    return resp, await self._is_lost_with(resp.encode())
                resp = resp.as_response()
            resp.headers.setdefault("Server", SERVER)
            return await super().finish_response(request, resp, start_time)
        finally:
            self._see_end(request._message, request.content)
            self._rest()

    async def _is_lost_with(self, answer: bytes) -> bool:
        """Write all of it; whether the client has left instead."""
        if self._link is None or self._link.is_closing():
            return True
        self._link.write(answer)
        if self.writing_paused:
            try:
                await self._drain_helper()
            except ConnectionError:
                return True
        return False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A bare answer: aiohttp's own would log each piece of garbage and send it back."""
        if status >= 500 and not isinstance(exc, ConnectionError):
            log.error("request failed", path=request.path, exc_info=exc)
        response = web.Response(status=status, text=f"{status}\n")
        response.force_close()
        return response

    @property
    def is_made(self) -> bool:
        """Whether the handshake is done and the connection not lost."""
        return self._link is not None

    def request_begun(self) -> None:
        """Start the request's clock, if it is not running."""
        if not self.in_request:
            self.in_request = True
            self._allow(self._limits.request)

    def request_read(self) -> None:
        """The last byte is here: from now on the answer's clock runs."""
        self._allow(self._limits.answer)

    def abort(self) -> None:
        """Drop the connection without a farewell."""
        if self._link is not None:
            self._link.abort()

    def _allow(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds


def _stays_plain(message: RawRequestMessage) -> bool:
    return is_plain(message.method, message.version, stays=not message.should_close)


def _length(message: RawRequestMessage) -> int | None:
    """Bytes of the body; ``None`` where they are not told, or nobody could have so many."""
    text = message.headers.get("Content-Length", "")
    return int(text) if len(text) <= DIGITS and text.isdecimal() else None
