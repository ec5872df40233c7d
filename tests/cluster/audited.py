"""A control plane that writes down each request."""

from collections.abc import Iterator

from hack.cluster import lifecycle
from hack.cluster.layout import Layout
from tests.cluster.conftest import own_layout


def audited_cluster() -> Iterator[Layout]:
    """To be made a module's fixture ``cluster``."""
    layout = own_layout()
    options = lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False, audit=True)
    lifecycle.up(layout, options)
    try:
        yield layout
    finally:
        lifecycle.down(layout)
