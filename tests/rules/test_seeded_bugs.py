"""The list of seeded bugs fits the tree; whether the tests catch them is seen by running it."""

from pathlib import Path

import pytest

from hack.verify.seeded_bugs import Bug, read_bugs
from tests.rules.source_tree import ROOT

BUGS = read_bugs()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_can_be_planted_and_its_tests_are_there(bug: Bug, tmp_path: Path) -> None:
    target = tmp_path / bug.file
    target.parent.mkdir(parents=True)
    target.write_text((ROOT / bug.file).read_text())
    bug.plant(tmp_path)
    compile(target.read_text(), bug.file, "exec")
    assert [name for name in bug.tests if not (ROOT / "tests" / name).is_file()] == []


def test_every_bug_has_a_number_of_its_own() -> None:
    assert len({bug.id for bug in BUGS}) == len(BUGS)


def test_a_bug_whose_place_has_changed_is_told(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a = 1\na = 1\n")
    with pytest.raises(ValueError, match="`old` stands 2 times"):
        Bug(id="x", bug="", file="f.py", old="a = 1", new="", tests=[]).plant(tmp_path)
