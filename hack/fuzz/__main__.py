"""``python -m hack.fuzz TARGET --seconds N``: search for an input that breaks a promise."""

import argparse
import sys
from collections.abc import Sequence

from hack.fuzz import engine


def main(argv: Sequence[str] | None = None) -> int:
    """Search; a broken promise ends it with a traceback that shows the input."""
    options = build_parser().parse_args(argv)
    chosen = options.engine
    if chosen == "auto":
        chosen = "atheris" if engine.has_atheris() else "hypothesis"
    sys.stdout.write(f"{options.target}: {options.seconds:g} s with {chosen}\n")
    sys.stdout.flush()
    if chosen == "atheris":
        engine.search_by_coverage(options.target, seconds=options.seconds)
    tried = engine.search(options.target, seconds=options.seconds, first_seed=options.seed)
    sys.stdout.write(f"{options.target}: {tried} inputs, every one within its bounds\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="python -m hack.fuzz", description=__doc__)
    parser.add_argument(
        "target", choices=engine.NAMES, metavar="TARGET", help=f"one of {', '.join(engine.NAMES)}"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search (60)")
    parser.add_argument(
        "--engine",
        choices=("auto", "hypothesis", "atheris"),
        default="auto",
        help="atheris follows branches; pip install 'atheris>=3' (auto: atheris where it is installed)",
    )
    parser.add_argument("--seed", type=int, default=None, help="of Hypothesis' first round (by chance)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
