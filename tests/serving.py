"""Servers under test on free loopback ports, and a client that sends exactly the bytes it is given."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from kfx.runtime import pki
from kfx.runtime.admission import (
    AdmissionHandler,
    AdmissionLimits,
    AdmissionRequest,
    AdmissionServer,
    Allowed,
    Verdict,
)
from kfx.runtime.certs import FileCertificates
from kfx.runtime.metrics import RuntimeMetrics

NAME = "webhook.core.svc"


def new_pair(*names: str, now: datetime | None = None) -> pki.Pair:
    return pki.issue(
        names or (NAME,),
        ["127.0.0.1"],
        now=now or datetime.now(UTC),
        common_name="test-ca",
        organization="test",
    )


def write_pair(directory: Path, pair: pki.Pair) -> None:
    (directory / "tls.crt").write_bytes(pair.cert_pem)
    (directory / "tls.key").write_bytes(pair.key_pem)


@dataclass
class Answering:
    """A handler that always gives the same verdict, or raises it."""

    verdict: Verdict | Exception = field(default_factory=Allowed)
    path: str = "/judge"
    seen: AdmissionRequest | None = None

    async def handle(self, request: AdmissionRequest) -> Verdict:
        self.seen = request
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class Held:
    """A handler that answers when it is let go."""

    path = "/judge"

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.let_go = asyncio.Event()

    async def handle(self, request: AdmissionRequest) -> Verdict:
        self.entered.release()
        await self.let_go.wait()
        return Allowed()


@dataclass
class Running:
    server: AdmissionServer
    metrics: RuntimeMetrics
    pair: pki.Pair

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        verifier = self.server._certificates.verifier()
        assert verifier is not None
        _, port = self.server.bound
        return await asyncio.open_connection(
            "127.0.0.1", port, ssl=verifier.context, server_hostname="127.0.0.1"
        )

    async def exchange(self, raw: bytes) -> "Answer":
        """Send ``raw`` on a connection of its own; read one answer, then whether the server closed."""
        reader, writer = await self.connect()
        try:
            writer.write(raw)
            return await read_answer(reader)
        finally:
            writer.transport.abort()

    async def post(
        self, body: bytes, *, path: str = "/judge", headers: Mapping[str, str] | None = None
    ) -> "Answer":
        return await self.exchange(post(body, path=path, headers=headers))

    def sample(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        return self.metrics.registry.get_sample_value(name, dict(labels or {}))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def review(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def response(self) -> dict[str, Any]:
        found: dict[str, Any] = self.review["response"]
        return found


@asynccontextmanager
async def admission(
    directory: Path,
    *handlers: AdmissionHandler,
    limits: AdmissionLimits | None = None,
) -> AsyncIterator[Running]:
    pair = new_pair()
    write_pair(directory, pair)
    metrics = RuntimeMetrics(CollectorRegistry())
    server = AdmissionServer(
        host="127.0.0.1",
        port=0,
        handlers=handlers,
        certificates=FileCertificates(directory),
        metrics=metrics,
        limits=limits,
    )
    async with server.serving():
        yield Running(server, metrics, pair)


def review(document: object = None, *, version: str = "v1", uid: str = "uid-1", **more: object) -> bytes:
    request = {"uid": uid, "namespace": "team", "name": "trial", "operation": "CREATE", "object": document}
    return json.dumps(
        {
            "apiVersion": f"admission.k8s.io/{version}",
            "kind": "AdmissionReview",
            "request": {**request, **more},
        }
    ).encode()


def post(body: bytes, *, path: str = "/judge", headers: Mapping[str, str] | None = None) -> bytes:
    sent = {
        "Host": "webhook",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{key}: {value}\r\n" for key, value in sent.items() if value)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(head[0].split()[1]), headers, body)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes; fails if it does not."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def get(port: int, path: str, headers: Sequence[str] = (), *, host: str = "x") -> Answer:
    """One plain HTTP GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode())
        return await read_answer(reader)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def hearing() -> AsyncIterator[tuple[str, bytearray]]:
    """A server that says nothing: its URL, and every byte that it was sent."""
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", received
