"""The node: containerd, kubelet, kube-proxy and CoreDNS, children of one init in namespaces of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hack.cluster import cgroups, dns, node_config
from hack.cluster.api import Api, ApiRefusal
from hack.cluster.control_plane import await_part
from hack.cluster.layout import Layout
from hack.cluster.process import Process, children, kill, recorded, start, wait_for_exit
from hack.image.pause import build_pause

RECORD = "node"
INIT = Path(__file__).resolve().parent / "node_init.py"
PARTS = ("containerd", "kubelet", "kube-proxy", "coredns")


class ImageError(Exception):
    """An image cannot be loaded into the node."""


def start_runtime(layout: Layout, programs: Mapping[str, Path], *, holder: Process, image_store: str) -> Path:
    """Start the node with containerd only; the archive of the pause image, which no pod can do without.

    Raises StartError, CgroupError, CompileError.
    """
    plugins = node_config.cni_folder()
    if plugins is None:
        raise ImageError(
            f"no folder of {node_config.CNI_FOLDERS} has the CNI plugins {node_config.CNI_PLUGINS}"
        )
    pause = build_pause(layout.cache)
    config = node_config.write_configs(
        layout,
        programs,
        plugins=plugins,
        pause_image=pause.reference,
        in_memory=node_config.image_store_in_memory(image_store, Path("/proc/meminfo").read_text()),
    )
    cgroups.create(layout.cgroup)
    enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    namespaces = ["--mount", "--propagation=private", "--uts", "--pid", "--fork", "--kill-child=KILL"]
    start(
        layout.records / RECORD,
        [*enter, "unshare", *namespaces, "--mount-proc", sys.executable, INIT, config],
        log=layout.logs / "node.log",
    )
    await_part(layout, RECORD, lambda: _runtime_answers(layout), timeout=30)
    return pause.archive


def join(layout: Layout, api: Api) -> None:
    """Start the kubelet and its neighbours; return when the node takes pods."""
    dns.publish(layout, api)
    node_config.go_ahead_file(layout).touch()
    await_part(layout, RECORD, lambda: _is_ready(layout, api), timeout=60)


@contextlib.contextmanager
def loading(layout: Layout, archives: Sequence[Path]) -> Iterator[None]:
    """Import OCI archives into the node's containerd while the body runs. Raises ImageError."""
    with contextlib.ExitStack() as stack:
        imports = []
        for archive in archives:
            stream = stack.enter_context(archive.open("rb"))
            command = [*_ctr(layout), "images", "import", "-"]
            process = subprocess.Popen(
                command, stdin=stream, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            imports.append((archive, stack.enter_context(process)))
            stack.callback(process.kill)
        yield
        for archive, process in imports:
            _, errors = process.communicate()
            if process.returncode:
                raise ImageError(f"{archive} cannot be loaded: {errors.strip()}")


def images(layout: Layout) -> list[str]:
    """References of the images in the node. Raises ImageError."""
    done = subprocess.run(
        [*_ctr(layout), "images", "list", "-q"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ImageError(f"the node's containerd does not answer: {done.stderr.strip()}")
    return [line for line in done.stdout.split() if not line.startswith("sha256:")]


def find_init(layout: Layout) -> Process | None:
    """The first process of the node's pid namespace, as seen from the host."""
    outer = recorded(layout.records / RECORD)
    inner = children(outer) if outer else {}
    return next(iter(inner), None)


def parts(layout: Layout) -> dict[str, int]:
    """Pid, as seen from the host, of each part by name; 0 for one that does not run."""
    init = find_init(layout)
    running = {name: process.pid for process, name in children(init).items()} if init else {}
    return {name: running.get(name, 0) for name in PARTS}


def stop(layout: Layout) -> None:
    """End everything in the node, containers included."""
    init, outer = find_init(layout), recorded(layout.records / RECORD)
    if outer:
        kill(outer)
    if init:
        wait_for_exit(init)


def _ctr(layout: Layout) -> list[str]:
    init = find_init(layout)
    if init is None:
        raise ImageError(f"cluster {layout.name} has no running node: bring it up with --flavour node")
    inside = ["nsenter", "--target", str(init.pid), "--mount", "--net", "--pid"]
    return [*inside, "ctr", "--address", node_config.CONTAINERD_SOCKET, "--namespace", "k8s.io"]


def _runtime_answers(layout: Layout) -> bool:
    socket = node_config.CONTAINERD_SOCKET
    init = find_init(layout)
    if init is None or not Path(f"/proc/{init.pid}/root{socket}").is_socket():
        return False
    return subprocess.run([*_ctr(layout), "version"], capture_output=True, check=False).returncode == 0


def _is_ready(layout: Layout, api: Api) -> bool:
    try:
        node = api.request("GET", f"/api/v1/nodes/{layout.node_name}")
    except (OSError, ApiRefusal):
        return False
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node["status"].get("conditions", ())
    )
    return ready and not node["spec"].get("taints")
