from typing import Any

import pytest

from kfx.katib.gjson_path import ExpressionError
from kfx.katib.job_state import JobState, Phase, StateUnreadable, evaluate
from tests.katib_objects import FAILURE, SUCCESS, job_document


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ((), Phase.RUNNING),
        pytest.param(("-Complete", "-Failed"), Phase.RUNNING, id="12.4-1"),
        (("SuccessCriteriaMet",), Phase.RUNNING),
        (("SuccessCriteriaMet", "Complete"), Phase.SUCCEEDED),
        (("FailureTarget", "Failed"), Phase.FAILED),
        (("-Complete", "Failed"), Phase.FAILED),
        (("Complete", "Failed"), Phase.FAILED),
    ],
)
def test_a_job_is_what_its_conditions_say(words: tuple[str, ...], phase: Phase) -> None:
    assert evaluate(SUCCESS, FAILURE, job_document(*words)).phase is phase


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        pytest.param(("Complete",), Phase.SUCCEEDED, id="12.4-2"),
        pytest.param(("Failed", "-Complete"), Phase.FAILED, id="12.4-3"),
    ],
)
def test_reason_and_message_are_those_of_the_condition_that_is_met(
    words: tuple[str, ...], phase: Phase
) -> None:
    found = evaluate(SUCCESS, FAILURE, job_document(*words, reason="R", message="m"))
    assert found == JobState(phase, "R", "m")


def test_keys_of_the_condition_may_be_in_any_case() -> None:
    found = evaluate("status", "", {"status": {"Reason": "R", "MESSAGE": "m", "message": None}})
    assert found == JobState(Phase.SUCCEEDED, "R", "m")


def test_a_count_of_succeeded_pods_has_no_reason() -> None:
    """12.4-4."""
    found = evaluate("status.[@this].#(succeeded==1)", FAILURE, {"status": {"succeeded": 1}})
    assert found == JobState(Phase.SUCCEEDED)


@pytest.mark.parametrize(
    ("status", "met"),
    [
        ({"a": {}}, True),
        ({"a": [{}]}, True),
        ({"a": []}, False),
        ({"a": "Succeeded"}, False),
        ({"a": 1}, False),
        ({"a": True}, False),
        ({"a": None}, False),
        ({}, False),
    ],
)
def test_only_an_object_or_a_filled_list_is_met(status: dict[str, Any], met: bool) -> None:
    found = evaluate("status.a", "", {"status": status})
    assert found.phase is (Phase.SUCCEEDED if met else Phase.RUNNING)


def test_an_empty_expression_is_never_met() -> None:
    assert evaluate("", "", job_document("Complete", "Failed")) == JobState(Phase.RUNNING)


@pytest.mark.parametrize(
    "status", [{"a": ["text"]}, {"a": [{"reason": 1}]}, {"a": {"message": {"deep": "text"}}}]
)
def test_what_is_no_condition_is_an_error(status: dict[str, Any]) -> None:
    with pytest.raises(StateUnreadable, match=r"status\.a"):
        evaluate("status.a", "", {"status": status})


def test_an_expression_that_cannot_be_evaluated_is_an_error_of_its_own() -> None:
    with pytest.raises(ExpressionError, match="4096"):
        evaluate("a" * 5000, "", {})
