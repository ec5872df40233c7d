"""A control plane for each module that asks for one."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from tests.cluster.crds import install_crds
from tests.cluster.fault_rig import Rig, rigged
from tests.cluster.katib import Platform, working
from tests.cluster.site import (
    Answer,
    Ask,
    ask,
    install_definitions,
    install_webhooks,
    label,
    lead,
    remove_webhooks,
)


def own_layout() -> Layout:
    """Of a cluster on addresses that no other run has."""
    return Layout(100 + os.getpid() % 150, cache_dir(), linked=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Layout]:
    """etcd, kube-apiserver and kube-controller-manager on addresses that no other run has."""
    layout = own_layout()
    lifecycle.up(layout, lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False))
    try:
        yield layout
    finally:
        lifecycle.down(layout)


@pytest.fixture
async def client(cluster: Layout) -> AsyncIterator[Client]:
    """Its administrator."""
    async with Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="test") as client:
        yield client


@pytest.fixture
def kfx(cluster: Layout) -> Ask:
    """kfx as its administrator calls it."""

    async def call(*words: str) -> Answer:
        answer = await ask(cluster.kubeconfig, *words)
        assert "Traceback" not in answer.err
        return answer

    return call


@pytest.fixture
def credentials(cluster: Layout) -> Credentials:
    """Those of its administrator."""
    return load_credentials(str(cluster.kubeconfig))


@pytest.fixture
async def rig(credentials: Credentials) -> AsyncIterator[Rig]:
    """A cache and a client behind a proxy of faults."""
    async with rigged(credentials) as rig:
        yield rig


@pytest.fixture
async def site(client: Client) -> AsyncIterator[Client]:
    """Katib is installed, its webhooks are in place, the namespace is labelled, somebody leads."""
    await install_definitions(client)
    await install_webhooks(client)
    await label(client, "enabled")
    await lead(client)
    yield client
    await remove_webhooks(client)


@pytest.fixture
async def katib(client: Client) -> Client:
    """An API server that knows Katib's kinds, without webhooks; a module may ask for more."""
    await install_crds(client)
    return client


@pytest.fixture
async def platform(katib: Client, credentials: Credentials, tmp_path: Path) -> AsyncIterator[Platform]:
    """The process at work there."""
    async with working(katib, credentials, tmp_path) as platform:
        yield platform
