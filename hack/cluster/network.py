"""The link of a cluster: a veth pair from the host into a network namespace that a holder process keeps.

The host's end carries the address at which pods and webhook calls reach the API server and whatever else runs
on the host. The host does not forward: pods reach it and nothing beyond. The namespace has neither name nor
mount, so that it is gone with its processes.
"""

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

from hack.cluster.api import wait_until
from hack.cluster.layout import Layout
from hack.cluster.process import Process, start

HOLDER = "network"


class NetworkError(Exception):
    """The link cannot be made; the text names the cause and the remedy."""


def create_link(layout: Layout) -> Process:
    """Bring up both ends and the host's routes to pods and services. Raises NetworkError."""
    refuse_overlap(layout)
    holder = start(
        layout.records / HOLDER,
        ["unshare", "--net", "sleep", "infinity"],
        log=layout.logs / "network.log",
    )
    _await_namespace(holder)
    peer = f"{layout.link}-p"
    run("ip", "link", "add", layout.link, "type", "veth", "peer", "name", peer)
    run("ip", "link", "set", peer, "netns", str(holder.pid))
    run("ip", "addr", "add", f"{layout.host_ip}/24", "dev", layout.link)
    run("ip", "link", "set", layout.link, "up")
    inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    for command in (
        f"link set {peer} name eth0",
        "link set lo up",
        f"addr add {layout.node_ip}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {layout.host_ip}",
    ):
        run(*inside, "ip", *command.split())
    for cidr in (layout.pod_cidr, layout.service_cidr):
        run("ip", "route", "add", cidr, "via", layout.node_ip)
    return holder


def delete_link(layout: Layout) -> None:
    """Remove the host's end, and with it its routes and the other end. Nothing to do is no error."""
    if link_exists(layout):
        subprocess.run(["ip", "link", "del", layout.link], capture_output=True, check=False)


def link_exists(layout: Layout) -> bool:
    """Whether the host's end is there."""
    return Path(f"/sys/class/net/{layout.link}").exists()


def refuse_overlap(layout: Layout) -> None:
    """Raise NetworkError if the host already routes one of the cluster's ranges somewhere."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "main") or "[]")
    for cidr in (layout.link_cidr, layout.pod_cidr, layout.service_cidr):
        if taken := overlapping(cidr, routes):
            raise NetworkError(
                f"{cidr} is taken by the route {taken['dst']} dev {taken.get('dev', '?')}: "
                "choose another --index"
            )


def overlapping(cidr: str, routes: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first of ``ip -json route``'s entries, but the default route, that overlaps ``cidr``."""
    wanted = ipaddress.ip_network(cidr)
    for route in routes:
        if route["dst"] != "default" and ipaddress.ip_network(route["dst"], strict=False).overlaps(wanted):
            return route
    return None


def run(*command: str) -> str:
    """Output of a command. Raises NetworkError with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _await_namespace(holder: Process) -> None:
    """The holder is still ``sh`` or ``unshare`` for a moment: wait until its namespace is not ours."""
    own = Path("/proc/self/ns/net").readlink()
    inside = Path(f"/proc/{holder.pid}/ns/net")
    wait_until(lambda: inside.readlink() != own, what="the network namespace", timeout=5, interval=0.005)
