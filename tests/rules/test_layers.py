"""Imports point downwards only; the contracts are in pyproject.toml."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.rules.source_tree import ROOT

_LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _LINT], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_every_import_follows_the_layers() -> None:
    answer = _lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_io_in_the_katib_domain_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "kfx", tmp_path / "kfx", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "kfx" / "katib" / "intruder.py").write_text("import asyncio\n")
    answer = _lint_imports(tmp_path)
    assert answer.returncode != 0
    assert "kfx.katib.intruder -> asyncio" in answer.stdout
