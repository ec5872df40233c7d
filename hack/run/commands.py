"""Programs that are run to their end and never outlive the run."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from hack.run.errors import RunError

KILL_AFTER = 1.5  # seconds between SIGTERM and SIGKILL
LAST_LINES = 15
LINE_LIMIT = 1 << 20  # bytes of one line of progress


async def run_command(
    command: Sequence[str | Path], *, say: Callable[[str], None], stdin: bytes = b"", cwd: Path | None = None
) -> str:
    """Standard output of a program that ended well; what it writes to standard error is passed to ``say``.

    Raises :class:`RunError` with the last lines otherwise. When cancelled, ends all that it started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=cwd, start_new_session=True, limit=LINE_LIMIT
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    output = bytearray()
    try:
        async with asyncio.TaskGroup() as readers:
            readers.create_task(_read_lines(process, last, say))
            readers.create_task(_read_all(process, output))
            readers.create_task(_write(process, stdin))
        status = await process.wait()
    finally:
        await end(process)
    if status:
        words = " ".join(os.fspath(word) for word in command)
        raise RunError("\n".join([f"failed with status {status}: {words}", *last]))
    return output.decode(errors="replace")


async def end(process: Process, *, patience: float = KILL_AFTER) -> None:
    """SIGTERM to the program's whole session, SIGKILL if it has not ended ``patience`` seconds later."""
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        # also when a second Ctrl-C cut the waiting short
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


async def _read_lines(process: Process, last: deque[str], say: Callable[[str], None]) -> None:
    assert process.stderr is not None  # noqa: S101 — it is PIPE
    async for line in process.stderr:
        text = line.decode(errors="replace").rstrip()
        last.append(text)
        say(text)


async def _read_all(process: Process, output: bytearray) -> None:
    assert process.stdout is not None  # noqa: S101 — it is PIPE
    output += await process.stdout.read()


async def _write(process: Process, data: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 — it is PIPE
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except ConnectionError:
        return  # it ended without reading; its status and its last words say why
    finally:
        process.stdin.close()
