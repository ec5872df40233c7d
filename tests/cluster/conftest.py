"""A control plane for each module that asks for one."""

import os
from collections.abc import Iterator

import pytest

from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir


@pytest.fixture(scope="module")
def cluster() -> Iterator[Layout]:
    """etcd, kube-apiserver and kube-controller-manager on addresses that no other run has."""
    layout = Layout(100 + os.getpid() % 150, cache_dir(), linked=False)
    lifecycle.up(layout, lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False))
    try:
        yield layout
    finally:
        lifecycle.down(layout)
