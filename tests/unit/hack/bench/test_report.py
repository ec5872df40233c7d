"""Results as a page and as a file for programs."""

import json
from pathlib import Path

from hack.bench import report
from hack.bench.figures import Section

ABOUT = {
    "cores": 2, "cpu": "a processor", "memory_mib": 1024, "system": "Linux", "python": "3.11.2",
    "busy_before": 0.25, "busy_after": 0.0,
}  # fmt: skip


def sections() -> dict[str, Section]:
    found = Section("path: from event to queued key", "A note of the section.")
    found.add("kfx", {"µs": 1.75})
    return {"path": found}


def test_the_page_says_on_what_it_was_measured_and_holds_every_table(tmp_path: Path) -> None:
    path = report.keep(sections(), ABOUT, "A remark.", tmp_path / "results")
    page = path.read_text(encoding="utf-8")
    assert "2 cores, a processor, 1024 MiB; Python 3.11.2; of the cores 25% were in use before" in page
    assert "A remark." in page
    assert "## path: from event to queued key\n\n| | µs |\n|---|---:|\n| kfx | 1.75 |\n\nA note" in page


def test_every_round_is_kept_for_programs(tmp_path: Path) -> None:
    path = report.keep(sections(), ABOUT, "", tmp_path)
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert kept["path"]["machine"] == ABOUT
    assert kept["path"]["rounds"] == {"kfx": [{"µs": 1.75}]}
    assert kept["path"]["medians"] == {"kfx": {"µs": 1.75}}


def test_what_was_measured_earlier_on_the_day_stays(tmp_path: Path) -> None:
    other = Section("start: 1 rounds", "Another note.")
    other.add("kfx", {"ms": 500.0})
    report.keep(sections(), ABOUT, "early", tmp_path)
    report.keep({"start": other}, ABOUT, "", tmp_path)
    page = report.keep({**sections(), "start": other}, ABOUT, "late", tmp_path).read_text(encoding="utf-8")
    assert page.count("## path") == page.count("## start") == 1
    assert page.count("late") == 2
    assert "early" not in page


def test_the_busy_share_is_a_share() -> None:
    assert 0.0 <= report.busy_share(0.05) <= 1.0
