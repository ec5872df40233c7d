"""What the documents name is there."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.rules.source_tree import ROOT, name_of

DOCUMENTS = sorted((*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"))
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_TEST_FILE = re.compile(r"`((?:cluster|e2e|unit|wire)/[\w/*]+\.py)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_test_that_the_list_of_faults_names_is_there() -> None:
    named = _TEST_FILE.findall((ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    assert [name for name in named if not list((ROOT / "tests").glob(name))] == []


EXPERIMENT_EVENTS = ("budget", "experiment", "long_lists", "suggestion", "unreadable")


@pytest.mark.parametrize("module", EXPERIMENT_EVENTS)
def test_every_event_about_an_experiment_is_listed(module: str) -> None:
    listed = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    text = (ROOT / "kfx" / "katib" / f"{module}.py").read_text(encoding="utf-8")
    found = set(re.findall(r'Note\(\s*"(?:Normal|Warning)",\s*"(\w+)"', text))
    found |= {"ExperimentFailed"} if module == "experiment" else set()  # from the verdict's reason
    assert found
    assert {reason for reason in found if f"`{reason}`" not in listed} == set()


def test_every_test_that_the_differences_name_is_there() -> None:
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 60
    assert [each for each in named if not _is_there(*each)] == []


def _is_there(name: str, group: str) -> bool:
    paths = (place / name for place in (ROOT / "tests", ROOT / "tests" / "unit"))
    found = next((path for path in paths if path.is_file()), None)
    return found is not None and f"class {group}" * bool(group) in found.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=name_of)
def test_a_document_has_one_title_and_says_nothing_twice(document: Path) -> None:
    """Pages to which several people add are merged line by line, which may leave both versions."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines if line.startswith("# ")] == lines[:1]
    kept = [line for line in lines if line.startswith(("## ", "- ", "| ")) and not line.startswith("| |")]
    twice = {line for line in kept if kept.count(line) > 1 and not _is_head(lines, line)}
    assert twice == set()
    assert [line for before, line in pairwise(lines) if line.startswith("#") and before] == []


def _is_head(lines: list[str], line: str) -> bool:
    """Several tables may have the same columns."""
    return line.startswith("| ") and lines[lines.index(line) + 1].startswith("|--")
