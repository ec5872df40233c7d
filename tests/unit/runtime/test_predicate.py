"""Which events matter."""

import pytest

from kfx.runtime.event import Event
from kfx.runtime.predicate import all_of, any_of, generation_changed, resource_version_changed
from tests.things import thing

CAME, GONE = Event(None, thing("a", 1)), Event(thing("a", 1), None)
SAME = Event(thing("a", 1), thing("a", 1), listed=True)
STATUS = Event(thing("a", 1, generation=1), thing("a", 2, generation=1))
SPEC = Event(thing("a", 1, generation=1), thing("a", 2, generation=2))


@pytest.mark.parametrize(("event", "passes"), [(CAME, True), (GONE, True), (SAME, False), (STATUS, True)])
def test_a_list_that_brings_the_same_version_is_no_change(event: Event, passes: bool) -> None:
    assert resource_version_changed(event) is passes


@pytest.mark.parametrize(("event", "passes"), [(CAME, True), (GONE, True), (STATUS, False), (SPEC, True)])
def test_a_generation_changes_with_the_specification_only(event: Event, passes: bool) -> None:
    assert generation_changed(event) is passes


def test_predicates_combine_by_any_and_all() -> None:
    assert any_of(generation_changed, resource_version_changed)(STATUS)
    assert not all_of(generation_changed, resource_version_changed)(STATUS)
    assert all_of(generation_changed, resource_version_changed)(SPEC)
