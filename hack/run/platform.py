"""What kfx finds in the cluster: its kinds, its rights, its webhooks, a labelled namespace."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.run.commands import run_command
from hack.run.steps import Steps
from kfx.katib.names import LABEL_INJECTION
from kfx.kube.client import Client
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource

Manifest = dict[str, Any]
INJECTION_LABEL = {LABEL_INJECTION: "enabled"}
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One kubectl for one cluster."""

    program: Path
    kubeconfig: Path
    steps: Steps

    async def __call__(self, words: Sequence[str], *, stdin: str = "") -> str:
        """Its standard output; raises :class:`hack.run.errors.RunError` with its last lines."""
        command: list[str | Path] = [self.program, "--kubeconfig", self.kubeconfig, *words]
        return await run_command(command, say=self.steps.say, stdin=stdin.encode())


async def render(kubectl: Kubectl, folder: Path) -> list[Manifest]:
    """The manifests of a kustomization."""
    return list(yaml.safe_load_all(await kubectl(["kustomize", str(folder)])))


def lead_to_host(manifests: Iterable[Manifest], *, address: str, ports: Mapping[str, int]) -> list[Manifest]:
    """The manifests with every EndpointSlice leading to ``address``, at the ``ports`` given by name."""
    return [
        {
            **manifest,
            "endpoints": [{**endpoint, "addresses": [address]} for endpoint in manifest["endpoints"]],
            "ports": [{**port, "port": ports.get(port["name"], port["port"])} for port in manifest["ports"]],
        }
        if manifest["kind"] == "EndpointSlice"
        else manifest
        for manifest in manifests
    ]


def replace_image(value: Any, old: str, new: str) -> Any:
    """The document with ``new`` for every text that is exactly ``old``: images, and what repeats one."""
    if isinstance(value, dict):
        return {key: replace_image(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_image(item, old, new) for item in value]
    return new if value == old else value


async def apply(kubectl: Kubectl, manifests: Sequence[Manifest]) -> None:
    """Server-side apply; whoever applied the same fields before gives way."""
    words = ["apply", "--server-side", "--force-conflicts", "--field-manager=hack.run", "-f", "-"]
    await kubectl(words, stdin=yaml.safe_dump_all(manifests))


async def label_namespace(client: Client, name: str) -> None:
    """Make the namespace take part in Katib's pod injection; one that is not there is made."""
    metadata = {"name": name, "labels": INJECTION_LABEL}
    try:
        await client.patch(NAMESPACES, "", name, {"metadata": {"labels": INJECTION_LABEL}})
    except NotFound:
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await client.create(NAMESPACES, manifest)
