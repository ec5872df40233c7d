"""Stands between a client and a real API server, and does to chosen requests what networks and servers do.

Plain HTTP in, TLS out. Each request has a connection of its own to the server (``Connection: close``), so
that what is passed on can be cut, held or repeated at any byte without leaving a second request in doubt.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kfx.kube.credentials import Credentials

CHUNK = 64 * 1024


@dataclass
class Exchange:
    """One request on its way. ``head`` and ``body`` as the client sent them."""

    proxy: "FaultProxy"
    method: str
    target: str
    head: bytes
    body: bytes
    client: asyncio.StreamWriter

    async def ask(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the request to the server; its answer is read from the reader."""
        reader, writer = await self.proxy.connect()
        lines = [line for line in self.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        lines.insert(1, b"Connection: close")
        if self.proxy.token:  # the client's way here is in the clear, and kfx sends no token on such a way
            lines.insert(1, f"Authorization: Bearer {self.proxy.token}".encode())
        if self.proxy.replica:
            told = f" replica={self.proxy.replica}".encode()
            lines = [line + told if line.lower().startswith(b"user-agent:") else line for line in lines]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + self.body)
        await writer.drain()
        return reader, writer

    async def pass_on(self, *, most: int | None = None, at_once: int = CHUNK) -> None:
        """Ask, and hand on the answer's first ``most`` bytes, ``at_once`` of them in one piece."""
        reader, writer = await self.ask()
        try:
            left = most
            while data := await reader.read(CHUNK if left is None else min(CHUNK, left)):
                for start in range(0, len(data), at_once):
                    self.client.write(data[start : start + at_once])
                    await self.client.drain()
                    if at_once < CHUNK:
                        await asyncio.sleep(0)
                if left is not None:
                    left -= len(data)
                    if not left:
                        return
        finally:
            writer.transport.abort()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Ask for a watch, hand on the answer's head, and give each line of its body."""
        reader, writer = await self.ask()
        try:
            self.client.write(await reader.readuntil(b"\r\n\r\n"))
            rest = b""
            while size := int(await reader.readline(), 16):
                # a chunk may hold several lines, or a part of one
                *lines, rest = (rest + await reader.readexactly(size)).split(b"\n")
                await reader.readline()
                for line in lines:
                    yield line + b"\n"
        finally:
            writer.transport.abort()

    async def send(self, *lines: bytes) -> None:
        """Hand on lines of a watch."""
        for each in lines:
            self.client.write(b"%x\r\n%s\r\n" % (len(each), each))
        await self.client.drain()

    async def finish(self) -> None:
        """End a watch in an orderly way."""
        self.client.write(b"0\r\n\r\n")
        await self.client.drain()

    async def pass_on_events(self, change: Callable[[bytes], list[bytes]]) -> None:
        """Ask for a watch, and hand on what ``change`` makes of each line."""
        async with aclosing(self.lines()) as lines:
            async for line in lines:
                await self.send(*change(line))
        await self.finish()

    async def answer(self, status: str, body: bytes, *, headers: str = "") -> None:
        """Answer in the server's place."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        self.client.write(head.encode() + body)
        await self.client.drain()

    def reset(self) -> None:
        """End the client's connection by RST."""
        raw: socket.socket = self.client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()


Act = Callable[[Exchange], Awaitable[None]]


@dataclass
class Fault:
    """What happens to requests of ``method`` whose target matches, ``times`` times (-1: always)."""

    method: str
    pattern: str
    act: Act
    times: int = 1
    hits: int = 0

    def takes(self, method: str, target: str) -> bool:
        return self.times != 0 and method == self.method and re.search(self.pattern, target) is not None


@dataclass
class FaultProxy:
    """``server``: where requests go. ``asked``: the method and target of each, in order.

    ``token``: what requests are sent with, "" where the context names who asks.
    ``replica``: what the User-Agent of each request is marked with, for the audit log; "" for nothing.
    """

    credentials: Credentials
    server: str
    context: ssl.SSLContext
    group: asyncio.TaskGroup
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    replica: str = ""
    token: str = ""
    _server: asyncio.Server | None = None
    _port: int = 0
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _watching: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def inject(self, method: str, pattern: str, act: Act, *, times: int = 1) -> Fault:
        fault = Fault(method, pattern, act, times)
        self.faults.append(fault)
        return fault

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, line) is not None for line in self.asked)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = urlsplit(self.server)
        return await asyncio.open_connection(
            where.hostname, where.port, ssl=self.context, server_hostname=self.credentials.server_name
        )

    async def listen(self) -> None:
        """Also after :meth:`refuse`, on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections from now on; those there are go on."""
        assert self._server is not None
        self._server.close()

    def cut_all(self) -> None:
        """Close every connection there is."""
        for task in self._serving:
            task.cancel()

    def cut_watches(self) -> None:
        """Close those that follow something; nobody tells a proxy that a client was killed."""
        for task in self._watching:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = self.group.create_task(self._serve(reader, client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(self._watching.discard)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self.asked.append(f"{method} {target}")
            if "watch=true" in target and (task := asyncio.current_task()):
                self._watching.add(task)
            await self._act(Exchange(self, method, target, head, body, client))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # an end has gone, which is what this is for
        finally:
            client.close()

    async def _act(self, exchange: Exchange) -> None:
        for fault in self.faults:
            if fault.takes(exchange.method, exchange.target):
                fault.times -= 1
                fault.hits += 1
                await fault.act(exchange)
                return
        await exchange.pass_on()


@asynccontextmanager
async def fault_proxy(credentials: Credentials) -> AsyncIterator[FaultProxy]:
    """A proxy that passes everything on until it is told otherwise."""
    context, token = await credentials.ssl_context(), await credentials.token()
    assert context is not None
    async with asyncio.TaskGroup() as group:
        proxy = FaultProxy(credentials, credentials.server, context, group, token=token)
        await proxy.listen()
        try:
            yield proxy
        finally:
            await proxy.refuse()
            proxy.cut_all()


async def reset_before_asking(exchange: Exchange) -> None:
    exchange.reset()


async def reset_before_the_reply(exchange: Exchange) -> None:
    """The server has performed the request; the client will not learn of it."""
    reader, writer = await exchange.ask()
    await reader.read(1)
    exchange.reset()
    writer.transport.abort()


async def hold(exchange: Exchange) -> None:
    """Neither answer nor close."""
    await asyncio.sleep(120)


def status(line: str, body: bytes = b"", *, headers: str = "") -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.answer(line, body, headers=headers)

    return act


def cut_after(size: int) -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.pass_on(most=size)
        exchange.reset()

    return act


def end_after(seconds: float) -> Act:
    """The answer ends in an orderly way, as a server ends a watch whose time is up."""

    async def act(exchange: Exchange) -> None:
        reader, writer = await exchange.ask()
        try:
            async with asyncio.timeout(seconds):
                while data := await reader.read(CHUNK):
                    exchange.client.write(data)
        except TimeoutError:
            exchange.client.write(b"0\r\n\r\n")
            await exchange.client.drain()
        finally:
            writer.transport.abort()

    return act


def late_by(seconds: float) -> Act:
    async def act(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await exchange.pass_on()

    return act


def narrow(rate: int) -> Act:
    """At most ``rate`` bytes a second come back."""

    async def act(exchange: Exchange) -> None:
        reader, writer = await exchange.ask()
        try:
            while data := await reader.read(rate // 10):
                exchange.client.write(data)
                await exchange.client.drain()
                await asyncio.sleep(len(data) / rate)
        finally:
            writer.transport.abort()

    return act


def byte_by_byte(size: int = 1) -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.pass_on(at_once=size)

    return act


def events(change: Callable[[bytes], list[bytes]]) -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.pass_on_events(change)

    return act
