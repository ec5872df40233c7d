"""Katib's own kinds on a server that has just started."""

import asyncio
from contextlib import suppress
from pathlib import Path

import yaml

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, NotFound
from kfx.kube.resource import Resource

NAMESPACE = "default"
CRDS = Path(__file__).resolve().parents[2] / "config" / "crd" / "bases"
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
KATIB = (Experiment, Suggestion, Trial)


async def install_crds(client: Client) -> None:
    """Katib's three, served on return; those that are there stay."""
    for path in sorted(CRDS.glob("*.yaml")):
        with suppress(AlreadyExists):
            await client.create(DEFINITIONS, yaml.safe_load(path.read_text()))
    for kind in KATIB:
        await served(client, kind.resource)


async def served(client: Client, resource: Resource) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.request("GET", resource.path(NAMESPACE))
            except NotFound:
                await asyncio.sleep(0.1)
            else:
                return
