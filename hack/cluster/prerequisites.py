"""What a cluster needs of the machine: looked at, installed where it can be, else named with its remedy."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import cgroups, node_config
from hack.cluster.binaries import say

# program (or file) to the Debian package that brings it
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "gcc": "gcc",
}
LINK_PROGRAMS = ("ip", "nsenter", "unshare")
CNI_PACKAGE = "containernetworking-plugins"
POLICY = Path("/usr/sbin/policy-rc.d")


class Missing(Exception):
    """Something is missing and was not installed; one line for each thing."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One missing thing and its remedy; ``package`` is the Debian package that ends it, if one does."""

    what: str
    remedy: str
    package: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


def can_link() -> bool:
    """Whether this process may make network namespaces and links."""
    return is_root() and namespaces_allowed("--net")


def namespaces_allowed(*kinds: str) -> bool:
    """Whether the kernel lets this process make namespaces of these kinds (options of unshare)."""
    if not shutil.which("unshare"):
        return False
    done = subprocess.run(["unshare", *kinds, "--fork", "true"], capture_output=True, check=False)
    return done.returncode == 0


def check(*, node: bool, which: Callable[[str], str | None] = shutil.which) -> list[Lack]:
    """What the control plane (of root: with its link), or a node as well, lacks on this machine."""
    if not node:
        return _lacking_programs(LINK_PROGRAMS, which) if is_root() else []
    lacks = []
    if not is_root():
        lacks.append(Lack("root", "run as root; a node makes namespaces, mounts, links and cgroups"))
    lacks += _lacking_programs(PROGRAMS, which)
    if node_config.cni_folder() is None:
        lacks.append(Lack("the CNI plugins", f"apt-get install {CNI_PACKAGE}", CNI_PACKAGE))
    if is_root() and which("unshare") and not namespaces_allowed("--net", "--mount", "--pid", "--uts"):
        lacks.append(
            Lack("namespaces", "the kernel refuses them (CAP_SYS_ADMIN): use a machine or VM of your own")
        )
    if is_root() and not os.access(cgroups.ROOT, os.W_OK):
        lacks.append(Lack("cgroups", f"{cgroups.ROOT} must be mounted and writable"))
    return lacks


def _lacking_programs(names: Iterable[str], which: Callable[[str], str | None]) -> list[Lack]:
    lacks = {}
    for name in names:
        package = PROGRAMS[name]
        if which(name) is None and package not in lacks:
            lacks[package] = Lack(f"the program {name}", f"apt-get install {package}", package)
    return list(lacks.values())


def ensure(*, node: bool) -> None:
    """Install what Debian packages can end; raise Missing with every remaining lack."""
    lacks = check(node=node)
    packages = sorted({lack.package for lack in lacks if lack.package})
    if packages and is_root() and shutil.which("apt-get"):
        _install(packages)
        lacks = check(node=node)
    if lacks:
        raise Missing("missing: " + "\nmissing: ".join(map(str, lacks)))


def _install(packages: Sequence[str]) -> None:
    """Install without starting anything: the cluster runs its own containerd, not the system's."""
    say(f"installing Debian packages: {' '.join(packages)} …")
    began = time.monotonic()
    with _services_held_back():
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", "-qq", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise Missing(f"apt-get install {' '.join(packages)} failed:\n{done.stderr.strip()[-2000:]}")
    if "containerd" in packages and shutil.which("systemctl"):
        command = ["systemctl", "disable", "--now", "--quiet", "containerd.service"]
        subprocess.run(command, capture_output=True, check=False)
    say(f"installed in {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def _services_held_back() -> Iterator[None]:
    """Debian asks policy-rc.d before it starts a service; a policy of the machine's own is left as it is."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
