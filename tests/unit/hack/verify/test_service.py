"""Connections to a Service go to a replica that answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hack.verify.service import service


@dataclass
class Replica:
    killed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def listening(name: bytes) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(name)
        await writer.drain()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(answer(reader, writer))

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            yield int(server.sockets[0].getsockname()[1])


async def ask(port: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"who?\n")
    return await reader.read(1), reader, writer


async def test_the_first_that_serves_answers_and_a_killed_one_loses_its_connections() -> None:
    a, b = Replica(), Replica()
    async with listening(b"a") as at_a, listening(b"b") as at_b, service([(a, at_a), (b, at_b)]) as port:
        answer, reader, first = await ask(port)
        assert answer == b"a"
        a.killed.set()
        assert await reader.read() == b"", "nobody waits for one that stands still"
        answer, _, second = await ask(port)
        assert answer == b"b"
        b.killed.set()
        reader, third = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"", "nobody is left"
        for writer in (first, second, third):
            writer.close()
            await writer.wait_closed()
