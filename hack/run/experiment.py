"""From a file to an object in the cluster."""

import asyncio
from pathlib import Path
from typing import Any

import yaml

from hack.run.errors import RunError
from kfx.apis.common import API_VERSION
from kfx.apis.experiment import Experiment
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, ServerError

WEBHOOK_PATIENCE = 10.0  # seconds until the API server has learnt of a new certificate
_DENIED = "denied the request: "


def read_experiment(path: Path) -> dict[str, Any]:
    """The manifest in ``path``, its namespace filled in. Raises :class:`RunError` with status 2."""
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d is not None]
    except OSError as error:
        raise RunError(
            f"EXPERIMENT={path}: {error.strerror}; name a file with one Experiment", status=2
        ) from None
    except yaml.YAMLError as error:
        raise RunError(f"EXPERIMENT={path} is not YAML: {error}", status=2) from None
    return check_manifest(documents, origin=f"EXPERIMENT={path}")


def check_manifest(documents: list[Any], *, origin: str) -> dict[str, Any]:
    """The one Experiment among ``documents``; ``origin`` is named in the :class:`RunError`."""
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise RunError(
            f"{origin} must hold exactly one document, an Experiment; found {len(documents)}", status=2
        )
    manifest: dict[str, Any] = documents[0]
    if (manifest.get("apiVersion"), manifest.get("kind")) != (API_VERSION, "Experiment"):
        found = f"{manifest.get('kind')} of {manifest.get('apiVersion')}"
        raise RunError(f"{origin} must hold an Experiment of {API_VERSION}; found {found}", status=2)
    metadata = manifest.setdefault("metadata", {}) or {}
    if not metadata.get("name") and not metadata.get("generateName"):
        raise RunError(f"{origin} needs metadata.name or metadata.generateName", status=2)
    return {**manifest, "metadata": {"namespace": "default", **metadata}}


async def submit(client: Client, manifest: dict[str, Any]) -> tuple[str, str]:
    """Namespace and name of the created Experiment. Raises :class:`RunError` with the words of a denial."""
    namespace = manifest["metadata"]["namespace"]
    deadline = asyncio.get_running_loop().time() + WEBHOOK_PATIENCE
    while True:
        try:
            made = await client.create(Experiment.resource, manifest, namespace=namespace)
        except ApiError as error:
            if not _is_passing(error) or asyncio.get_running_loop().time() > deadline:
                raise RunError(refusal(error, manifest)) from None
            await asyncio.sleep(0.2)
        else:
            return namespace, made["metadata"]["name"]


def _is_passing(error: ApiError) -> bool:
    """Whether the API server could not reach the webhook, rather than being refused by it."""
    return isinstance(error, ServerError) and "failed calling webhook" in error.message


def refusal(error: ApiError, manifest: dict[str, Any]) -> str:
    """What a user can do with the API server's no."""
    metadata = manifest["metadata"]
    name = f"{metadata['namespace']}/{metadata.get('name') or metadata.get('generateName')}"
    if isinstance(error, AlreadyExists):
        return (
            f"Experiment {name} exists already: delete it (kubectl delete experiment "
            f"-n {metadata['namespace']} {metadata.get('name')}), or give yours metadata.generateName "
            "instead of metadata.name."
        )
    _, denied, reason = error.message.partition(_DENIED)
    said = reason if denied else error.message
    return f"Experiment {name} was refused at admission:\n{said}" if denied else f"Experiment {name}: {said}"
