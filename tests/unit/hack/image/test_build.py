"""Images of kfx and of a trainer: what is built again, and what they hold."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.image import build, layers, rootfs
from hack.image.layers import CHECKOUT, Recipe
from hack.image.oci import content_hash
from hack.image.pause import SOURCE, CompileError, build_pause
from kfx import __version__


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of layers that were written; base and wheels are small stand-ins for minutes of copying."""
    kinds: list[str] = []

    def writes(kind: str) -> Callable[[Path], None]:
        def write(root: Path) -> None:
            kinds.append(kind)
            (root / kind).touch()

        return write

    for kind in ("base", "wheels"):
        recipe = Recipe(kind, content_hash(kind.encode()), writes(kind))
        monkeypatch.setattr(layers, kind, lambda recipe=recipe: recipe)
    return kinds


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text("print(1)\n")
    return file


def test_what_has_not_changed_is_not_built_again(made: list[str], script: Path, tmp_path: Path) -> None:
    first = build.build_trainer(script, tmp_path / "cache")
    written = first.archive.stat().st_mtime_ns
    assert build.build_trainer(script, tmp_path / "cache") == first
    assert first.archive.stat().st_mtime_ns == written
    assert made == ["base"]


def test_another_script_is_another_tag_on_the_same_base(
    made: list[str], script: Path, tmp_path: Path
) -> None:
    first = build.build_trainer(script, tmp_path / "cache")
    script.write_text("print(2)\n")
    second = build.build_trainer(script, tmp_path / "cache")
    assert first.reference != second.reference
    assert second.reference.startswith("kfx.local/kfx-trainer:")
    assert made == ["base"]


@pytest.mark.usefixtures("made")
def test_a_given_reference_names_new_content_too(script: Path, tmp_path: Path) -> None:
    def build_it() -> bytes:
        image = build.build_trainer(
            script, tmp_path / "cache", reference="kfx.local/t:1", archive=tmp_path / "t.tar"
        )
        assert image.reference == "kfx.local/t:1"
        return image.archive.read_bytes()

    first = build_it()
    script.write_text("print(3)\n")
    assert build_it() != first


@pytest.mark.usefixtures("made")
def test_old_images_and_layers_are_forgotten(script: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number in range(6):
        script.write_text(f"print({number})\n")
        image = build.build_trainer(script, cache)
        for file in (*cache.rglob("*.tar"), *cache.rglob("*.json")):
            os.utime(file, (number, number))
    assert image.archive.exists()
    assert len(list((cache / "images").glob("*.tar"))) == build.KEPT
    assert len(list((cache / "layers").glob("script-*.json"))) == layers.KEPT
    assert len(list((cache / "layers").glob("*.tar"))) == layers.KEPT + 1


def test_the_kfx_layer_holds_the_compiled_package_and_a_launcher(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    layers.kfx().write(root)
    package = root / layers.PACKAGES / "kfx"
    assert (package / "__init__.py").read_bytes() == (CHECKOUT / "kfx" / "__init__.py").read_bytes()
    compiled = list((package / "__pycache__").glob("__init__.*.pyc"))
    assert str(tmp_path).encode() not in compiled[0].read_bytes()
    assert (root / "usr/local/bin/kfx").stat().st_mode & 0o111
    assert (root / layers.STATE).is_dir()


def test_the_launcher_finds_kfx_where_both_kinds_of_image_put_it(tmp_path: Path) -> None:
    text = layers.LAUNCHER.read_text()
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    assert f'sys.path.append("/{layers.PACKAGES}")' in text
    assert f"/{layers.PACKAGES}/kfx/" in dockerfile
    assert f"USER {rootfs.USER_ID}:{rootfs.USER_ID}" in dockerfile
    assert f"/{layers.STATE}" in dockerfile
    for path in layers.LAUNCHED_AS:
        assert f"hack/image/kfx /{path}" in dockerfile
    done = launch(tmp_path / "kfx", "version")
    assert (done.returncode, done.stdout.strip()) == (0, f"kfx {__version__}")


@pytest.mark.parametrize("path", layers.LAUNCHED_AS)
def test_the_name_of_the_launcher_decides_on_the_defaults(tmp_path: Path, path: str) -> None:
    """Where observations are kept elsewhere, a path for them is of no use, and that is said."""
    done = launch(tmp_path / path, "--sqlite-path=/nowhere/o.db", f"--kubeconfig={tmp_path}/none")
    assert done.returncode == 1
    assert ("--sqlite-path" in done.stderr) is path.endswith("/katib-controller")


def test_by_katibs_name_and_place_it_is_what_katibs_deployment_calls() -> None:
    """The command there is ./katib-controller, and the image is all that is changed."""
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    _, _, target = dockerfile.partition("FROM base AS katib-controller\n")
    assert target.startswith('WORKDIR /app\nENTRYPOINT ["./katib-controller"]\n')
    assert dockerfile.rstrip().endswith('FROM base AS kfx\nENTRYPOINT ["kfx"]')
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"kfx": "kfx.__main__:main", "katib-controller": "kfx.__main__:main"}


def launch(launcher: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The launcher by that path; isolated and without site, it needs its wheels on the path."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    text = layers.LAUNCHER.read_text().replace(f"/{layers.PACKAGES}", str(CHECKOUT))
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(text.replace("from kfx", f"sys.path += {site}\nfrom kfx"))
    command = [sys.executable, "-IS", str(launcher), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={})


def test_libraries_are_those_that_the_programs_ask_for(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    shutil.copy("/bin/sh", root / "usr" / "bin" / "sh")
    needed = rootfs.needed_libraries(root)
    assert any(path.name.startswith("libc.so") for path in needed)
    rootfs.copy_libraries(root, needed)
    assert {path.name for path in (root / "usr").rglob("*.so*")} == {path.name for path in needed}
    assert not [path for path in rootfs.needed_libraries(root) if path.is_relative_to(root)]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_the_pause_image_is_one_static_program(tmp_path: Path) -> None:
    image = build_pause(tmp_path)
    with tarfile.open(image.archive) as archive:
        blobs = [entry for entry in archive if entry.name.startswith("blobs/")]
        layer = archive.extractfile(max(blobs, key=lambda entry: entry.size))
        assert layer
        with tarfile.open(fileobj=layer) as inner:
            assert inner.getnames() == ["pause"]
    assert build_pause(tmp_path) == image


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match="apt-get install gcc"):
        build_pause(tmp_path)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_pause_collects_the_dead_and_ends_at_term(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    subprocess.run(["gcc", "-static", "-o", program, SOURCE], check=True)
    # a child that is there before pause begins, as when a pod shares its process namespace
    with subprocess.Popen(["sh", "-c", f"sleep 0.05 & exec {program}"]) as running:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        while program.name != Path(f"/proc/{running.pid}/comm").read_text().strip():
            pass
        while children.read_text():
            pass
        running.terminate()
        assert running.wait(timeout=10) == 0
