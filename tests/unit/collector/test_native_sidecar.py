"""A native sidecar in a process namespace as a pod's containers share it: each enters it from outside."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kfx.katib.command import wrap_command
from tests.unit.collector.test_command import OWN_PROCESSES, running_store, words
from tests.unit.katib.test_command import expand

pytestmark = pytest.mark.real_time

TOLD_WHILE_IT_LOADS = """
import os, signal, sys
os.kill(os.getpid(), signal.SIGTERM)
print("told", file=sys.stderr, flush=True)
del sys.modules["re2"]
sys.path.remove(os.path.dirname(__file__))
import re2
"""

COLLECTOR = "import sys; from kfx.collector import main; sys.exit(main(sys.argv[1:]))"


class Pod:
    """Containers, each with a first process whose parent is not to be seen."""

    def __init__(self, pause: int) -> None:
        self._enter = ("nsenter", "--target", str(pause), "--pid", "--mount")
        self.containers: list[Process] = []

    async def start(self, command: Sequence[str]) -> Process:
        found = await asyncio.create_subprocess_exec(
            *self._enter, *command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
        self.containers.append(found)
        return found


async def child_of(process: Process) -> int:
    """The only child of a program that has forked itself, once it is there."""
    async with asyncio.timeout(10):
        while True:
            found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if found:
                return int(found[0])
            await asyncio.sleep(0.01)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pause = await asyncio.create_subprocess_exec(*OWN_PROCESSES, "sleep", "60", stderr=subprocess.PIPE)
    try:
        await asyncio.sleep(0.2)
        if pause.returncode is not None:
            pytest.skip("a process namespace of its own needs root")
        first = await child_of(pause)
        pod = Pod(first)
        yield pod
        os.kill(first, signal.SIGKILL)  # and with it all that are in its namespace
        for each in pod.containers:
            await each.wait()
    finally:
        if pause.returncode is None:
            await pause.wait()


async def test_it_waits_for_the_training_and_reports_when_all_but_sidecars_have_ended(
    pod: Pod, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    training = wrap_command(
        ["sh", "-c"], ["sleep 0.3; echo loss=0.5 accuracy=1"], directory=str(tmp_path), output=str(log)
    )
    async with running_store(tmp_path / "observations.db") as (address, store):
        await pod.start(["sleep", "60"])  # another sidecar, which ends after this one
        given = [*words(log, address), "-p", "20ms", "-native", "true"]
        collector = await pod.start([sys.executable, "-c", COLLECTOR, *given])
        trained = await pod.start([*training.command, expand(training.script)])
        assert await trained.wait() == 0
        assert collector.stdout is not None
        assert await collector.stdout.readline() == b"loss=0.5 accuracy=1\n"  # it has seen the training
        await asyncio.sleep(0.2)
        assert await store.get("trial") == []
        os.kill(await child_of(collector), signal.SIGTERM)
        assert await collector.wait() == 0
        assert [(each.name, each.value) for each in await store.get("trial")] == [
            ("loss", "0.5"),
            ("accuracy", "1"),
        ]


async def test_it_reports_though_the_training_was_over_before_it_had_loaded(tmp_path: Path) -> None:
    log = tmp_path / "metrics.log"
    log.write_text("loss=0.5\n")
    (tmp_path / "7.pid").write_text("completed\n")
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "re2.py").write_text(TOLD_WHILE_IT_LOADS)
    async with running_store(tmp_path / "observations.db") as (address, store):
        given = [*words(log, address), "-p", "20ms", "-native", "true", "-w", "false"]
        collector = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kfx", "metrics-collector", *given),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "shim")},
        )
        _, said = await collector.communicate()
        assert said.startswith(b"told\n")
        assert (collector.returncode, len(await store.get("trial"))) == (0, 1), said.decode()
