"""A real platform for the end-to-end tests: a cluster with a node, the images, and kfx on the host."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from hack.run.cluster import parse_assignments
from hack.run.controller import Ports, kfx_command
from hack.run.images import BuiltImages, build_images
from hack.run.platform import Kubectl, apply, lead_to_host, render
from hack.run.steps import Steps

INDEX = "1"
PORTS = Ports.of_cluster(int(INDEX))
NAMESPACE = "default"
_CLUSTER = (sys.executable, "-m", "hack.cluster.cluster")


def run(*words: str | Path) -> str:
    """Standard output of a command that ended well."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for(what: str, condition: Callable[[], Any], *, timeout: float) -> Any:
    """The first true answer of ``condition``; fails after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:.0f} s"
        time.sleep(0.2)
    return found


@dataclass
class Platform:
    """The cluster's addresses, and kfx's process while it runs."""

    facts: Mapping[str, str]
    images: BuiltImages
    folder: Path
    replicas: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "kfx.log"

    def kubectl(self, *words: str, stdin: str = "", status: int = 0) -> str:
        """What kubectl prints, errors included, once it ended with ``status``."""
        command = [self.facts["KFX_KUBECTL"], "--kubeconfig", self.facts["KFX_KUBECONFIG"], *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def get(self, kind: str, name: str = "", *, selector: str = "", namespace: str = NAMESPACE) -> Any:
        """One object, None if it is not there; without a name the list of those that ``selector`` picks."""
        words = [name] if name else ["-l", selector] if selector else []
        text = self.kubectl("-n", namespace, "get", kind, *words, "-o", "json", "--ignore-not-found")
        if not text.strip():
            return None if name else []
        found = json.loads(text)
        return found if name else found["items"]

    def create(self, manifest: Mapping[str, Any]) -> str:
        """The name of what was created."""
        words = ("create", "-f", "-", "-o", "jsonpath={.metadata.name}")
        return self.kubectl("-n", NAMESPACE, *words, stdin=yaml.safe_dump(manifest))

    def start_kfx(self, *flags: str, ports: Ports = PORTS) -> subprocess.Popen[bytes]:
        """Start a kfx and return at once."""
        command = kfx_command(
            kubeconfig=self.folder / "kubeconfig",
            observations=self.folder / "observations.db",
            collector_image=self.images.kfx.reference,
            ports=ports,
        )
        with self.log.open("ab") as log:
            process = subprocess.Popen([*command, *flags], stdout=log, stderr=subprocess.STDOUT)
        self.replicas.append(process)
        return process

    def wait_until_ready(self, ports: Ports = PORTS, *, timeout: float = 60) -> None:
        """Return once /readyz says yes; fails at once if a replica has ended."""

        def look() -> bool:
            ended = [replica.poll() for replica in self.replicas if replica.poll() is not None]
            assert not ended, f"kfx ended with status {ended}:\n{self.log.read_text()[-3000:]}"
            return _is_ready(ports)

        wait_for(f"readiness (log: {self.log})", look, timeout=timeout)

    def ended(self, experiment: str, *, timeout: float) -> Any:
        """The Experiment, once it has a condition Succeeded or Failed that is True."""

        def look() -> Any:
            found = self.get("experiment", experiment)
            return found if ending(found) else None

        return wait_for(f"the end of {experiment} (log: {self.log})", look, timeout=timeout)


def ending(experiment: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The condition that ended the Experiment."""
    conditions = experiment.get("status", {}).get("conditions", [])
    return next(
        (c for c in conditions if c["status"] == "True" and c["type"] in {"Succeeded", "Failed"}), None
    )


def _is_ready(ports: Ports) -> bool:
    try:
        with urllib.request.urlopen(ports.ready_url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running_platform(folder: Path) -> Iterator[Platform]:
    """Everything but kfx itself; in the end nothing of it is left."""
    steps = Steps(Console(stderr=True))
    images = asyncio.run(build_images(steps))
    archives = [word for image in (images.kfx, images.trainer) for word in ("--image", image.archive)]
    try:
        run(*_CLUSTER, "up", "--index", INDEX, "--flavour", "node", *archives)
        facts = parse_assignments(run(*_CLUSTER, "env", "--index", INDEX))
        platform = Platform(facts, images, folder)
        asyncio.run(_install(platform, steps))
        yield platform
    finally:
        run(*_CLUSTER, "down", "--index", INDEX)


async def _install(platform: Platform, steps: Steps) -> None:
    kubectl = Kubectl(Path(platform.facts["KFX_KUBECTL"]), Path(platform.facts["KFX_KUBECONFIG"]), steps)
    manifests = await render(kubectl, Path("config/run"))
    await apply(kubectl, lead_to_host(manifests, address=platform.facts["KFX_HOST_IP"], ports=PORTS.by_name))
    label = "katib.kubeflow.org/metrics-collector-injection=enabled"
    await kubectl(["label", "--overwrite", "namespace", NAMESPACE, label])
    account = ("--namespace", "kubeflow", "--serviceaccount", "katib-controller")
    run(*_CLUSTER, "token-kubeconfig", "--index", INDEX, *account, "--out", platform.folder / "kubeconfig")


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """SIGTERM to all; their exit statuses, which must come within 30 s."""
    for process in processes:
        process.terminate()
    return [process.wait(timeout=30) for process in processes]
