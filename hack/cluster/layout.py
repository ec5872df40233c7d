"""Every name, address, port and folder of a cluster, derived from its index.

Index 0 is the user's cluster, tests take others. Two clusters share nothing but the built binaries.
Pure: nothing here looks at the machine, except for the environment variables that place the cache.
"""

import os
from dataclasses import dataclass
from pathlib import Path

HIGHEST_INDEX = 255
API_PORT = 7443
ETCD_PORT, ETCD_PEER_PORT = 7379, 7380
CONTROLLER_MANAGER_PORT, SCHEDULER_PORT = 7257, 7259


def cache_dir() -> Path:
    """``$KFX_CACHE``, else ``kfx`` under the user's cache folder; absolute, not created."""
    if own := os.environ.get("KFX_CACHE"):
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "kfx"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cluster number ``index`` lives. ``linked`` is false without root: loopback addresses only."""

    index: int
    cache: Path
    linked: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.index <= HIGHEST_INDEX:
            raise ValueError(f"--index {self.index}: must be between 0 and {HIGHEST_INDEX}")

    @property
    def name(self) -> str:
        """Name of the cluster, of its cgroup and of its link."""
        return f"kfx-{self.index}"

    @property
    def folder(self) -> Path:
        return self.cache / f"cluster-{self.index}"

    @property
    def lock_file(self) -> Path:
        return self.cache / f"cluster-{self.index}.lock"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def records(self) -> Path:
        """One file for each process that was started."""
        return self.folder / "processes"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def loopback(self) -> str:
        """Where the parts that only talk to each other listen: a loopback address of the cluster's own."""
        return f"127.77.{self.index}.1"

    @property
    def host_ip(self) -> str:
        """The host's end of the link: of the API server, and of what pods and webhooks shall reach."""
        return f"10.77.{self.index}.1" if self.linked else self.loopback

    @property
    def node_ip(self) -> str:
        return f"10.77.{self.index}.2"

    @property
    def node_name(self) -> str:
        return f"{self.name}-node"

    @property
    def link_cidr(self) -> str:
        return f"10.77.{self.index}.0/24"

    @property
    def pod_cidr(self) -> str:
        return f"10.78.{self.index}.0/24"

    @property
    def service_cidr(self) -> str:
        return f"10.79.{self.index}.0/24"

    @property
    def api_service_ip(self) -> str:
        return f"10.79.{self.index}.1"

    @property
    def dns_service_ip(self) -> str:
        return f"10.79.{self.index}.10"

    @property
    def api_server(self) -> str:
        return f"https://{self.host_ip}:{API_PORT}"

    @property
    def etcd(self) -> str:
        return f"http://{self.loopback}:{ETCD_PORT}"

    @property
    def cgroup(self) -> str:
        """Parent of everything the node's kubelet runs, relative to the root of each hierarchy."""
        return self.name

    @property
    def link(self) -> str:
        """The host's end of the veth pair."""
        return self.name
