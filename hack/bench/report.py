"""Results for people and for programs."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from hack.bench.contender import ROOT
from hack.bench.figures import Section

RATIOS = (
    "Medians, then the range of the rounds; in brackets the median as a multiple of the first row's. Where "
    "ranges overlap, the order of two rows means nothing."
)


def table(section: Section) -> Table:
    """For the terminal."""
    found = Table(title=section.title, caption=f"{section.note} {RATIOS}", caption_justify="left")
    for heading in ("", *section.headings):
        found.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for row in section.cells():
        found.add_row(*row)
    return found


def machine() -> dict[str, Any]:
    """What was measured on, and how busy it was with other work just before."""
    return {
        "cores": os.cpu_count(),
        "cpu": _line(Path("/proc/cpuinfo"), "model name"),
        "memory_mib": int(_line(Path("/proc/meminfo"), "MemTotal").split()[0]) // 1024,
        "system": platform.system(),
        "python": platform.python_version(),
        "busy_before": round(busy_share(1.0), 2),
    }


def busy_share(seconds: float) -> float:
    """The share of all cores that is in use."""

    def read() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    whole, idle = read()
    time.sleep(seconds)
    whole_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, whole_after - whole)


def keep(sections: Mapping[str, Section], about: Mapping[str, Any], remark: str, folder: Path) -> Path:
    """Write ``<date>.json`` and ``<date>.md``; the Markdown file's path.

    What was measured earlier on the same day stays, each section with its own commit and circumstances.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"{now.date().isoformat()}.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    run = {"date": now.isoformat(timespec="seconds"), "commit": commit(), "machine": about, "remark": remark}
    kept |= {name: {**run, **asdict(each), "medians": each.medians()} for name, each in sections.items()}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path = path.with_suffix(".md")
    path.write_text(markdown(kept), encoding="utf-8")
    return path


def markdown(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables as a page."""
    lines = [f"# Benchmarks, {max(run['date'] for run in kept.values())[:10]}", "", RATIOS]
    for run in kept.values():
        section = Section(run["title"], run["note"], run["rounds"])
        lines += ["", f"## {section.title}", "", f"| | {' | '.join(section.headings)} |"]
        lines += [f"|---|{'---:|' * len(section.headings)}"]
        lines += [f"| {' | '.join(row)} |" for row in section.cells()]
        lines += ["", section.note, "", _circumstances(run)]
    return "\n".join(lines) + "\n"


def _circumstances(run: Mapping[str, Any]) -> str:
    about = run["machine"]
    text = (
        f"Commit {run['commit']}, {run['date'][11:16]} UTC; {about['cores']} cores, {about['cpu']}, "
        f"{about['memory_mib']} MiB; Python {about['python']}; of the cores {about['busy_before']:.0%} "
        f"were in use before the run, {about['busy_after']:.0%} after."
    )
    return f"{text} {run['remark']}" if run["remark"] else text


def commit() -> str:
    """The commit that is checked out; ``-dirty`` where files differ from it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _line(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "?  "
