"""The throw-away cluster of a run: up before, down after, unless it was there already or shall stay."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import lifecycle, prerequisites
from hack.cluster.layout import Layout, cache_dir
from hack.run.commands import run_command
from hack.run.errors import RunError
from hack.run.steps import Steps

OFFER = "Or run it on a cluster of yours: make run KUBECONFIG=… IMG=…"


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """Where things are; ``folder`` goes with the cluster. ``stays`` says whether it outlives the run."""

    kubeconfig: Path
    host_ip: str
    kubectl: Path
    folder: Path
    index: int
    stays: bool

    def token_command(self, out: Path) -> list[str | Path]:
        """Writes a kubeconfig for kfx's ServiceAccount; a kept cluster outlives the run, hence the week."""
        account = ["--namespace", "kubeflow", "--serviceaccount", "katib-controller"]
        return [*command("token-kubeconfig", self.index), *account, "--duration", "168h", "--out", out]


def command(name: str, index: int) -> list[str | Path]:
    """The start of a command line of the clusters' own programme."""
    return [sys.executable, "-m", "hack.cluster.cluster", name, "--index", str(index)]


def check_machine() -> None:
    """Raises :class:`RunError` with all that is missing and cannot be installed here."""
    lacks = prerequisites.check(node=True)
    installable = prerequisites.is_root() and shutil.which("apt-get") is not None
    if any(not (lack.package and installable) for lack in lacks):
        missing = "\n".join(f"  {lack}" for lack in lacks)
        raise RunError(f"This machine cannot run a node:\n{missing}\n{OFFER}")


@asynccontextmanager
async def running_cluster(
    steps: Steps, *, index: int, images: Sequence[Path], keep: bool
) -> AsyncIterator[RunningCluster]:
    """A cluster with a node that has ``images``. Left as found: one that was up stays up."""
    layout = Layout(index, cache_dir())
    stays = is_up(layout) or keep
    try:
        with steps.step("cluster with one node"):
            words = [word for image in images for word in ("--image", str(image))]
            await run_command([*command("up", index), "--flavour", "node", *words], say=steps.say)
            if stays:
                await run_command([*command("load", index), *images], say=steps.say)
        facts = parse_assignments(await run_command(command("env", index), say=steps.say))
        yield _described(facts, layout=layout, stays=stays)
    finally:
        if not stays:
            with steps.step("cluster down"):
                _take_down(steps, index=index)


def _take_down(steps: Steps, *, index: int) -> None:
    """Blocks, a second at most, so that no second Ctrl-C can interrupt it."""
    done = subprocess.run(
        command("down", index), capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        steps.say(done.stderr.strip())


def is_up(layout: Layout) -> bool:
    """Whether every part of a cluster of this layout runs."""
    options = lifecycle.load_options(layout.folder)
    return options is not None and all(part.running for part in lifecycle.states(layout, options))


def parse_assignments(text: str) -> dict[str, str]:
    """Shell assignments, ``NAME=value`` with the value quoted where it needs to be."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def _described(facts: Mapping[str, str], *, layout: Layout, stays: bool) -> RunningCluster:
    return RunningCluster(
        kubeconfig=Path(facts["KFX_KUBECONFIG"]),
        host_ip=facts["KFX_HOST_IP"],
        kubectl=Path(facts["KFX_KUBECTL"]),
        folder=layout.folder,
        index=layout.index,
        stays=stays,
    )
