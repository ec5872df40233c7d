"""Every address and name of a cluster comes from its index, and no two clusters share one."""

from pathlib import Path

import pytest

from hack.cluster.layout import HIGHEST_INDEX, Layout, cache_dir

CACHE = Path("/cache")
SHARED = {"index", "cache", "linked"}


def facts(layout: Layout) -> dict[str, object]:
    names = [name for name in dir(layout) if not name.startswith("_")]
    return {name: getattr(layout, name) for name in names if name not in SHARED}


def test_two_clusters_share_nothing() -> None:
    first, second = facts(Layout(0, CACHE)), facts(Layout(1, CACHE))
    assert len(first) > 20
    assert [name for name in first if first[name] == second[name]] == []


def test_the_users_cluster_has_the_lowest_addresses() -> None:
    layout = Layout(0, CACHE)
    assert layout.host_ip == "10.77.0.1"
    assert layout.api_server == "https://10.77.0.1:7443"
    assert (layout.pod_cidr, layout.service_cidr) == ("10.78.0.0/24", "10.79.0.0/24")
    assert layout.kubeconfig == CACHE / "cluster-0" / "kubeconfig"


def test_without_a_link_the_api_server_is_on_loopback() -> None:
    assert Layout(3, CACHE, linked=False).api_server == "https://127.77.3.1:7443"


@pytest.mark.parametrize("index", [-1, HIGHEST_INDEX + 1])
def test_an_index_without_addresses_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="--index"):
        Layout(index, CACHE)


def test_the_name_of_a_link_fits_the_kernels_15_bytes() -> None:
    assert len(f"{Layout(HIGHEST_INDEX, CACHE).link}-p") <= 15


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KFX_CACHE": "/a"}, "/a"),
        ({"KFX_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/kfx"),
        ({"HOME": "/h"}, "/h/.cache/kfx"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("KFX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)
