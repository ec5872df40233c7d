"""The sandbox image: one small static program."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hack.image.oci import Image, content_hash, pack_layer, write_image

SOURCE = Path(__file__).resolve().parent / "pause.c"


class CompileError(Exception):
    """The C compiler is missing or refuses."""


def build_pause(cache: Path) -> Image:
    """The image's archive in the cache, compiled unless it is there. Raises CompileError."""
    tag = content_hash(SOURCE)
    image = Image(f"kfx.local/pause:{tag}", cache / "images" / f"pause-{tag}.tar")
    if not image.archive.exists():
        with tempfile.TemporaryDirectory() as folder:
            _compile(Path(folder) / "root" / "pause")
            layer = pack_layer(Path(folder) / "root", Path(folder) / "layers")
            write_image(image, [layer], {"Entrypoint": ["/pause"]})
    return image


def _compile(program: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CompileError("no C compiler on PATH: apt-get install gcc libc6-dev")
    program.parent.mkdir(parents=True)
    command = [compiler, "-Os", "-Wall", "-static", "-s", "-o", os.fspath(program), os.fspath(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(
            f"{SOURCE.name} does not compile (is libc6-dev installed?):\n{done.stderr.strip()}"
        )
