"""``python -m hack.verify.seeded_bugs [ID …]``: which seeded bugs the tests catch, and which they miss.

Each bug is put into a copy of the tree, and the tests that should notice run there. First the same tests run
without any bug: what is red already proves nothing. Exit status 0 if at least 95 % are caught.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

ROOT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).with_name("seeded_bugs.yaml")
WANTED = 0.95
SOUND_LIMIT = 1200.0  # seconds for all tests without a bug
TIME_LIMIT = 300.0  # seconds for the tests of one bug; a hang is a red suite too
COPIED = ("kfx", "hack", "tests", "config", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Bug:
    """One replacement in one file. ``tests``: below ``tests/``."""

    id: str
    bug: str
    file: str
    old: str
    new: str
    tests: Sequence[str]

    def plant(self, tree: Path) -> str:
        """Put it into a tree and return what was there; ValueError unless ``old`` stands there once."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise ValueError(
                f"bug {self.id}: its `old` stands {found} times in {self.file}; bring it up to date"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text


def read_bugs(path: Path = BUGS) -> list[Bug]:
    """All bugs of the list."""
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Bug(**entry) for entry in entries]


def run_tests(tree: Path, tests: Iterable[str], *, limit: float = TIME_LIMIT) -> tuple[bool, str]:
    """Whether they pass, and the first that does not."""
    files = [f"tests/{name}" for name in dict.fromkeys(tests)]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=120", *files]
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return False, "they hang"
    first = re.search(r"^(?:FAILED|ERROR) tests/\S*?::(\S+)", done.stdout, re.MULTILINE)
    return done.returncode == 0, first[1] if first else done.stdout.strip().rpartition("\n")[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run all bugs, or those named."""
    wanted = set(sys.argv[1:] if argv is None else argv)
    bugs = [bug for bug in read_bugs() if not wanted or bug.id in wanted]
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="kfx-bugs-") as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        all_tests = (test for bug in bugs for test in bug.tests)
        sound, first = run_tests(tree, all_tests, limit=SOUND_LIMIT)
        if not sound:
            console.print(f"the tests are red without any bug: {escape(first)}")
            return 2
        missed = [bug for bug in bugs if not _is_caught(bug, tree, console)]
    share = 1 - len(missed) / len(bugs) if bugs else 0.0
    console.print(f"{len(bugs) - len(missed)} of {len(bugs)} caught ({share:.0%})")
    return 0 if share >= WANTED else 1


def _is_caught(bug: Bug, tree: Path, console: Console) -> bool:
    began = time.monotonic()
    text = bug.plant(tree)
    try:
        passes, first = run_tests(tree, bug.tests)
    finally:
        (tree / bug.file).write_text(text, encoding="utf-8")
    seconds = time.monotonic() - began
    if passes:
        console.print(f"[red]missed[/] {bug.id:>3} {escape(bug.bug)}  ({seconds:.0f} s)", soft_wrap=True)
    else:
        told = f"{bug.id:>3} {escape(bug.bug)}  ({seconds:.0f} s: {escape(first)})"
        console.print(f"[green]caught[/] {told}", soft_wrap=True)
    return not passes


if __name__ == "__main__":
    sys.exit(main())
