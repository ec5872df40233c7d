"""What the user asked of ``make run``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.run.errors import RunError

SAMPLE = Path("config/samples/random.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``kubeconfig`` empty means a cluster of our own; ``image`` is kfx's in a cluster of the user's."""

    experiment: Path = SAMPLE
    keep: bool = False
    kubeconfig: str = ""
    image: str = ""
    trainer_image: str = ""
    index: int = 0


def parse_options(argv: Sequence[str]) -> Options:
    """Raises :class:`RunError` (status 2) when something is missing; argparse exits for unknown options."""
    parser = argparse.ArgumentParser(prog="make run", description="Run one Experiment to its end.")
    parser.add_argument("--experiment", type=Path, default=SAMPLE, help="EXPERIMENT=file.yaml")
    parser.add_argument("--keep", action="store_true", help="KEEP=1: leave the cluster up")
    parser.add_argument("--kubeconfig", default="", help="KUBECONFIG=file: use that cluster")
    parser.add_argument("--image", default="", help="IMG=reference: kfx's image, for KUBECONFIG=")
    parser.add_argument("--trainer-image", default="", help="TRAINER_IMG=reference: the sample's trainer")
    parser.add_argument("--index", type=int, default=0, help="INDEX=1: another cluster beside the first")
    options = Options(**vars(parser.parse_args(argv)))
    _check(options)
    return options


def _check(options: Options) -> None:
    if not options.kubeconfig:
        return
    if not options.image:
        raise RunError(
            "`make run KUBECONFIG=…` installs kfx into your cluster and needs IMG=…, an image of kfx that "
            "the cluster can pull.",
            status=2,
        )
    if options.experiment == SAMPLE and not options.trainer_image:
        raise RunError(
            f"{SAMPLE} needs TRAINER_IMG=…, an image with python3 and config/samples/trainer/train.py at "
            "/opt/train.py that the cluster can pull; or name an Experiment of yours: EXPERIMENT=file.yaml.",
            status=2,
        )
