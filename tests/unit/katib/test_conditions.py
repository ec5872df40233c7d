import pytest

from kfx.katib import conditions as c
from tests.katib_objects import EARLIER, NOW, condition, conditions, said


def _set(found: c.Conditions, kind: str, status: bool, reason: str, message: str = "") -> c.Conditions:
    return c.set_condition(found, kind, status, reason=reason, message=message, now=NOW)


def test_a_new_condition_comes_last_with_both_times() -> None:
    found = _set(conditions("Created"), "Running", True, "R")
    assert said(found) == ["Created", "Running"]
    assert (found[-1].last_update_time, found[-1].last_transition_time) == (NOW, NOW)


def test_equal_status_and_reason_change_nothing_not_even_the_message() -> None:
    found = conditions("Running", "Created")
    assert _set(found, "Running", True, "Running", "another message") is found


def test_another_reason_keeps_the_time_of_transition_and_moves_to_the_end() -> None:
    found = _set(conditions("Running", "Created"), "Running", True, "R2")
    assert said(found) == ["Created", "Running"]
    assert (found[-1].last_update_time, found[-1].last_transition_time) == (NOW, EARLIER)


def test_another_status_is_a_transition() -> None:
    found = _set(conditions("Running"), "Running", False, "Running")
    assert (found[0].status, found[0].last_transition_time) == ("False", NOW)


@pytest.mark.parametrize(("words", "yes"), [(("Running",), True), (("-Running",), False), ((), False)])
def test_is_means_true(words: tuple[str, ...], yes: bool) -> None:
    assert c.has(conditions(*words), "Running") is yes


def test_the_end_turns_running_to_false_before_it() -> None:
    found = c.finish(conditions("Running", "Created"), "Succeeded", reason="S", message="m", now=NOW)
    assert said(found) == ["Created", "-Running", "Succeeded"]
    assert found[1].reason == "Running"


def test_the_end_without_running_adds_none() -> None:
    found = c.finish(conditions("Created"), "Failed", reason="F", message="m", now=NOW)
    assert said(found) == ["Created", "Failed"]


def test_a_removed_condition_is_gone() -> None:
    assert said(c.remove(conditions("Created", "Succeeded"), "Succeeded")) == ["Created"]


def test_conditions_in_a_patch_are_plain_json() -> None:
    assert c.as_json((condition("Created", message="m"),)) == [
        {
            "type": "Created",
            "status": "True",
            "reason": "Created",
            "message": "m",
            "lastUpdateTime": EARLIER,
            "lastTransitionTime": EARLIER,
        }
    ]
