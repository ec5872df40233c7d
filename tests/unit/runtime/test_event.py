"""An event and its newest state."""

import pytest

from kfx.runtime.event import Event
from tests.things import Thing, thing

OLD, NEW = thing("a", 1), thing("a", 2)


@pytest.mark.parametrize(
    ("event", "newest"),
    [
        pytest.param(Event(None, NEW), NEW, id="arrived"),
        pytest.param(Event(OLD, NEW), NEW, id="changed"),
        pytest.param(Event(OLD, None), OLD, id="gone"),
    ],
)
def test_the_object_of_an_event_is_its_newest_state(event: Event[Thing], newest: Thing) -> None:
    assert event.obj is newest


def test_an_event_without_any_state_is_a_defect() -> None:
    empty: Event[Thing] = Event(None, None)
    with pytest.raises(ValueError, match="at least one state"):
        _ = empty.obj


def test_an_event_did_not_come_with_a_list_unless_it_says_so() -> None:
    assert not Event(None, NEW).listed
    assert Event(None, NEW, listed=True) != Event(None, NEW)


def test_an_event_is_told_to_many_and_changed_by_none() -> None:
    with pytest.raises(AttributeError):
        Event(OLD, NEW).old = None  # type: ignore[misc]
