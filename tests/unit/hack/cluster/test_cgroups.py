"""Cgroups of both versions, on folders that look like theirs."""

from pathlib import Path

import pytest

from hack.cluster import cgroups


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for name in ("cpu", "memory", "cpuset", "systemd", "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    (tmp_path / "unified" / "cgroup.controllers").write_text("")
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    for group in (tmp_path, tmp_path / "kfx-0"):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        (group / "cgroup.subtree_control").write_text("cpuset cpu memory pids\n")
    return tmp_path


def test_the_version_is_seen(v1: Path) -> None:
    assert cgroups.version(v1) == 1


def test_version_1_gets_a_group_in_every_hierarchy_with_usable_cores(v1: Path) -> None:
    cgroups.create("kfx-0", v1)
    assert {path.parent.name for path in v1.glob("*/kfx-0")} == {
        "cpu",
        "memory",
        "cpuset",
        "systemd",
        "cpu,cpuacct",
    }
    assert (v1 / "cpuset" / "kfx-0" / "cpuset.cpus").read_text() == "0-1\n"
    assert cgroups.exists("kfx-0", v1)


def test_removal_takes_nested_groups_and_those_the_kubelet_made_elsewhere(v1: Path) -> None:
    (v1 / "memory" / "kfx-0" / "kubepods" / "pod1").mkdir(parents=True)
    (v1 / "unified" / "kfx-0").mkdir()
    (v1 / "memory" / "kfx-1").mkdir()
    cgroups.remove("kfx-0", v1)
    assert not cgroups.exists("kfx-0", v1)
    assert cgroups.exists("kfx-1", v1)


def test_a_group_that_cannot_go_is_named(v1: Path) -> None:
    (v1 / "cpu" / "kfx-0").mkdir()
    (v1 / "cpu" / "kfx-0" / "stuck").write_text("")
    with pytest.raises(cgroups.CgroupError, match="cpu/kfx-0"):
        cgroups.remove("kfx-0", v1, timeout=0)


def test_version_2_has_one_group_that_hands_its_controllers_on(v2: Path) -> None:
    assert cgroups.version(v2) == 2
    (v2 / "cgroup.subtree_control").write_text("cpuset memory pids\n")
    cgroups.create("kfx-0", v2)
    assert (v2 / "cgroup.subtree_control").read_text() == "+cpu"
    assert cgroups.hierarchies(v2) == [v2]


def test_a_missing_controller_of_version_2_is_named(v2: Path) -> None:
    (v2 / "cgroup.controllers").write_text("cpu pids\n")
    with pytest.raises(cgroups.CgroupError, match="no cgroup controller memory"):
        cgroups.create("kfx-0", v2)
