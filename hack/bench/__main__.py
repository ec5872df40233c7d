"""``python -m hack.bench [--count N]``: the tables, also as files below ``hack/bench/results``."""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from hack.bench import echo

RESULTS = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="objects in the burst (2000)")
    parser.add_argument("--paced", type=int, default=500, help="objects at 50 a second (500)")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(echo.measure(options.count, options.paced))
    Console().print(table(results))
    path = keep(results, options.count)
    sys.stdout.write(f"kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}\n")
    return 0


def table(results: Sequence[echo.Result]) -> Table:
    """A row a contender; ratios are kfx's to the row's."""
    own = next(result for result in results if result.name == "kfx")
    found = Table(title="echo operator")
    for heading in ("", "objects/s", "kfx ÷ it", "CPU s", "peak MiB", "p50 ms", "p99 ms"):
        found.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for result in results:
        figures = (result.cpu_seconds, result.peak_mib, result.p50, result.p99)
        ratio = f"{own.per_second / result.per_second:.2f}"
        shown = [f"{figure:.1f}" if figure else "–" for figure in figures]
        found.add_row(result.name, f"{result.per_second:.0f}", ratio, *shown)
    return found


def keep(results: Sequence[echo.Result], count: int) -> Path:
    """The figures with machine and commit."""
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
    now = datetime.now(UTC)
    content = {
        "benchmark": "echo", "date": now.date().isoformat(), "commit": commit, "machine": machine,
        "count": count, "results": [asdict(result) for result in results],
    }  # fmt: skip
    path = RESULTS / f"echo-{now.date().isoformat()}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
