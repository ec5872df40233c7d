"""Processes that outlive this one: started with a record on disk, found again, ended, never mistaken.

The record is the process's line of ``/proc/PID/stat``, written by the process itself before it becomes the
program, so that nothing runs unrecorded even if the starter is killed. Pid and start time (clock ticks since
boot) together name one process; the machine's boot id guards against a reboot in between.
Its environment names the records' folder too, and what it starts inherits that: what lost its record, or
never came to write one, is found by it.
"""

import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "KFX_CLUSTER_RECORDS"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BECOME = (
    'cd "$1" && read -r boot < /proc/sys/kernel/random/boot_id && read -r stat < /proc/self/stat'
    ' && printf "%s\\n%s\\n" "$boot" "$stat" > "$2" && shift 2 && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Process:
    """A process by pid and start time."""

    pid: int
    start_time: int


def parse_stat(line: str) -> tuple[Process, str, int]:
    """Split a line of ``/proc/PID/stat``: the process, its state letter, its parent's pid."""
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    return Process(int(head.split(" ", 1)[0]), int(fields[19])), fields[0], int(fields[1])


def identify(pid: int) -> Process | None:
    """The process that has ``pid`` now; None if there is none or it is a zombie."""
    try:
        process, state, _ = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else process


def children(parent: Process) -> dict[Process, str]:
    """Live children of a process, with the name of their program (the kernel keeps 15 bytes of it)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        process, state, parent_pid = parse_stat(line)
        if parent_pid == parent.pid and state not in "ZX":
            found[process] = line[line.index("(") + 1 : line.rindex(")")]
    return found


def recorded(record: Path) -> Process | None:
    """The process that a record names, if it still lives."""
    try:
        boot, _, line = record.read_text().partition("\n")
    except FileNotFoundError:
        return None
    if not line.strip() or boot != BOOT_ID.read_text().strip():
        return None
    process = parse_stat(line)[0]
    return process if identify(process.pid) == process else None


def marked(records: Path) -> list[Process]:
    """Live processes that were started with a record in this folder, and their descendants."""
    mark = f"{MARK}={records}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark in environment and (process := identify(int(entry.name))):
            found.append(process)
    return found


def start(
    record: Path, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Run ``command`` in a session of its own, in the record's folder, its output appended to ``log``.

    ``env`` is the complete environment, by default this process's. Raises RuntimeError when it ends at once.
    """
    for folder in (record.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    words = [os.fspath(word) for word in command]
    environment = {**(os.environ if env is None else env), MARK: os.fspath(record.parent)}
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _BECOME, "sh", os.fspath(record.parent), os.fspath(record), *words],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    while (process := recorded(record)) is None or process.pid != pid:
        if identify(pid) is None:
            _reap(pid)
            raise RuntimeError(f"{words[0]} ended as soon as it was started: see {log}")
        time.sleep(0.001)
    return process


def kill(process: Process, *, timeout: float = 10.0) -> None:
    """SIGKILL the process and wait until it is gone; a pid that means another process by now is left alone.

    Raises TimeoutError after ``timeout`` seconds.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if identify(process.pid) != process:
            _reap(process.pid)
            return
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _await_exit(handle, process.pid, timeout)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def wait_for_exit(process: Process, *, timeout: float = 10.0) -> None:
    """Return when the process has ended. Raises TimeoutError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while identify(process.pid) == process:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {process.pid} still runs after {timeout:.0f} s")
        time.sleep(0.01)
    _reap(process.pid)


def _await_exit(handle: int, pid: int, timeout: float) -> None:
    if not select.select([handle], [], [], timeout)[0]:
        raise TimeoutError(f"process {pid} still runs {timeout:.0f} s after SIGKILL")
    _reap(pid)


def _reap(pid: int) -> None:
    """Collect the process if this one happens to be its parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
