"""First process of a node's pid namespace: prepares its mounts, runs its services, collects orphans.

Run as a script with the path of its configuration; standard library only. The namespaces (pid, mount, uts and
the link's own) are there already. When this process ends, the kernel ends all others in them.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# containerd, libcni, iptables and the kubelet write below these, whatever their configuration says
COVERED = ("/run", "/var/lib", "/var/log")
POLL_SECONDS = 0.05
RESTART_SECONDS = 1.0


class Service:
    """One program, started when its file ``after`` exists and again a second after it ends."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def step(self) -> None:
        """Start the program if its time has come; note its end."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            print(f"{self._config['name']} ended with {code}", flush=True)
            self._process, self._not_before = None, time.monotonic() + RESTART_SECONDS
        after = self._config["after"]
        if time.monotonic() >= self._not_before and (not after or Path(after).exists()):
            with Path(self._config["log"]).open("ab") as log:
                self._process = subprocess.Popen(
                    self._config["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0


def prepare(config: dict[str, Any]) -> None:
    """Private scratch space, pretended kernel settings, forwarding between pods."""
    socket.sethostname(config["hostname"])
    kept = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in config["keep"]]
    for covered in COVERED:
        mount("-t", "tmpfs", "-o", "mode=755", "kfx", covered)
    for path, handle in kept:
        if not Path(path).exists():
            Path(path).mkdir(parents=True)
            mount("--bind", f"/proc/self/fd/{handle}", path, pass_fds=(handle,))
        os.close(handle)
    for folder in config["in_memory"]:
        mount("-t", "tmpfs", "kfx", folder)
    scratch = Path(tempfile.mkdtemp(dir="/run", prefix="kernel-settings-"))
    for name, value in config["kernel_settings"].items():
        pretended = scratch / name.replace("/", ".")
        pretended.write_text(f"{value}\n")
        mount("--bind", str(pretended), f"/proc/sys/{name}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def mount(*arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *arguments], check=True, pass_fds=pass_fds)


def reap_orphans(own: set[int]) -> None:
    """Collect processes that were handed to this one; a service's end is left for its own poll."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, 0)


def main() -> None:
    """Never returns by itself."""
    config = json.loads(Path(sys.argv[1]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    prepare(config)
    services = [Service(entry) for entry in config["services"]]
    while True:
        for service in services:
            service.step()
        reap_orphans({service.pid for service in services})
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
