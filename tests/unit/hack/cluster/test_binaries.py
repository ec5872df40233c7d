"""Where the cluster's binaries come from, without building one."""

from pathlib import Path

import pytest

from hack.cluster import binaries
from hack.cluster.binaries import CONTROL_PLANE, NODE, BuildError, Tool
from hack.registry import find_registry


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that writes its arguments into what it makes, first on PATH."""
    lines = [
        'if [ "$1" = env ]; then echo go1.26.8; exit; fi',
        'for word; do if [ "$previous" = -o ]; then out=$word; fi; previous=$word; done',
        'echo "$@" > "$out"',
    ]
    compiler = program(tmp_path / "path" / "go", "\n".join(lines))
    monkeypatch.setenv("PATH", f"{compiler.parent}:/usr/bin:/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return compiler


def test_what_is_missing_is_built_once(go: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    found = binaries.find(NODE, cache)
    assert set(found) == {tool.name for tool in NODE}
    assert "building kube-apiserver (2 of 8, about 4 min" in capsys.readouterr().err
    assert binaries.find(NODE, cache) == found
    assert capsys.readouterr().err == ""


def test_kubernetes_learns_its_pinned_version(go: Path, tmp_path: Path) -> None:
    built = binaries.find(CONTROL_PLANE, tmp_path / "cache")["kube-apiserver"].read_text()
    assert "gitVersion=v1.36.3" in built
    assert "gitMinor=36" in built


def test_another_compiler_builds_into_another_folder(go: Path, tmp_path: Path) -> None:
    before = binaries.find(CONTROL_PLANE[:1], tmp_path / "cache")
    go.write_text(go.read_text().replace("go1.26.8", "go1.26.9"))
    assert binaries.find(CONTROL_PLANE[:1], tmp_path / "cache") != before


def test_pins_of_another_folder_build_apart(go: Path, tmp_path: Path) -> None:
    cluster = binaries.find(CONTROL_PLANE[:1], tmp_path / "cache")["etcd"]
    registry = find_registry(tmp_path / "cache")
    assert registry.read_text().split()[-1] == "github.com/distribution/distribution/v3/cmd/registry"
    assert registry.parent != cluster.parent
    assert binaries.find(CONTROL_PLANE[:1], tmp_path / "cache")["etcd"] == cluster


def test_given_assets_are_used_and_the_rest_is_built(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assets = tmp_path / "assets"
    for name in ("etcd", "kube-apiserver", "kubectl"):
        program(assets / name, "true")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = binaries.find(CONTROL_PLANE, tmp_path / "cache")
    assert found["etcd"] == assets / "etcd"
    assert found["kube-controller-manager"].is_relative_to(tmp_path / "cache")
    assert "KUBEBUILDER_ASSETS has no kube-controller-manager" in capsys.readouterr().err


def test_assets_that_do_not_exist_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "none"))
    with pytest.raises(BuildError, match="correct it or unset it"):
        binaries.find(CONTROL_PLANE, tmp_path)


def test_a_build_that_fails_shows_the_compilers_words(go: Path, tmp_path: Path) -> None:
    program(go, 'if [ "$1" = env ]; then echo go1.26.8; exit; fi\necho cannot find module >&2; exit 1')
    with pytest.raises(BuildError, match=r"etcd cannot be built from .*\ncannot find module"):
        binaries.find(CONTROL_PLANE, tmp_path / "cache")


@pytest.mark.parametrize(
    ("answer", "expected"), [("go1.26.8", (1, 26)), ("go1.30rc1", (1, 30)), ("devel", (0, 0)), ("", (0, 0))]
)
def test_the_compilers_version_is_read(tmp_path: Path, answer: str, expected: tuple[int, int]) -> None:
    assert binaries.go_version(program(tmp_path / "go", f"echo {answer}")) == expected


def test_every_tool_is_declared_in_its_module() -> None:
    for tool in NODE:
        declared = (binaries.TOOLS / tool.module / "go.mod").read_text()
        assert f"{tool.package}\n" in declared.partition("tool ")[2]
    assert binaries.pinned_version("kubernetes", "go.etcd.io/etcd/server/v3") == "v3.6.8"
    assert binaries.pinned_version("coredns", "github.com/coredns/coredns") == "v1.15.0"


def test_a_pin_that_is_not_there_is_named() -> None:
    with pytest.raises(BuildError, match=r"does not require example\.com/x"):
        binaries.pinned_version("coredns", "example.com/x")


def test_the_node_has_what_the_control_plane_has() -> None:
    assert set(CONTROL_PLANE) < set(NODE)
    assert isinstance(NODE[0], Tool)
