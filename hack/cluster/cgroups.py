"""The parent cgroup of everything a node runs, on cgroup v1 (a hierarchy per controller) and on v2 (one)."""

import contextlib
import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "memory", "pids")


class CgroupError(Exception):
    """Cgroups cannot be used as a kubelet needs them."""


def version(root: Path = ROOT) -> int:
    """1 or 2: whether the root is itself the one hierarchy."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The folders that hold the top of each hierarchy; on v1 also those that carry no controller."""
    if version(root) == 2:
        return [root]
    return [entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.is_symlink()]


def create(name: str, root: Path = ROOT) -> None:
    """Make cgroup ``name`` in every hierarchy, ready for a kubelet. Raises CgroupError."""
    if version(root) == 2:
        _delegate(root)
        (root / name).mkdir(exist_ok=True)
        _delegate(root / name)
        return
    for hierarchy in hierarchies(root):
        if (hierarchy / "cgroup.controllers").exists():
            continue
        (hierarchy / name).mkdir(exist_ok=True)
        # a v1 cpuset takes no process until it has been told which cores and memory it may use
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists():
                (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def _delegate(group: Path) -> None:
    """Hand the controllers that ``group`` has on to its children."""
    available = set((group / "cgroup.controllers").read_text().split())
    if missing := sorted(set(NEEDED) - available):
        raise CgroupError(
            f"{group} has no cgroup controller {', '.join(missing)}: enable it in the level above"
        )
    handed = set((group / "cgroup.subtree_control").read_text().split())
    for controller in sorted(available - handed):
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            if controller in NEEDED:
                raise CgroupError(
                    f"{group} cannot hand on the cgroup controller {controller} ({error.strerror}): inside a "
                    "container, run it with the host's cgroup namespace or move its processes to a child"
                ) from None


def exists(name: str, root: Path = ROOT) -> bool:
    """Whether cgroup ``name`` is in any hierarchy."""
    return any((hierarchy / name).exists() for hierarchy in hierarchies(root))


def remove(name: str, root: Path = ROOT, *, timeout: float = 10.0) -> None:
    """Kill what is left in cgroup ``name``, remove it everywhere. Raises CgroupError after ``timeout`` s."""
    deadline = time.monotonic() + timeout
    while left := [group for hierarchy in hierarchies(root) for group in _deepest_first(hierarchy / name)]:
        if time.monotonic() > deadline:
            raise CgroupError(f"{left[0]} cannot be removed: something in it does not die")
        for group in left:
            _empty(group)
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.01)


def _deepest_first(top: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]


def _empty(group: Path) -> None:
    """Only the cluster's own processes can be in its cgroup. Pid 0 stands for one not visible from here."""
    with contextlib.suppress(FileNotFoundError):
        for pid in map(int, (group / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                if pid > 0:
                    os.kill(pid, signal.SIGKILL)
