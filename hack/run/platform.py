"""What kfx finds in the cluster: its kinds, its rights, its webhooks, a labelled namespace."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.run.commands import run_command
from hack.run.steps import Steps
from kfx.kube.client import Client
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource

HOST_PLACEHOLDER = "192.0.2.1"
INJECTION_LABEL = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
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


async def render(kubectl: Kubectl, folder: Path, *, replace: dict[str, str]) -> str:
    """The manifests of a kustomization, with every key of ``replace`` put in place of its value."""
    text = await kubectl(["kustomize", str(folder)])
    for placeholder, value in replace.items():
        text = text.replace(placeholder, value)
    return text


async def apply(kubectl: Kubectl, manifests: str) -> None:
    """Server-side apply; whoever applied the same fields before gives way."""
    words = ["apply", "--server-side", "--force-conflicts", "--field-manager=hack.run", "-f", "-"]
    await kubectl(words, stdin=manifests)


async def label_namespace(client: Client, name: str) -> None:
    """Make the namespace take part in Katib's pod injection; one that is not there is made."""
    metadata = {"name": name, "labels": INJECTION_LABEL}
    try:
        await client.patch(NAMESPACES, "", name, {"metadata": {"labels": INJECTION_LABEL}})
    except NotFound:
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await client.create(NAMESPACES, manifest)
