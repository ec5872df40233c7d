"""A cluster's life: up, down, status. Down works from whatever state up, a crash or a SIGKILL left behind."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import binaries, cgroups, control_plane, network, node
from hack.cluster.api import Api
from hack.cluster.binaries import say
from hack.cluster.layout import Layout
from hack.cluster.process import kill, marked, recorded

CONTROL_PLANE, NODE = "control-plane", "node"
STATE_FILE = "cluster.json"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``up`` was asked for; kept in the cluster's folder."""

    flavour: str
    linked: bool
    audit: bool = False
    image_store: str = "auto"
    api_server_flags: Sequence[str] = ()


class AlreadyUp(Exception):
    """Another cluster of the same index is there and differs from what is asked."""


def load_options(folder: Path) -> Options | None:
    """The options of the cluster in ``folder``; None if there is no cluster."""
    try:
        return Options(**json.loads((folder / STATE_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def up(layout: Layout, options: Options, *, images: Sequence[Path] = ()) -> None:
    """Bring the cluster up and return when it is usable; one that already is stays as it is.

    ``images`` are archives to load into the node. Raises AlreadyUp, StartError, BuildError, NetworkError.
    """
    with held(layout):
        if _is_up(layout, options):
            say(f"cluster {layout.name} is already up ({options.flavour})")
            if images:
                with node.loading(layout, images):
                    say(f"loading {', '.join(image.name for image in images)}")
            return
        tear_down(layout)
        tools = binaries.NODE if options.flavour == NODE else binaries.CONTROL_PLANE
        programs = binaries.find(tools, layout.cache)
        try:
            _bring_up(layout, options, programs=programs, images=images)
        except BaseException:
            stop(layout)
            raise


def _is_up(layout: Layout, wanted: Options) -> bool:
    present = load_options(layout.folder)
    if present is None or not all(state.running for state in states(layout, present)):
        return False
    if (present.flavour, present.audit, list(present.api_server_flags)) != (
        wanted.flavour,
        wanted.audit,
        list(wanted.api_server_flags),
    ):
        raise AlreadyUp(
            f"cluster {layout.name} is up with other options ({present}): "
            "take it down first, or use another --index"
        )
    return True


def _bring_up(
    layout: Layout, options: Options, *, programs: Mapping[str, Path], images: Sequence[Path]
) -> None:
    lap = _stopwatch()
    layout.folder.mkdir(parents=True, mode=0o700)
    state = {name: getattr(options, name) for name in Options.__slots__}
    (layout.folder / STATE_FILE).write_text(json.dumps(state))
    control_plane.write_identities(layout)
    holder = network.create_link(layout) if options.linked else None
    if holder:
        lap("link")
    control_plane.start_storage_and_api(layout, programs, audit=options.audit, extra=options.api_server_flags)
    with contextlib.ExitStack() as loads:
        if options.flavour == NODE and holder:
            pause = node.start_runtime(layout, programs, holder=holder, image_store=options.image_store)
            loads.enter_context(node.loading(layout, [pause, *images]))
            lap(f"container runtime (cgroup v{cgroups.version()})")
        api = Api.load(layout.kubeconfig)
        control_plane.wait_for_api(layout, api)
        lap("API server")
        control_plane.start_controllers(layout, programs)
        if options.flavour == NODE:
            node.join(layout, api)
            lap("node")
        control_plane.wait_for_controllers(layout, api)
        lap("controllers")
    if images:
        lap("images")


def down(layout: Layout) -> bool:
    """Leave nothing of the cluster; whether there was anything."""
    with held(layout, remove=True):
        present = layout.folder.exists() or network.link_exists(layout) or cgroups.exists(layout.cgroup)
        tear_down(layout)
    return present


def tear_down(layout: Layout) -> None:
    """Stop everything and remove the folder."""
    stop(layout)
    if layout.folder.exists():
        _refuse_mounts(layout.folder)
        shutil.rmtree(layout.folder)


def stop(layout: Layout) -> None:
    """End every process, remove link and cgroups; the folder with its logs stays.

    State is thrown away, hence SIGKILL: a graceful end of the API server takes 10 s while watches are open.
    """
    node.stop(layout)
    for record in sorted(layout.records.glob("*")) if layout.records.exists() else ():
        if process := recorded(record):
            kill(process)
        record.unlink(missing_ok=True)
    for process in marked(layout.records):
        kill(process)
    network.delete_link(layout)
    cgroups.remove(layout.cgroup)


@dataclass(frozen=True, slots=True)
class PartState:
    """One part of a cluster; ``pid`` is 0 when it does not run."""

    name: str
    pid: int

    @property
    def running(self) -> bool:
        return self.pid != 0


def states(layout: Layout, options: Options) -> list[PartState]:
    """Every part that this flavour consists of, as the process table shows it now."""
    names = [name for name in PARTS if name != "kube-scheduler" or options.flavour == NODE]
    if options.linked:
        names.insert(0, network.HOLDER)
    found = []
    for name in names:
        process = recorded(layout.records / name)
        found.append(PartState(name, process.pid if process else 0))
    if options.flavour == NODE:
        found += [PartState(name, pid) for name, pid in node.parts(layout).items()]
    return found


@contextlib.contextmanager
def held(layout: Layout, *, remove: bool = False) -> Iterator[None]:
    """Keep other runs of this tool off this index; ``remove`` the lock's file in the end."""
    layout.cache.mkdir(parents=True, exist_ok=True)
    while True:
        stream = layout.lock_file.open("w")
        fcntl.flock(stream, fcntl.LOCK_EX)
        # the holder before may have removed the file that was opened here: then it guards nothing any more
        if _is_current(stream.fileno(), layout.lock_file):
            break
        stream.close()
    with stream:
        try:
            yield
        finally:
            if remove:
                layout.lock_file.unlink(missing_ok=True)


def _is_current(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False


def _refuse_mounts(folder: Path) -> None:
    """A mount under the folder would have its content deleted with it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounts if Path(point).is_relative_to(folder)]
    if inside:
        raise OSError(f"{inside[0]} is a mount inside {folder}: umount it, then run down again")


def _stopwatch() -> Callable[[str], None]:
    began = time.monotonic()

    def lap(what: str) -> None:
        say(f"{time.monotonic() - began:6.1f} s  {what}")

    return lap
