import pytest

from kfx.katib.hold_up import LONGEST, HoldUp, is_said, said_of, say, settle
from tests.katib_objects import EARLIER, NOW, condition, conditions, said

NO_NODE = HoldUp("PodUnschedulable", "pod p has no node", "add one")
CREATED = condition("Created", message="Trial is created")
RUNNING = condition("Running", message="Trial is running")


@pytest.mark.parametrize(
    ("words", "bearer"),
    [((CREATED,), 0), ((CREATED, RUNNING), 1), ((RUNNING, CREATED), 0), ((CREATED, "-Running"), 0)],
)
def test_it_stands_where_the_trial_stands_and_moves_nothing(words: tuple[str, ...], bearer: int) -> None:
    before = conditions(*words)
    after = say(before, NO_NODE, NOW)
    assert said(after) == said(before)
    assert after[bearer].message.endswith(". PodUnschedulable: pod p has no node; add one")
    assert (after[bearer].last_update_time, after[bearer].last_transition_time) == (NOW, EARLIER)
    assert after[bearer].reason == before[bearer].reason
    assert [a for i, a in enumerate(after) if i != bearer] == [b for i, b in enumerate(before) if i != bearer]


def test_what_was_said_is_known_by_its_reason_alone() -> None:
    told = say(conditions(RUNNING), NO_NODE, NOW)
    assert is_said(told, "PodUnschedulable")
    assert not is_said(told, "Pod")
    assert say(told, HoldUp("PodUnschedulable", "another text", "x"), NOW) is told


def test_a_trial_that_stands_nowhere_yet_is_left_alone() -> None:
    assert say((), NO_NODE, NOW) == ()


def test_to_settle_gives_katibs_messages_back() -> None:
    before = conditions(CREATED, RUNNING)
    assert [c.message for c in settle(say(before, NO_NODE, NOW))] == ["Trial is created", "Trial is running"]
    assert settle(before) is before


def test_what_others_said_is_quoted_before_the_remedy() -> None:
    found = HoldUp("R", "pod p has not started", "mend it", said='secret "s" not found')
    assert found.message == 'pod p has not started: secret "s" not found; mend it'


def test_a_long_lead_is_cut_and_the_remedy_is_not() -> None:
    found = HoldUp("R", "x" * 5000, "mend it").message
    assert len(found) == LONGEST
    assert found.endswith("x; mend it")


def test_what_is_said_can_be_read_from_the_conditions() -> None:
    before = conditions(CREATED, RUNNING)
    assert said_of(before) == said_of(()) == ("", "")
    assert said_of(say(before, NO_NODE, NOW)) == ("PodUnschedulable", "pod p has no node; add one")
