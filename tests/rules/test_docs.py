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
