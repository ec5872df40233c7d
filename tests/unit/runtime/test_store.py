"""Objects by key and by index, as readers see them."""

import pytest

from kfx.kube.model import unreadable_kind
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Store
from tests.things import Thing, thing


def by_group(found: Thing) -> tuple[str, ...]:
    return (found.spec.group,)


def names(found: list[Thing]) -> list[str]:
    return [each.metadata.name for each in found]


@pytest.fixture
def store() -> Store[Thing]:
    return Store({"group": by_group})


def key(name: str) -> Request:
    return Request("ns", name)


def test_what_is_put_can_be_read_and_what_was_there_is_told(store: Store[Thing]) -> None:
    first, second = thing("a", 1), thing("a", 2)
    assert store.put(first) == Event(None, first)
    assert store.put(second, listed=True) == Event(first, second, listed=True)
    assert store.get(key("a")) is second
    assert len(store) == 1


def test_the_last_state_of_what_goes_is_the_servers_where_it_is_known(store: Store[Thing]) -> None:
    old, last = thing("a", 1), thing("a", 2)
    store.put(old)
    assert store.drop(key("a"), last) == Event(last, None)
    store.put(old)
    assert store.drop(key("a")) == Event(old, None)
    assert store.drop(key("a")) is None
    assert store.get(key("a")) is None


def test_an_object_is_found_under_its_newest_value_only(store: Store[Thing]) -> None:
    store.put(thing("a", 1, group="x"))
    store.put(thing("a", 2, group="y"))
    assert names(store.by_index("group", "x")) == []
    assert names(store.by_index("group", "y")) == ["a"]


def test_an_index_keeps_the_order_and_the_newest_state(store: Store[Thing]) -> None:
    for name in "bac":
        store.put(thing(name, 1, group="x"))
    store.put(thing("b", 9, group="x"))
    found = store.by_index("group", "x")
    assert names(found) == ["b", "a", "c"]
    assert found[0].metadata.resource_version == "9"


def test_an_object_is_found_under_each_of_its_values(store: Store[Thing]) -> None:
    store.add_indexers({"letters": lambda found: found.spec.group})
    store.put(thing("a", 1, group="xy"))
    store.put(thing("b", 2, group="y"))
    store.put(thing("a", 3, group="yz"))
    found = {letter: names(store.by_index("letters", letter)) for letter in "xyz"}
    assert found == {"x": [], "y": ["a", "b"], "z": ["a"]}


def test_a_value_that_is_named_twice_counts_once(store: Store[Thing]) -> None:
    store.add_indexers({"letters": lambda found: found.spec.group})
    store.put(thing("a", 1, group="xxy"))
    assert names(store.by_index("letters", "x")) == ["a"]
    store.put(thing("a", 2, group="yy"))
    assert names(store.by_index("letters", "x")) == []
    store.drop(key("a"))
    assert store._indices == {"group": {}, "letters": {}}


def test_what_is_gone_leaves_no_trace_in_an_index(store: Store[Thing]) -> None:
    store.put(thing("a", 1, group="x"))
    store.drop(key("a"))
    assert store.by_index("group", "x") == []
    assert store._indices == {"group": {}}


def test_an_index_that_comes_late_knows_what_was_there(store: Store[Thing]) -> None:
    store.put(thing("a", 1))
    store.add_indexers({"name": lambda found: (found.metadata.name,)})
    assert names(store.by_index("name", "a")) == ["a"]


def test_one_name_cannot_stand_for_two_functions(store: Store[Thing]) -> None:
    store.add_indexers({"group": by_group})
    with pytest.raises(ValueError, match="'group' is declared twice"):
        store.add_indexers({"group": lambda _: ()})


def test_an_index_nobody_declared_is_an_error(store: Store[Thing]) -> None:
    with pytest.raises(KeyError):
        store.by_index("colour", "red")


def test_what_is_missing_from_a_list_is_told(store: Store[Thing]) -> None:
    for name in "abc":
        store.put(thing(name))
    assert store.missing_from({key("b")}) == [key("a"), key("c")]


def test_a_list_that_is_handed_out_is_the_readers_own(store: Store[Thing]) -> None:
    store.put(thing("a"))
    store.all().clear()
    store.keys().clear()
    assert len(store) == 1


def test_what_cannot_be_read_stands_beside_what_was_known(store: Store[Thing]) -> None:
    known = thing("a", 1, group="x")
    stand_in = unreadable_kind(Thing.resource)(metadata=thing("a", 2).metadata, problem="no")
    store.put(known)
    assert store.put_unreadable(stand_in) == Event(None, stand_in)
    assert (store.get(key("a")), store.unreadable(key("a"))) == (known, stand_in)
    assert (store.by_index("group", "x"), store.missing_from(())) == ([known], [key("a")])
    store.put(thing("a", 3))
    assert store.unreadable(key("a")) is None


def test_a_stand_in_goes_with_its_object_only(store: Store[Thing]) -> None:
    stand_in = unreadable_kind(Thing.resource)(metadata=thing("a", 2).metadata, problem="no")
    store.put_unreadable(stand_in)
    assert (store.missing_from(()), store.drop(key("a"))) == ([key("a")], None)
    assert store.drop_unreadable(key("a"), listed=True) == Event(stand_in, None, listed=True)
    assert store.drop_unreadable(key("a")) is None
