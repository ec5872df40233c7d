"""Programs end when the run ends, and their words are not lost."""

import asyncio
import sys
from pathlib import Path

import pytest

from hack.run.commands import run_command
from hack.run.errors import RunError

pytestmark = pytest.mark.real_time


async def test_output_is_returned_and_progress_is_passed_on() -> None:
    said: list[str] = []
    code = "import sys; print(sys.stdin.read().upper()); print('building', file=sys.stderr)"
    assert await run_command([sys.executable, "-c", code], say=said.append, stdin=b"abc") == "ABC\n"
    assert said == ["building"]


async def test_a_failure_names_the_command_its_status_and_its_last_lines() -> None:
    with pytest.raises(RunError, match=r"failed with status 3: sh -c .*\nno disk"):
        await run_command(["sh", "-c", "echo no disk >&2; exit 3"], say=lambda _: None)


async def test_a_program_that_does_not_read_its_input_is_no_failure() -> None:
    assert await run_command(["true"], say=lambda _: None, stdin=b"x" * 1_000_000) == ""


async def test_cancelling_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait; wait"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_command(["sh", "-c", script], say=lambda _: None))
        while not pids.exists():
            await asyncio.sleep(0.01)
        task.cancel()
    for pid in pids.read_text().split():
        async with asyncio.timeout(
            10
        ):  # a killed grandchild is not ours to wait for, the kernel takes a moment
            while not _gone(int(pid)):
                await asyncio.sleep(0.01)


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
