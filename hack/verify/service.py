"""One address for all replicas, as a Service gives: a connection goes to the first that serves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

CHUNK = 64 * 1024


class Replica(Protocol):
    """``killed``: once it will not answer any more."""

    @property
    def killed(self) -> asyncio.Event: ...


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _lead(ends: Sequence[tuple[Replica, int]], outer: Stream) -> None:
    """Pass everything on in both directions until an end closes, or the replica will not answer."""
    try:
        for replica, port in ends:
            if replica.killed.is_set():
                continue
            with suppress(OSError):
                await _join(replica, outer, await asyncio.open_connection("127.0.0.1", port))
                return
    finally:
        await _close(outer[1])


async def _join(replica: Replica, outer: Stream, inner: Stream) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_pump(outer[0], inner[1])),
                group.create_task(_pump(inner[0], outer[1])),
                group.create_task(replica.killed.wait()),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
    finally:
        await _close(inner[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def service(ends: Sequence[tuple[Replica, int]]) -> AsyncIterator[int]:
    """The port of a Service for these replicas, which may start later."""
    async with asyncio.TaskGroup() as group:
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = group.create_task(_lead(ends, (reader, writer)))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            for task in connections:
                task.cancel()
