"""Generated files are those that the code generates, and whoever changes the code is told what to run."""

from pathlib import Path

import pytest

from hack.generate import __main__ as generate
from tests.rules.source_tree import ROOT, name_of, project_files


def test_every_generated_file_is_up_to_date() -> None:
    assert list(generate.stale(ROOT)) == [], f"run `{generate.COMMAND}` and commit the result"


def test_a_stale_file_and_one_that_is_missing_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "FILES", {"a.md": lambda: "A", "b.md": lambda: "B", "c/d.md": lambda: "D"})
    (tmp_path / "a.md").write_text("A")
    (tmp_path / "b.md").write_text("old")
    assert generate.main(["--check"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == ["b.md", "c/d.md"]
    assert all("`make generate`" in line for line in told)
    assert (tmp_path / "b.md").read_text() == "old"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert (tmp_path / "c" / "d.md").read_text() == "D"


@pytest.mark.parametrize("folder", ["config/crd/bases", "docs/reference"])
def test_a_folder_of_generated_files_holds_no_other(folder: str) -> None:
    there = {name_of(path) for path in project_files() if path.parent == ROOT / folder}
    assert there == {name for name in generate.FILES if name.startswith(f"{folder}/")}
