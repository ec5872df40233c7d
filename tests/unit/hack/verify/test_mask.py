"""The committed mask: what it excuses, and that each entry says why."""

import pytest

from hack.verify.check import Limits, Violation
from hack.verify.mask import Excuse, read_mask
from tests.unit.hack.verify.audit_log import Story


def violation(
    invariant: str, *, resource: str = "trials.kubeflow.org", agent: str = "kfx/0.1.0"
) -> Violation:
    return Violation(
        invariant=invariant, object="", text="", at=0.0, requests=(), resource=resource, agent=agent
    )


@pytest.mark.parametrize(
    ("found", "excused"),
    [
        (violation("I6", resource="events"), True),
        (violation("I6", agent="kfx/0.1.0 certificates replica=a-1"), True),
        (violation("I6", agent="kfx/0.1.0 replica=a-1"), False),
        (violation("I7", resource="events"), False),
    ],
    ids=["an-event", "the-certificate", "a-reconcile", "another-invariant"],
)
def test_the_mask_excuses_what_it_names_and_no_more(found: Violation, excused: bool) -> None:
    assert any(excuse.covers(found) for excuse in read_mask()) is excused


def test_every_excuse_gives_its_reason() -> None:
    assert [excuse for excuse in read_mask() if len(excuse.reason) < 40] == []


def test_what_is_excused_is_counted_and_breaks_nothing() -> None:
    excuse = Excuse(invariants=("I6",), reason="a test", resource="suggestions.*")
    report = Story().begin().judge(Limits(lease="ns/election"), mask=[excuse])
    assert report.violations == []
    assert report.excused == {"I6": 1}
