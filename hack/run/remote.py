"""kfx inside a cluster of the user's: ``make run KUBECONFIG=… IMG=…``. What is installed stays."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from hack.run.errors import RunError
from hack.run.experiment import submit
from hack.run.images import TRAINER
from hack.run.local import USER_AGENT, watch
from hack.run.options import Options
from hack.run.platform import Kubectl, apply, label_namespace, render, replace_image
from hack.run.steps import Steps
from kfx import __version__
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.resource import Resource

RELEASE_IMAGE = f"ghcr.io/kubeflow/kfx:v{__version__}"
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
AVAILABLE_TIMEOUT = 180.0  # seconds; the image has to be pulled


async def run_remote(options: Options, manifest: dict[str, Any], steps: Steps) -> int:
    """Exit status: 0 if the Experiment succeeded. Raises :class:`hack.run.errors.RunError`."""
    program = shutil.which("kubectl")
    if program is None:
        raise RunError(
            "`make run KUBECONFIG=…` needs kubectl on PATH; install it, or `make cluster-up` builds one"
        )
    kubectl = Kubectl(Path(program), Path(options.kubeconfig), steps)
    if options.trainer_image:
        manifest = replace_image(manifest, TRAINER, options.trainer_image)
    async with Client.connect(load_credentials(options.kubeconfig), user_agent=USER_AGENT) as client:
        with steps.step(f"kfx {options.image} in namespace kubeflow"):
            manifests = await render(kubectl, Path("config/default"))
            await apply(kubectl, replace_image(manifests, RELEASE_IMAGE, options.image))
            await label_namespace(client, manifest["metadata"]["namespace"])
            await _wait_until_available(client)
        namespace, name = await submit(client, manifest)
        look = f"kubectl --kubeconfig {options.kubeconfig}"
        hints = [
            f"{look} -n {namespace} describe experiment {name}",
            f"{look} -n kubeflow logs deployment/katib-controller",
            f"remove kfx: kubectl kustomize config/default | {look} delete -f -",
        ]
        return await watch(client, (namespace, name), steps, hints=hints, check=lambda: None)


async def _wait_until_available(client: Client) -> None:
    """Return once the Deployment's latest generation is available; :class:`RunError` after three minutes."""
    said = "nothing yet"
    try:
        async with asyncio.timeout(AVAILABLE_TIMEOUT):
            while said:
                document = await client.get_document(DEPLOYMENTS, "kubeflow", "katib-controller")
                said = unavailability(document)
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise RunError(
            f"Deployment kubeflow/katib-controller is not available after {AVAILABLE_TIMEOUT:.0f} s "
            f"({said}); "
            "kubectl -n kubeflow describe pod -l katib.kubeflow.org/component=controller tells why"
        ) from None


def unavailability(deployment: dict[str, Any]) -> str:
    """Why the Deployment does not serve its latest generation; ``""`` if it does."""
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "its last change is not seen yet"
    if status.get("updatedReplicas", 0) < deployment["spec"].get("replicas", 1):
        return "its pod is not made yet"
    conditions = [c for c in status.get("conditions", []) if c["type"] == "Available"]
    if not conditions or conditions[0]["status"] != "True" or status.get("unavailableReplicas", 0):
        return conditions[0].get("message", "its pod is not ready") if conditions else "its pod is not ready"
    return ""
