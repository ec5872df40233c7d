"""kfx on this machine beside a throw-away cluster: ``make run`` without KUBECONFIG."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hack.cluster.layout import cache_dir
from hack.run.cluster import RunningCluster, check_machine, running_cluster
from hack.run.commands import run_command
from hack.run.controller import Controller, Ports, controller, kfx_command
from hack.run.experiment import submit
from hack.run.follow import follow
from hack.run.images import BuiltImages, build_images
from hack.run.options import Options
from hack.run.platform import Kubectl, apply, label_namespace, lead_to_host, render
from hack.run.report import display, last_word
from hack.run.steps import Steps
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials

USER_AGENT = "hack.run"


async def run_local(options: Options, manifest: dict[str, Any], steps: Steps) -> int:
    """Exit status: 0 if the Experiment succeeded. Raises :class:`hack.run.errors.RunError`."""
    check_machine()
    images = await build_images(steps)
    archives = [images.kfx.archive, images.trainer.archive]
    async with (
        running_cluster(steps, index=options.index, images=archives, keep=options.keep) as cluster,
        Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent=USER_AGENT) as client,
    ):
        command = await _prepare(cluster, client, images, manifest, steps)
        ports = Ports.of_cluster(options.index)
        log = cache_dir() / "run" / f"kfx-{options.index}.log"
        async with controller(command, log=log, ready_url=ports.ready_url) as kfx:
            with steps.step("kfx ready"):
                await kfx.wait_until_ready()
            steps.say(f"log     {log}")
            steps.say(f"metrics {ports.metrics_url}")
            status = await _watch(client, manifest, steps, cluster=cluster, kfx=kfx)
        if cluster.stays:
            steps.say(f"kfx is stopped; start it again with: {shlex.join(command)}")
            index = f" INDEX={options.index}" if options.index else ""
            steps.say(f"take the cluster down with: make cluster-down{index}")
        return status


async def _prepare(
    cluster: RunningCluster, client: Client, images: BuiltImages, manifest: dict[str, Any], steps: Steps
) -> list[str]:
    """Kinds, rights, webhooks, the label, a token; returns the command that starts kfx."""
    kubectl, ports = Kubectl(cluster.kubectl, cluster.kubeconfig, steps), Ports.of_cluster(cluster.index)
    token = cluster.folder / "kfx" / "kubeconfig"
    token.parent.mkdir(exist_ok=True)
    with steps.step("kinds, rights and webhooks"):
        manifests = await render(kubectl, Path("config/run"))
        await apply(kubectl, lead_to_host(manifests, address=cluster.host_ip, ports=ports.by_name))
        await label_namespace(client, manifest["metadata"]["namespace"])
        await run_command(cluster.token_command(token), say=steps.say)
    return kfx_command(
        kubeconfig=token,
        observations=cluster.folder / "kfx" / "observations.db",
        collector_image=images.kfx.reference,
        ports=ports,
    )


async def _watch(
    client: Client, manifest: dict[str, Any], steps: Steps, *, cluster: RunningCluster, kfx: Controller
) -> int:
    namespace, name = await submit(client, manifest)
    look = f"{cluster.kubectl} --kubeconfig {cluster.kubeconfig} -n {namespace}"
    steps.say(f"{look} get experiments,suggestions,trials,jobs,pods")
    hints = [] if cluster.stays else ["The cluster goes with this run; make run KEEP=1 keeps it for:"]
    hints += [f"{look} describe experiment {name}", f"{look} get trials"]
    hints.append(f"metrics, while kfx runs: {Ports.of_cluster(cluster.index).metrics_url}")
    return await watch(client, (namespace, name), steps, hints=hints, check=kfx.check)


async def watch(
    client: Client, key: tuple[str, str], steps: Steps, *, hints: list[str], check: Callable[[], None]
) -> int:
    """Show the Experiment until it ends; 0 if it succeeded. ``check`` raises when waiting makes no sense."""
    with display(steps.console) as shown:
        progress = await follow(client, key, shown, check=check)
    if progress is None:
        steps.say(f"Experiment {'/'.join(key)} was deleted before it ended")
        return 1
    last_word(steps.console, progress, hints=hints)
    return 0 if progress.ending == "Succeeded" else 1
