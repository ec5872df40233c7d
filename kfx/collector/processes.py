"""Waits for the training, which runs in another container of the pod.

The pod's containers share one process namespace. The first process of each other container has no
parent in it (0). The wrapped training command ends by writing ``<its pid>.pid`` beside the metrics
file: ``completed`` there means that the training ended well, no file that it did not.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfx.collector.errors import CollectorError, TrainingFailed

START_GRACE = 10.0
"""Seconds for the training to appear: its image may still be on the way when the collector starts."""

COMPLETED = "completed"
EARLY_STOPPED = "early-stopped"

PAUSE = 1


@dataclass(frozen=True, slots=True)
class Process:
    """A container's first process."""

    pid: int
    command: str


class ProcessTable:
    """The processes under one ``/proc``."""

    def __init__(self, proc: Path = Path("/proc"), own: int | None = None) -> None:
        self._proc = proc
        self._own = os.getpid() if own is None else own

    def roots(self) -> list[Process]:
        """The first process of every other container, by pid; not the pod's own pause process."""
        pids = sorted(int(entry.name) for entry in self._proc.iterdir() if entry.name.isdecimal())
        return [found for pid in pids if (found := self._root(pid)) is not None]

    def alive(self, pid: int) -> bool:
        """Whether the process is there, be it only to be reaped."""
        return (self._proc / str(pid)).exists()

    def _root(self, pid: int) -> Process | None:
        if pid in {PAUSE, self._own}:
            return None
        folder = self._proc / str(pid)
        try:
            # The name in brackets may hold blanks and brackets; state and parent follow the last one.
            state = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if state[1] != "0":
                return None
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, IndexError):
            return None  # it ended while it was looked at
        return Process(pid, command)


class Training:
    """The training of one trial, seen through the process table and the marker files.

    ``path`` is the metrics file. ``sleep`` and ``clock`` count seconds.

    ``ending`` makes it the view of a native sidecar, which starts long before the training does, and is told
    when every container that is no sidecar has ended.
    """

    def __init__(
        self,
        table: ProcessTable,
        path: Path,
        *,
        poll_interval: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        ending: Callable[[], bool] | None = None,
    ) -> None:
        self._table = table
        self._path = path
        self._poll_interval = poll_interval
        self._sleep = sleep
        self._clock = clock
        self._ending = ending

    def wait(self, *, wait_all: bool, timeout: float, on_poll: Callable[[], None]) -> None:
        """Returns when the training has ended well, and with ``wait_all`` every other container too.

        ``on_poll`` runs at every look. Raises CollectorError where the training failed, never
        appeared, or did not end within ``timeout`` (0: no limit).
        """
        started = self._clock()
        main, others = self._find()
        for _ in self._polls():
            on_poll()
            running = self._awaited(others) if wait_all else []
            try:
                if (main is None or self._ended_well(main)) and not running:
                    return
            except TrainingFailed:
                if not self._comes_again():
                    raise
                main, others = self._find()
            if timeout and self._clock() - started >= timeout:
                raise CollectorError(f"the training did not end within {timeout:g} s (-timeout)")

    def stay(self) -> None:
        """Returns when a native sidecar may end; one that ends before is started again."""
        for _ in self._polls():
            if self._ending is None or self._ending():
                return

    def _comes_again(self) -> bool:
        """Whether the training is started again (``restartPolicy: OnFailure``) before the pod ends.

        A sidecar that ended with each attempt would itself be started again ever later, and the attempt that
        succeeds could be over before: a pod does not wait for a sidecar that is not there.
        """
        if self._ending is None:
            return False
        for _ in self._polls():
            if self._marked(self._table.roots()) or self._any_completed():
                return True
            if self._ending():
                return False
        raise AssertionError("polling never ends by itself")

    def _marked(self, roots: Sequence[Process]) -> list[int]:
        mark = f"echo {COMPLETED} > {self._path.parent}"
        return [process.pid for process in roots if mark in process.command]

    def _awaited(self, others: list[int]) -> list[int]:
        """The other containers that still run; near the end those are sidecars, which wait for this one."""
        if self._ending is not None and self._ending():
            return []
        return [pid for pid in others if self._table.alive(pid)]

    def _polls(self) -> Iterator[None]:
        while True:
            yield
            self._sleep(self._poll_interval)

    def _find(self) -> tuple[int | None, list[int]]:
        """The pid of the training, None where it has ended well before; and the other containers'.

        A process is only taken for the training without the mark in its command line when nothing
        better turned up in time; a shell replaced by ``exec`` looks like that. Beside a native sidecar
        that may be another sidecar, so there only the mark counts, until the end.
        """
        deadline = self._clock() + START_GRACE
        native = self._ending is not None
        for _ in self._polls():
            late = self._ending() if self._ending is not None else self._clock() >= deadline
            roots = self._table.roots()
            if marked := self._marked(roots):
                return marked[-1], [process.pid for process in roots if process.pid != marked[-1]]
            if self._any_completed():
                return None, [process.pid for process in roots]
            if roots and late and not native:
                return roots[0].pid, [process.pid for process in roots[1:]]
            if late or (not native and not roots and self._path.exists()):
                raise CollectorError(self._nothing_found())
        raise AssertionError("polling never ends by itself")

    def _any_completed(self) -> bool:
        return any(_content(marker) == COMPLETED for marker in self._path.parent.glob("*.pid"))

    def _ended_well(self, pid: int) -> bool:
        if self._table.alive(pid):
            return False
        marker = self._path.parent / f"{pid}.pid"
        found = _content(marker)
        if found == EARLY_STOPPED:
            return False  # the wrapper is about to write over it
        if found is None:
            raise TrainingFailed(
                f"the training ended without writing {marker}: its command failed, or replaced its shell "
                "(exec); see the log of the training container"
            )
        if found != COMPLETED:
            raise TrainingFailed(f"{marker} says {found[:80]!r}: the training did not complete")
        return True

    def _nothing_found(self) -> str:
        if self._path.exists():
            return (
                f"the training ended before it could be watched and left no marker in {self._path.parent}: "
                "its command failed; see the log of the training container"
            )
        return (
            "no training process is visible: the training container did not start, or the pod lacks "
            "shareProcessNamespace: true"
        )


def _content(marker: Path) -> str | None:
    try:
        return marker.read_text(errors="replace").strip()
    except OSError:
        return None
