"""Users find every reason that they may read on a Trial in docs/events.md."""

import re

import pytest

from tests.rules.source_tree import ROOT

SOURCES = (
    "katib/trial.py",
    "katib/pod_trouble.py",
    "katib/job_trouble.py",
    "controllers/trial.py",
    "controllers/pods.py",
    "controllers/refusals.py",
    "controllers/failures.py",
    "webhooks/pod_injector.py",
)
_REASON = re.compile(
    r'(?:Note\(\s*"(?:Normal|Warning)",\s*|HoldUp\(\s*|REASON = |NAME_TAKEN = |REFUSED = )"([A-Z]\w+)"'
)
_LISTED = re.compile(r"^\| (?:Trial \| )?`(\w+)` \|", re.MULTILINE)


def reasons() -> set[str]:
    texts = [(ROOT / "kfx" / name).read_text(encoding="utf-8") for name in SOURCES]
    return {reason for text in texts for reason in _REASON.findall(text)}


@pytest.fixture(scope="module")
def listed() -> set[str]:
    return set(_LISTED.findall((ROOT / "docs" / "events.md").read_text(encoding="utf-8")))


def test_every_reason_of_a_trial_is_listed(listed: set[str]) -> None:
    assert len(reasons()) > 15
    assert reasons() - listed == set()


def test_no_reason_is_listed_for_trials_that_nobody_gives(listed: set[str]) -> None:
    section = (ROOT / "docs" / "events.md").read_text(encoding="utf-8").partition("## Trial\n")[2]
    section = section.partition("\n## ")[0]
    assert set(_LISTED.findall(section)) - reasons() == set()
