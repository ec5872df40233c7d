"""The cluster tool as its tests use it, and a look at the machine that does not trust it."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import lifecycle
from hack.cluster.api import Api
from hack.cluster.layout import Layout
from hack.cluster.process import Process, identify, marked

NAMESPACE = "/api/v1/namespaces/default"
PROGRAM = (sys.executable, "-m", "hack.cluster.cluster")


@dataclass(frozen=True)
class Tool:
    """The command line, for one cluster."""

    layout: Layout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*PROGRAM, words[0], "--index", str(self.layout.index)]
        return subprocess.run(
            [*command, *words[1:]], capture_output=True, text=True, check=False, timeout=900
        )

    def succeed(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def api(self) -> Api:
        return Api.load(self.layout.kubeconfig)


def leftovers(layout: Layout) -> list[str]:
    """Everything on the machine that belongs to this cluster, found without the tool's own records."""
    own = (f"10.77.{layout.index}.", f"10.78.{layout.index}.", f"10.79.{layout.index}.")
    own += (f"127.77.{layout.index}.", str(layout.folder) + "/", f" {layout.link}@", f" {layout.link}:")
    found = []
    for command in ("ip -o link", "ip -o -4 addr", "ip -4 route show table all", "ss -Hltn", "ip netns"):
        output = subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout
        found += [line for line in output.splitlines() if any(word in f" {line} " for word in own)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if own[4] in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_text() + (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if own[4] in text.replace("\0", " ") or f"/{layout.cgroup}/" in text:
            found.append(f"{process.name} {text}")
    found += [f"process {process.pid}" for process in marked(layout.records)]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{layout.cgroup}")]
    return found + [str(path) for path in (layout.folder, layout.lock_file) if path.exists()]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def processes(tool: Tool) -> list[Process]:
    """Everything that the tool started, by its own account."""
    options = lifecycle.load_options(tool.layout.folder)
    assert options
    found = [identify(state.pid) for state in lifecycle.states(tool.layout, options) if state.running]
    return [process for process in found if process]


def pid_of(tool: Tool, part: str) -> int:
    options = lifecycle.load_options(tool.layout.folder)
    assert options
    return next(state.pid for state in lifecycle.states(tool.layout, options) if state.name == part)
