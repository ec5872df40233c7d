"""What is missing is named with its remedy, each thing once."""

from pathlib import Path

import pytest

from hack.cluster import cgroups, node_config, prerequisites
from hack.cluster.prerequisites import Lack, Missing


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prerequisites, "is_root", lambda: True)
    monkeypatch.setattr(prerequisites, "namespaces_allowed", lambda *_: True)
    monkeypatch.setattr(node_config, "cni_folder", lambda: Path("/cni"))
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)


def found(name: str) -> str:
    return f"/usr/bin/{name}"


@pytest.mark.usefixtures("root")
def test_a_machine_with_everything_lacks_nothing() -> None:
    assert prerequisites.check(node=True, which=found) == []


@pytest.mark.usefixtures("root")
def test_each_package_is_named_once() -> None:
    lacks = prerequisites.check(node=True, which=lambda _: None)
    packages = [lack.package for lack in lacks]
    assert sorted(packages) == sorted(set(prerequisites.PROGRAMS.values()))
    assert "apt-get install containerd" in str(lacks[0])


@pytest.mark.usefixtures("root")
def test_what_no_package_brings_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "namespaces_allowed", lambda *_: False)
    monkeypatch.setattr(node_config, "cni_folder", lambda: None)
    monkeypatch.setattr(cgroups, "ROOT", Path("/no/such/folder"))
    lacks = prerequisites.check(node=True, which=found)
    assert [lack.what for lack in lacks] == ["the CNI plugins", "namespaces", "cgroups"]


def test_without_root_a_node_is_out_of_reach_but_a_control_plane_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prerequisites, "is_root", lambda: False)
    assert prerequisites.check(node=True, which=found)[0].what == "root"
    assert prerequisites.check(node=False, which=lambda _: None) == []
    assert prerequisites.can_link() is False


def test_what_cannot_be_installed_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    lack = Lack("root", "run as root")
    monkeypatch.setattr(prerequisites, "check", lambda *, node: [lack] if node else [])
    with pytest.raises(Missing, match="missing: root: run as root"):
        prerequisites.ensure(node=True)
    prerequisites.ensure(node=False)
