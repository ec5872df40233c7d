"""A cluster does not take address ranges that the host routes elsewhere."""

from pathlib import Path

import pytest

from hack.cluster import network
from hack.cluster.layout import Layout

ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "192.0.2.0/24", "dev": "eth0"},
    {"dst": "10.79.0.0/16", "dev": "tun0"},
    {"dst": "10.77.4.9", "dev": "wg0"},
]


@pytest.mark.parametrize(
    ("cidr", "device"),
    [("10.79.3.0/24", "tun0"), ("10.77.4.0/24", "wg0"), ("10.77.5.0/24", None), ("10.78.3.0/24", None)],
)
def test_an_overlap_is_found_but_the_default_route_is_none(cidr: str, device: str | None) -> None:
    found = network.overlapping(cidr, ROUTES)
    assert (found["dev"] if found else None) == device


def test_a_taken_range_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "run", lambda *_: '[{"dst": "10.78.0.0/15", "dev": "vpn0"}]')
    with pytest.raises(
        network.NetworkError, match=r"10\.78\.6\.0/24 is taken .* vpn0: choose another --index"
    ):
        network.refuse_overlap(Layout(6, Path("/cache")))


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(network.NetworkError, match="sh -c echo broken >&2; exit 3: broken"):
        network.run("sh", "-c", "echo broken >&2; exit 3")
