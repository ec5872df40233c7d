"""The bounded HTTP/1.1 server under admission, health and metrics.

Here stands what aiohttp leaves open: caps on connections (in all and by address), a limit on the TLS
handshake, and the sweep that drops whoever is past the deadline of its connection. Connections are
accepted here one by one, so that a cap counts those whose handshake still runs.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from kfx.runtime.address import Address, bind
from kfx.runtime.http_answer import JsonAnswer
from kfx.runtime.http_connection import AtOnce, Connection, Limits
from kfx.runtime.http_heads import KnownHeads
from kfx.runtime.log import get_logger

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | JsonAnswer]]
"""Answers one request; an exception becomes a bare 500 and one log line."""

SWEEP_INTERVAL = 0.5
ACCEPT_PAUSE = 1.0

__all__ = ["HttpServer", "Limits"]

log = get_logger("http")


class HttpServer:
    """Serves ``handle`` on one address, over TLS if ``tls`` is given.

    ``refused`` is told why a connection was dropped: ``full``, ``handshake`` or ``slow``. ``at_once``: what
    of the requests it can answer without a wait, it may answer in ``handle``'s place.
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
        at_once: AtOnce | None = None,
    ) -> None:
        self.at_once = at_once
        self.heads = KnownHeads()
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
