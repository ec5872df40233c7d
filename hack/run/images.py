"""The images of a run: kfx from this checkout, and the sample's trainer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.run.commands import run_command
from hack.run.steps import Steps

TRAINER = "kfx.local/trainer:1"
"""The image that config/samples name."""
TRAINER_SCRIPT = "config/samples/trainer/train.py"
PROGRAM = (sys.executable, "-m", "hack.image.build")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A reference and the archive that holds it."""

    reference: str
    archive: Path


@dataclass(frozen=True, slots=True)
class BuiltImages:
    """What a run needs in the node."""

    kfx: BuiltImage
    trainer: BuiltImage


async def build_images(steps: Steps) -> BuiltImages:
    """Build both, unless the cache has them already."""
    with steps.step("images of kfx and of the trainer"):
        kfx = await _build(["kfx"], steps)
        trainer = await _build(["trainer", "--script", TRAINER_SCRIPT, "--tag", TRAINER], steps)
        return BuiltImages(kfx=kfx, trainer=trainer)


async def _build(words: Sequence[str], steps: Steps) -> BuiltImage:
    output = await run_command([*PROGRAM, *words], say=steps.say)
    reference, archive = output.splitlines()[-2:]
    return BuiltImage(reference, Path(archive))
