"""The layers of the images, each made once for its content and kept in the cache."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.binaries import locked, say
from hack.image import rootfs
from hack.image.oci import Layer, content_hash, pack_layer, remember_layer, remembered_layer

CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = CHECKOUT / "requirements.lock"
LAUNCHED_AS = ("usr/local/bin/kfx", "app/katib-controller")
LAUNCHER = Path(__file__).resolve().parent / "kfx"
PACKAGES = "usr/local/lib/kfx"
STATE = "var/lib/kfx"
KEPT = 3
# only for kubeconfigs with exec plugins; compiled it is 20 MB larger
SELDOM_USED = "kubernetes_asyncio"


class InstallError(Exception):
    """The locked wheels cannot be installed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fill a layer; the same ``key`` means the same content."""

    kind: str
    key: str
    write: Callable[[Path], None]


def base() -> Recipe:
    """Python, a shell and its programs."""
    return Recipe("base", _key(), rootfs.write_base)


def wheels() -> Recipe:
    """What requirements.lock names."""
    return Recipe("wheels", _key(LOCK), _write_wheels)


def kfx() -> Recipe:
    """The package of this checkout and its launcher."""
    return Recipe("kfx", _key(CHECKOUT / "kfx", LAUNCHER), _write_kfx)


def script(file: Path) -> Recipe:
    """One Python script, in /opt."""

    def write(root: Path) -> None:
        (root / "opt").mkdir()
        shutil.copy(file, root / "opt" / file.name)

    return Recipe("script", content_hash(file.name.encode(), file), write)


def make(recipe: Recipe, cache: Path) -> Layer:
    """The layer from the cache, or made now. Raises InstallError."""
    folder = cache / "layers"
    note = folder / f"{recipe.kind}-{recipe.key}.json"
    with locked(folder / f"{recipe.kind}.lock", f"another run makes the image layer {recipe.kind}"):
        if layer := remembered_layer(note):
            os.utime(note)
            return layer
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=folder) as work:
            root = Path(work) / "root"
            root.mkdir()
            recipe.write(root)
            layer = pack_layer(root, folder, owners={STATE: rootfs.USER_ID})
        remember_layer(note, layer)
        _forget_old(folder, recipe.kind)
    say(f"image layer {recipe.kind}: {layer.size >> 20} MiB in {time.monotonic() - began:.1f} s")
    return layer


def newest(files: list[Path]) -> list[Path]:
    """Latest used first."""
    return sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)


def _forget_old(folder: Path, kind: str) -> None:
    """Keep a few layers of each kind, so that work on kfx does not fill the disk."""
    for note in newest(list(folder.glob(f"{kind}-*.json")))[KEPT:]:
        if layer := remembered_layer(note):
            layer.file.unlink(missing_ok=True)
        note.unlink()


def _key(*content: Path) -> str:
    interpreter = Path(sys.executable).resolve()
    identity = f"{sys.version} {interpreter} {interpreter.stat().st_mtime_ns}"
    return content_hash(identity.encode(), Path(rootfs.__file__), Path(__file__), *content)


def _write_wheels(root: Path) -> None:
    """Installed by hash, without tests and scripts; with the libraries that only wheels need."""
    target = root / PACKAGES
    options = ["--quiet", "--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, "-r", LOCK],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallError(f"the wheels of {LOCK.name} cannot be installed:\n{done.stderr.strip()}")
    for folder in (*target.glob("bin"), *target.glob("*/tests"), *target.glob("*/test")):
        shutil.rmtree(folder)
    rootfs.compile_python(root, target)
    for folder in (target / SELDOM_USED).rglob("__pycache__"):
        shutil.rmtree(folder)
    rootfs.copy_libraries(root, rootfs.needed_libraries(root) - rootfs.interpreter_libraries())


def _write_kfx(root: Path) -> None:
    package = root / PACKAGES / "kfx"
    shutil.copytree(CHECKOUT / "kfx", package, ignore=shutil.ignore_patterns("__pycache__"))
    rootfs.compile_python(root, package)
    for name in LAUNCHED_AS:
        launcher = root / name
        launcher.parent.mkdir(parents=True)
        shutil.copy(LAUNCHER, launcher)
        launcher.chmod(0o755)
    (root / STATE).mkdir(parents=True)
