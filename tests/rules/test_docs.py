"""What the documents name is there."""

import re
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


def test_every_test_that_the_differences_of_controllers_name_is_there() -> None:
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    section = text.partition("## Controllers")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)`", section)
    assert len(named) > 30
    places = (ROOT / "tests", ROOT / "tests" / "unit")
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []
