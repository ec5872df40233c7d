"""The bounded HTTP/1.1 server under admission, health and metrics.

aiohttp parses and writes; here stands what it leaves open: caps on connections (in all and by address),
a limit on the TLS handshake, on the time from a request's first byte to its last, and on an answer nobody
reads. Connections are accepted here one by one, so that a cap counts those whose handshake still runs.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from kfx.runtime.address import Address, bind
from kfx.runtime.http_answer import SERVER, JsonAnswer, is_plain
from kfx.runtime.log import get_logger

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | JsonAnswer]]
"""Answers one request; an exception becomes a bare 500 and one log line."""

NEVER = float("inf")
SWEEP_INTERVAL = 0.5
ACCEPT_PAUSE = 1.0
LINGER = 1.0
"""Seconds in which a refused body is still taken in and dropped, so that the refusal can be read."""

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


class Connection(web.RequestHandler):
    """One client's connection.

    ``deadline``: when, by the loop's clock, it must have done what it is at. ``in_request``: between the
    first byte of a request and the last of its answer. ``handed_over``: a transport owns the socket.
    """

    def __init__(self, server: "HttpServer", requests: web.Server, address: str) -> None:
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._link = cast(asyncio.Transport, transport)
        self._allow(self._limits.request)

    def data_received(self, data: bytes) -> None:
        # aiohttp calls this with nothing, too, to go on with what it has
        if data and not self.in_request:
            self.request_begun()
        super().data_received(data)

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
                if is_plain(request) and not self._upgraded:
                    return resp, await self._is_lost_with(resp.encode())
                resp = resp.as_response()
            resp.headers.setdefault("Server", SERVER)
            return await super().finish_response(request, resp, start_time)
        finally:
            self.in_request = False
            self.deadline = NEVER

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


class HttpServer:
    """Serves ``handle`` on one address, over TLS if ``tls`` is given.

    ``refused`` is told why a connection was dropped: ``full``, ``handshake`` or ``slow``.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        address: Address,
        flag: str,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._handle = handle
        self._address = address
        self._flag = flag
        self._tls = tls
        self.limits = limits or Limits()
        self.refused = refused
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._bound: tuple[str, int] | None = None
        self._all_gone = asyncio.Event()

    @property
    def bound(self) -> tuple[str, int]:
        """Host and port really bound. Raises RuntimeError while not serving."""
        if self._bound is None:
            raise RuntimeError(f"the server of {self._flag} is not serving")
        return self._bound

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen inside the block; at its end finish the answers in hand.

        Raises AddressInUse or ListenError, before the block begins.
        """
        listener = await bind(self._address, flag=self._flag)
        self._bound = listener.getsockname()[:2]
        log.info("listening", flag=self._flag, port=self._bound[1], tls=self._tls is not None)
        requests = web.Server(
            cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", self._handle)
        )
        try:
            async with asyncio.TaskGroup() as group:
                accepting = group.create_task(self._accept(listener, requests))
                sweeping = group.create_task(self._sweep())
                try:
                    yield
                finally:
                    self._bound = None
                    accepting.cancel()
                    listener.close()
                    await asyncio.wait([accepting])
                    await self._finish(requests)
                    sweeping.cancel()
        finally:
            listener.close()

    def forget(self, connection: Connection) -> None:
        """A connection is gone; told by itself, at least once."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if not self._open:
            self._all_gone.set()

    async def _accept(self, listener: socket.socket, requests: web.Server) -> None:
        loop = asyncio.get_running_loop()
        exhausted = asyncio.Event()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                loop.add_reader(listener, self._accept_one, listener, requests, handshakes, exhausted)
                try:
                    await exhausted.wait()
                finally:
                    loop.remove_reader(listener)
                exhausted.clear()
                await asyncio.sleep(ACCEPT_PAUSE)

    def _accept_one(
        self,
        listener: socket.socket,
        requests: web.Server,
        handshakes: asyncio.TaskGroup,
        exhausted: asyncio.Event,
    ) -> None:
        """Not a coroutine: one cancelled between accepting and going on would lose the connection."""
        try:
            client, peer = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as failed:
            # out of descriptors, mostly: connections wait in the backlog meanwhile
            log.warning("cannot accept connections", flag=self._flag, error=failed.strerror)
            exhausted.set()
            return
        client.setblocking(False)
        address = peer[0]
        if self._is_full(address):
            self.refused("full")
            client.close()
            return
        connection = Connection(self, requests, address)
        self._open.add(connection)
        self._by_address[address] += 1
        self._all_gone.clear()
        opening = handshakes.create_task(self._open_connection(connection, client))
        opening.add_done_callback(lambda _: self._opened(connection, client))

    def _is_full(self, address: str) -> bool:
        if len(self._open) >= self.limits.connections:
            return True
        return self._by_address.get(address, 0) >= self.limits.per_address

    async def _open_connection(self, connection: Connection, client: socket.socket) -> None:
        connection.handed_over = True
        within = self.limits.handshake if self._tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=self._tls,
                ssl_handshake_timeout=within,
                ssl_shutdown_timeout=within,
            )
        except OSError:
            # counted, not logged: anybody can send garbage, as often as they like
            self.refused("handshake")

    def _opened(self, connection: Connection, client: socket.socket) -> None:
        """Also where the task was cancelled before its first step."""
        if not connection.handed_over:
            client.close()
        if not connection.is_made:
            self.forget(connection)

    async def _sweep(self) -> None:
        """Drop the slow, never late: one look at all costs less than a timer for each request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            next_look = loop.time() + SWEEP_INTERVAL
            for connection in list(self._open):
                if connection.deadline < next_look:
                    self.refused("slow")
                    connection.abort()

    async def _finish(self, requests: web.Server) -> None:
        for connection in list(self._open):
            if not connection.in_request:
                # aiohttp would wait for one whose task has not had its first step
                connection.force_close()
        try:
            requests.pre_shutdown()
            await requests.shutdown(self.limits.grace)
        finally:
            for connection in list(self._open):
                connection.abort()
        if self._open:
            await self._all_gone.wait()
