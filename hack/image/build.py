#!/usr/bin/env python3
"""Command line: ``build.py kfx``, ``build.py trainer --script FILE``. Prints reference and archive."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from hack.cluster.layout import cache_dir
from hack.image import layers, rootfs
from hack.image.oci import Image, content_hash, write_image

ENVIRONMENT = ("PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
KEPT = 2


def build_kfx(cache: Path, *, reference: str = "", archive: Path | None = None) -> Image:
    """The image of this checkout. Without ``reference`` its tag is the hash of its content."""
    config = {
        "Entrypoint": ["kfx"],
        "User": str(rootfs.USER_ID),
        "Env": [*ENVIRONMENT, f"PYTHONPATH=/{layers.PACKAGES}"],
        "WorkingDir": "/",
    }
    recipes = [layers.base(), layers.wheels(), layers.kfx()]
    return _build("kfx", recipes, config, cache=cache, reference=reference, archive=archive)


def build_trainer(script: Path, cache: Path, *, reference: str = "", archive: Path | None = None) -> Image:
    """Python's standard library and one script at /opt, which the container runs with its arguments."""
    config = {
        "Entrypoint": ["python3", f"/opt/{script.name}"],
        "User": str(rootfs.USER_ID),
        "Env": list(ENVIRONMENT),
        "WorkingDir": "/opt",
    }
    recipes = [layers.base(), layers.script(script)]
    return _build("kfx-trainer", recipes, config, cache=cache, reference=reference, archive=archive)


def _build(
    name: str,
    recipes: Sequence[layers.Recipe],
    config: Mapping[str, object],
    *,
    cache: Path,
    reference: str,
    archive: Path | None,
) -> Image:
    """Write the archive, unless the one that is there has this reference and content."""
    content = content_hash(json.dumps(config).encode(), *(recipe.key.encode() for recipe in recipes))
    image = Image(
        reference or f"kfx.local/{name}:{content}", archive or cache / "images" / f"{name}-{content}.tar"
    )
    note, identity = image.archive.with_name(f"{image.archive.name}.content"), f"{image.reference} {content}"
    if image.archive.exists() and note.exists() and note.read_text() == identity:
        return image
    packed = [layers.make(recipe, cache) for recipe in recipes]
    note.unlink(missing_ok=True)
    write_image(image, packed, config)
    note.write_text(identity)
    if archive is None:
        _forget_old(image.archive.parent, name)
    return image


def _forget_old(folder: Path, name: str) -> None:
    for archive in layers.newest([*folder.glob(f"{name}-{'[0-9a-f]' * 12}.tar")])[KEPT:]:
        archive.unlink()
        archive.with_name(f"{archive.name}.content").unlink(missing_ok=True)


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="build.py", description="Images without a container tool.")
    commands = parser.add_subparsers(dest="image", required=True)
    for name, text in (("kfx", "the image of this checkout"), ("trainer", "Python and one training script")):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--tag", default="", metavar="REFERENCE", help="default: from the content's hash"
        )
        command.add_argument("--out", type=Path, metavar="FILE.tar", help="default: a file in the cache")
    commands.choices["trainer"].add_argument("--script", type=Path, required=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print reference and archive, a line each; 1 on an error that could be expected."""
    arguments = build_parser().parse_args(argv)
    try:
        if arguments.image == "kfx":
            image = build_kfx(cache_dir(), reference=arguments.tag, archive=arguments.out)
        else:
            image = build_trainer(
                arguments.script, cache_dir(), reference=arguments.tag, archive=arguments.out
            )
    except (OSError, layers.InstallError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    print(f"{image.reference}\n{image.archive}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
