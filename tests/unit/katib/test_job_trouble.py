from typing import Any

import pytest

from kfx.katib.job_trouble import find_job_trouble
from tests.katib_objects import NOW, job_document, trial


def test_a_job_that_ended_without_meeting_a_condition_is_told_with_both() -> None:
    found = find_job_trouble(trial(), job_document("SuccessCriteriaMet", "Complete"))
    assert found is not None
    assert found.reason == "ConditionNotMet"
    assert found.message == (
        "Job e-1 has ended (condition Complete is True), but neither successCondition "
        '\'status.conditions.#(type=="Complete")#|#(status=="True")#\' nor failureCondition '
        '\'status.conditions.#(type=="Failed")#|#(status=="True")#\' holds; '
        "correct them in the Experiment's trialTemplate and in this Trial's spec, or delete the Trial"
    )


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ({"conditions": [{"type": "Succeeded", "status": "True"}]}, "condition Succeeded is True"),
        ({"conditions": [None, {"type": "Failed", "status": "True"}]}, "condition Failed is True"),
        ({"phase": "Succeeded"}, "phase is Succeeded"),
        ({"phase": "Error"}, "phase is Error"),
    ],
)
def test_the_ends_of_other_kinds_are_known(status: dict[str, Any], end: str) -> None:
    found = find_job_trouble(trial(), {"kind": "TFJob", "status": status})
    assert found is not None
    assert f"TFJob e-1 has ended ({end})" in found.message


@pytest.mark.parametrize("spec", [{"suspend": True}, {"runPolicy": {"suspend": True}}])
def test_a_suspended_job_is_told(spec: dict[str, Any]) -> None:
    found = find_job_trouble(trial(), {"kind": "Job", "spec": spec})
    assert found is not None
    assert found.reason == "JobSuspended"
    assert found.message == (
        "Job e-1 is suspended, so that it gets no pods; "
        "wait for the queue that admits it, or set suspend to false in it"
    )


def test_a_job_that_is_being_deleted_and_does_not_go_is_told_with_what_keeps_it() -> None:
    """Until it is gone no other one of its name can be made."""
    document = job_document()
    document["metadata"] |= {"deletionTimestamp": NOW, "finalizers": ["foregroundDeletion", "example.org/x"]}
    found = find_job_trouble(trial(), document)
    assert found is not None
    assert found.reason == "JobTerminating"
    assert found.message == (
        "Job e-1 is being deleted and does not go (finalizers: foregroundDeletion, example.org/x); "
        "see what keeps it with kubectl describe job e-1 -n ns; once it is gone the Trial makes it again"
    )
    document["metadata"].pop("finalizers")
    found = find_job_trouble(trial(), document)
    assert found is not None
    assert "and does not go;" in found.message


@pytest.mark.parametrize(
    "document",
    [
        job_document(),
        job_document("-Complete", "-Failed"),
        job_document("SuccessCriteriaMet"),
        {"spec": {"suspend": False}, "status": {"phase": "Running", "conditions": "?"}},
        {"spec": None, "status": None},
        {"spec": {"runPolicy": None}, "status": {"conditions": None}},
    ],
)
def test_a_job_that_gets_on_has_no_trouble(document: dict[str, Any]) -> None:
    assert find_job_trouble(trial(), document) is None
