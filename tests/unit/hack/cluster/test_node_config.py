"""Configuration of the node's parts."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from hack.cluster import node_config
from hack.cluster.layout import Layout

PROGRAMS = {name: Path("/bin") / name for name in ("kubelet", "kube-proxy", "coredns")}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(4, tmp_path)


def test_all_files_are_written_and_parse(layout: Layout) -> None:
    init = node_config.write_configs(
        layout, PROGRAMS, plugins=Path("/cni"), pause_image="kfx.local/pause:1", in_memory=True
    )
    folder = init.parent
    cri = tomllib.loads((folder / "containerd.toml").read_text())["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "kfx.local/pause:1"
    assert cri["cni"] == {"bin_dir": "/cni", "conf_dir": str(folder / "cni")}
    assert yaml.safe_load((folder / "kubelet.yaml").read_text())["cgroupRoot"] == "/kfx-4"
    assert yaml.safe_load((folder / "kube-proxy.yaml").read_text())["clusterCIDR"] == "10.78.4.0/24"
    network = json.loads((folder / "cni" / "10-kfx.conflist").read_text())
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.78.4.0/24"}]]
    assert (folder / "Corefile").read_text().count("bind 10.77.4.2") == 2
    assert json.loads(init.read_text())["in_memory"] == [str(folder / "containerd")]


def test_only_containerd_starts_before_the_api_server_answers(layout: Layout) -> None:
    services = node_config.init_config(layout, PROGRAMS, in_memory=False)["services"]
    begin = {service["name"]: service["after"] for service in services}
    go_ahead = str(node_config.go_ahead_file(layout))
    assert begin == {"containerd": "", "kubelet": go_ahead, "kube-proxy": go_ahead, "coredns": go_ahead}


@pytest.mark.parametrize(
    ("choice", "available", "expected"),
    [
        ("auto", "MemAvailable:    9000000 kB", True),
        ("auto", "MemAvailable:    8000000 kB", False),
        ("auto", "", False),
        ("memory", "", True),
        ("disk", "MemAvailable:    9000000 kB", False),
    ],
)
def test_images_go_to_memory_where_there_is_enough(choice: str, available: str, expected: bool) -> None:
    meminfo = f"MemTotal:  10000000 kB\n{available}\n"
    assert node_config.image_store_in_memory(choice, meminfo) is expected


def test_a_folder_counts_only_with_every_plugin(tmp_path: Path) -> None:
    partial, whole = tmp_path / "partial", tmp_path / "whole"
    for folder, names in ((partial, node_config.CNI_PLUGINS[1:]), (whole, node_config.CNI_PLUGINS)):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    assert node_config.cni_folder([tmp_path / "none", partial]) is None
    assert node_config.cni_folder([partial, whole]) == whole
