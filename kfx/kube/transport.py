"""The one seam to the network: request out; status, headers and bytes in.

Two sessions, since they differ in what waiting means: a request has a total time limit, a watch has
none but must be heard of. HTTP/1.1, one connection a watch.
"""

import asyncio
import errno
import functools
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from kfx.kube.credentials import Credentials, CredentialsError
from kfx.kube.errors import Interrupted, TransportError, Unreachable
from kfx.kube.outage import Outage

REQUEST_TIMEOUT = 30.0  # seconds for a request, connection and retries included
WATCH_IDLE = 70.0  # seconds of silence that end a watch; bookmarks come every 60
CONNECT_TIMEOUT = 5.0
LINE_LIMIT = 64 * 1024 * 1024  # bytes of one watch line; etcd takes objects of 1.5 MiB

# called by the task's next request once it holds a connection, right before its first byte
before_send: ContextVar[Callable[[], None] | None] = ContextVar("before_send", default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. ``retry_after``: seconds, where the server names them."""

    status: int
    body: bytes
    retry_after: float | None


class ConnectionCut(TransportError):
    """The connection ended before an answer; the server may have been restarted or be closing down."""


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if check := before_send.get():
            check()
        return await super().send(conn)


class Transport:
    """Connections to one API server."""

    def __init__(
        self, credentials: Credentials, *, requests: aiohttp.ClientSession, watches: aiohttp.ClientSession
    ) -> None:
        self.server = credentials.server
        self.host = URL(credentials.server).authority
        self.credentials = credentials
        self._requests = requests
        self._watches = watches
        self._outage = Outage(credentials.server)

    @classmethod
    @asynccontextmanager
    async def open(cls, credentials: Credentials, *, idle: float = WATCH_IDLE) -> AsyncIterator[Self]:
        """Sessions that live as long as the block; nothing is connected yet."""
        total = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        silent = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle)
        async with _session(total) as requests, _session(silent) as watches:
            yield cls(credentials, requests=requests, watches=watches)
        for _ in range(3):
            await asyncio.sleep(0)  # a handshake that was cancelled closes its socket in a later turn

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        """One attempt. Raises :class:`ConnectionCut` or another :class:`TransportError`."""
        try:
            async with self._requests.request(
                method,
                self._url(path, query),
                headers=headers,
                data=body,
                ssl=await self.credentials.ssl_context() or True,
                server_hostname=self.credentials.server_name,
                allow_redirects=False,
            ) as response:
                self._outage.over()
                return Answer(response.status, await response.read(), _retry_after(response))
        except (CredentialsError, aiohttp.ClientError, OSError, ValueError) as failed:
            raise self._explain(f"{method} {path}", failed) from None

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[int, AsyncGenerator[bytes, None], float | None]]:
        """A watch: its status, its lines, Retry-After.

        Raises :class:`TransportError` until the headers are there. The lines end with the stream; an
        unfinished last line is dropped, and a broken stream raises :class:`Interrupted`. A refusal's body is
        one line, whatever it holds.
        """
        try:
            response = await self._watches.get(
                self._url(path, query),
                headers=headers,
                ssl=await self.credentials.ssl_context() or True,
                server_hostname=self.credentials.server_name,
                allow_redirects=False,
            )
        except (CredentialsError, aiohttp.ClientError, OSError, ValueError) as failed:
            raise self._explain(f"WATCH {path}", failed) from None
        self._outage.over()
        async with response:
            yield response.status, self._lines(response, path), _retry_after(response)

    async def reachable(self) -> None:
        """Return once the server answers anybody in this process; at once unless an outage lasts."""
        await self._outage.ended()

    async def _lines(self, response: aiohttp.ClientResponse, path: str) -> AsyncGenerator[bytes, None]:
        splitter = LineSplitter()
        try:
            if response.status >= 300:
                yield await response.read()
                return
            async for chunk in response.content.iter_any():
                for line in splitter.feed(chunk):
                    yield line
        except (aiohttp.ClientError, OSError, ValueError) as failed:
            raise Interrupted(f"WATCH {path}: {type(failed).__name__} in mid-stream") from None

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        # paths are quoted where they are made; quoting twice would change names
        return URL(self.server + path, encoded=True).with_query(query)

    def _explain(self, request: str, failed: Exception) -> TransportError:
        if _was_cut(failed):
            return ConnectionCut(f"{request}: {self.server} cut the connection before an answer")
        problem = self._why_unreachable(failed)
        if problem:
            self._outage.seen(problem)
            return Unreachable(f"{request}: {problem}")
        if isinstance(failed, TimeoutError):
            return TransportError(f"{request}: no answer from {self.server} in time; is it overloaded?")
        return TransportError(f"{request}: unusable answer from {self.server} ({type(failed).__name__})")

    def _why_unreachable(self, failed: Exception) -> str:
        """Why there is no connection, with the remedy; ``""`` where there was one."""
        match failed:
            case CredentialsError():
                return str(failed)
            case aiohttp.ClientConnectorCertificateError():
                return self._untrusted(failed.certificate_error)
            case aiohttp.ClientConnectorSSLError():
                return self._untrusted(failed.os_error)
            case aiohttp.ClientConnectorError():
                why = failed.os_error.strerror or str(failed.os_error)
                return f"cannot connect to {self.server} ({why}); is the API server running there?"
            case aiohttp.ConnectionTimeoutError():
                return f"cannot connect to {self.server} (timed out); is the API server running there?"
            case _:
                return ""

    def _untrusted(self, why: Exception) -> str:
        return (
            f"no trusted TLS connection to {self.server} ({why}); "
            "check certificate-authority and tls-server-name"
        )


class LineSplitter:
    """Cuts a byte stream into lines, whatever its chunks; each byte is copied a fixed number of times."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, without their ends and without empty ones.

        Raises ``ValueError`` once a line is longer than the limit.
        """
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._parts, whole[0]))
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self._limit:
                raise ValueError(f"a line is longer than {self._limit} bytes")
        return [line for line in whole if line.strip()]


class _Protocol(ResponseHandler):
    """Tells the reader of a body that it is malformed; aiohttp would let it wait for ever."""

    def data_received(self, data: bytes) -> None:
        body = self._payload
        super().data_received(data)
        if self.exception() is not None and body is not None and not body.is_eof() and not body.exception():
            body.set_exception(aiohttp.ClientPayloadError("the body is malformed"))


class _Connector(aiohttp.TCPConnector):
    """Ends a connection that is of no further use at once, and does not close before it has ended.

    aiohttp would take leave of a TLS peer in its own time, which a watch that was given up does not deserve
    and a loop that ends does not have.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        made: Any = functools.partial(_Protocol, loop=asyncio.get_running_loop())
        self._factory = made
        self._ending: set[asyncio.Future[None]] = set()

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        if (should_close or protocol.should_close) and not self._closed:
            if (closed := protocol.closed) is not None:
                self._ending.add(closed)
                closed.add_done_callback(self._ending.discard)
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)

    def _close(self, *, abort_ssl: bool = False) -> list[Awaitable[object]]:
        return [*super()._close(abort_ssl=abort_ssl), *self._ending]


def _session(timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    connector = _Connector(limit=0, keepalive_timeout=60, socket_factory=_socket)
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=256 * 1024,
    )
    # aiohttp repeats PUT and DELETE on a connection that was cut; a write may have been performed
    session._retry_connection = False
    return session


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices a dead peer: 15 s idle, then 3 probes 5 s apart; 30 s for unacknowledged data."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    for name, value in options.items():
        if (number := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, number, value)
    return made


def _was_cut(failed: Exception) -> bool:
    return isinstance(failed, aiohttp.ServerDisconnectedError | ConnectionResetError | BrokenPipeError) or (
        isinstance(failed, OSError) and failed.errno in {errno.ECONNRESET, errno.EPIPE}
    )


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Kubernetes names whole seconds only; a date counts as absent."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
