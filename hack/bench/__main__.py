"""``python -m hack.bench [NAME …]``: kfx beside its peers."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from hack.bench import admission, echo, memory, path, report, scale, server, start, webhooks
from hack.bench.figures import Section

NAMES = ("echo", "admission", "webhooks", "path", "start", "memory", "scale")
RESULTS = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    options = build_parser().parse_args(argv)
    wanted = [name for name in NAMES if name in (options.names or NAMES)]
    about = report.machine()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sections = runner.run(measure(wanted, options))
    about["busy_after"] = round(report.busy_share(1.0), 2)
    for section in sections.values():
        Console().print(report.table(section))
    kept = report.keep(sections, about, options.remark, options.results)
    sys.stdout.write(f"kept in {kept} and beside it as JSON\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (all)")
    parser.add_argument("--count", type=int, default=2000, help="echo: objects in the burst (2000)")
    parser.add_argument("--paced", type=int, default=500, help="echo: objects at 50 a second (500)")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="admission, webhooks: length of a round (10)"
    )
    parser.add_argument(
        "--trials",
        type=int,
        nargs="*",
        default=[0, 10_000, 100_000],
        help="memory: how many (0 10000 100000)",
    )
    parser.add_argument(
        "--scenario",
        choices=scale.SCENARIOS,
        nargs="*",
        default=["main"],
        help=f"scale: of {', '.join(scale.SCENARIOS)} (main)",
    )
    parser.add_argument("--index", type=int, default=server.INDEX, help=f"the cluster's ({server.INDEX})")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its turn (3)")
    parser.add_argument("--remark", default="", help="a sentence to keep with the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the files")
    return parser


async def measure(wanted: Sequence[str], options: argparse.Namespace) -> dict[str, Section]:
    """The benchmarks of these names, in order; a cluster only for those that need one."""
    found: dict[str, Section] = {}
    if "admission" in wanted:
        found["admission"] = admission.measure(seconds=options.seconds, rounds=options.rounds)
    if "webhooks" in wanted:
        found |= webhooks.measure(seconds=options.seconds, rounds=options.rounds)
    if "path" in wanted:
        found["path"] = await path.measure()
    if {"echo", "start"} & set(wanted):
        with server.cluster(options.index) as layout:
            async with server.prepared(layout) as client:
                if "echo" in wanted:
                    found["echo"] = await echo.measure(
                        layout, client, count=options.count, paced=options.paced, rounds=options.rounds
                    )
                if "start" in wanted:
                    found["start"] = await start.measure(layout, client, rounds=options.rounds)
    if "memory" in wanted:
        with server.cluster(options.index) as layout:
            async with server.prepared(layout) as client:
                found |= await memory.measure(layout, client, counts=options.trials, rounds=options.rounds)
    if "scale" in wanted:
        found |= await scale.measure(options.index, names=options.scenario, rounds=options.rounds)
    return found


if __name__ == "__main__":
    sys.exit(main())
