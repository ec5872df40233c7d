"""A loopback server that plays back bytes, whatever is asked of it, and a client that talks to it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.exchange import Observer
from kfx.kube.resource import Resource
from kfx.kube.tls import Material, Tls
from kfx.kube.tokens import StaticToken, TokenSource
from kfx.kube.transport import WATCH_IDLE, Transport
from tests.pki import Authority, Pair

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")

CUT = "cut"
"""Ends the connection by a reset."""
CLOSE = "close"
"""Ends the connection in an orderly way."""
SILENCE = "silence"
"""Says nothing until the client leaves."""

Step = bytes | float | str
"""Bytes to send, seconds to wait, or one of the words above."""
Script = bytes | str | Sequence[Step]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; ``retry_after="1"`` becomes the header Retry-After."""
    lines = "".join(f"{name.replace('_', '-').title()}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def refusal(status: str, reason: str, message: str = "no", **headers: str) -> bytes:
    """An answer whose body is a Status, as the API server writes it."""
    return answer(status_text(int(status[:3]), reason, message), status, **headers)


def status_text(code: int, reason: str, message: str = "no") -> bytes:
    """A Status object and the line's end after it."""
    found = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
    return json.dumps({**found, "message": message, "code": code}).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def line(kind: str, name: str, version: int, **more: object) -> bytes:
    """One line of a watch."""
    metadata = {"name": name, "namespace": "ns", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"metadata": metadata, **more}}).encode() + b"\n"


def page(*names: str, version: int = 5, token: str = "") -> bytes:
    """The body of a list."""
    items = [{"metadata": {"name": name, "namespace": "ns"}} for name in names]
    return json.dumps(
        {"metadata": {"resourceVersion": str(version), "continue": token}, "items": items}
    ).encode()


@dataclass
class Request:
    """What the server was sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        """The bearer token, ``""`` for none."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Playback:
    """Gives each request the next script, and a plain 500 when there is none left."""

    scripts: list[Script]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _handlers: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; ``left`` is released when it is over."""
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            while True:
                self.requests.append(await _read(reader))
                await self._play(
                    self.scripts.pop(0) if self.scripts else answer(b"", "500 Oops"), reader, writer
                )
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left, or the script ended the connection
        finally:
            writer.transport.abort()
            self._handlers.discard(task)
            self.left.release()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in [script] if isinstance(script, bytes | str) else script:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case "cut":
                    raise ConnectionAbortedError
                case "close":
                    writer.close()
                    await reader.read()
                    raise ConnectionAbortedError
                case "silence":
                    await reader.read()
                    raise ConnectionAbortedError
                case seconds:
                    await asyncio.sleep(float(seconds))

    async def end(self) -> None:
        """Leave no connection behind."""
        for task in self._handlers:
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)


async def _read(reader: asyncio.StreamReader) -> Request:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in rest if text)}
    method, target, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


@asynccontextmanager
async def playing(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Playback]:
    """A server for the length of the block."""
    playback = Playback(list(scripts))
    async with await asyncio.start_server(playback.serve, "127.0.0.1", 0, ssl=tls) as server:
        scheme = "https" if tls else "http"
        playback.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield playback
        await playback.end()


@asynccontextmanager
async def client_of(
    credentials: Credentials,
    *,
    idle: float = WATCH_IDLE,
    fence: Callable[[], None] | None = None,
    observe: Observer | None = None,
) -> AsyncIterator[Client]:
    """A client that gives up a watch after ``idle`` seconds of silence."""
    async with Transport.open(credentials, idle=idle) as transport:
        yield Client(transport, user_agent="kfx/test", fence=fence, observe=observe)


@asynccontextmanager
async def talk(
    *scripts: Script,
    tokens: TokenSource | None = None,
    idle: float = WATCH_IDLE,
    fence: Callable[[], None] | None = None,
    observe: Observer | None = None,
) -> AsyncIterator[tuple[Client, Playback]]:
    """A client and the server it talks to, over plain HTTP."""
    async with playing(*scripts) as playback:
        credentials = Credentials(playback.url, tokens=tokens or StaticToken(""))
        async with client_of(credentials, idle=idle, fence=fence, observe=observe) as client:
            yield client, playback


def server_context(directory: Path, pair: Pair, *, clients: Authority | None = None) -> ssl.SSLContext:
    """TLS for :func:`playing`; ``clients``: who must have signed the certificate that is asked for."""
    file = directory / "server.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem.decode())
    return context


def trust(authority: Authority, pair: Pair | None = None, **more: str) -> Tls:
    """The TLS side of credentials that trust one authority."""
    certificate = Material("users: client-certificate-data", data=pair.certificate) if pair else None
    key = Material("users: client-key-data", data=pair.key) if pair else None
    ca = Material("clusters: certificate-authority-data", data=authority.pem)
    return Tls(ca=ca, certificate=certificate, key=key, server_name=more.get("server_name"))
