"""Which keys an event concerns."""

import pytest

from kfx.runtime.event import Event
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner, EnqueueRequestsFromMapFunc
from kfx.runtime.reconcile import Request
from tests.things import Thing, thing


def owned(*owners: dict[str, object]) -> Thing:
    return thing(
        "a", ownerReferences=[{"apiVersion": "g.org/v1", "kind": "Owner", "uid": "u", **o} for o in owners]
    )


CONTROLLED = {"name": "o", "controller": True}


def test_an_object_stands_for_itself_also_when_it_goes() -> None:
    handler = EnqueueRequestForObject()
    for event in (Event(None, thing("a")), Event(thing("a"), thing("a")), Event(thing("a"), None)):
        assert list(handler.requests(event)) == [Request("ns", "a")]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        pytest.param(CONTROLLED, [Request("ns", "o")], id="controller"),
        pytest.param({**CONTROLLED, "apiVersion": "g.org/v9"}, [Request("ns", "o")], id="any-version"),
        pytest.param({"name": "o"}, [], id="an-owner-that-does-not-control"),
        pytest.param({**CONTROLLED, "kind": "Other"}, [], id="other-kind"),
        pytest.param({**CONTROLLED, "apiVersion": "h.org/v1"}, [], id="other-group"),
        pytest.param({**CONTROLLED, "apiVersion": "v1"}, [], id="core-group"),
    ],
)
def test_the_owner_is_the_controller_of_that_group_and_kind(
    owner: dict[str, object], expected: list[Request]
) -> None:
    found = EnqueueRequestForOwner("g.org", "Owner").requests(Event(None, owned(owner)))
    assert list(found) == expected


def test_what_nobody_owns_concerns_no_owner() -> None:
    handler = EnqueueRequestForOwner("g.org", "Owner", controller_only=False)
    assert list(handler.requests(Event(thing("a"), owned()))) == []


def test_every_owner_counts_where_that_is_asked_for() -> None:
    handler = EnqueueRequestForOwner("g.org", "Owner", controller_only=False)
    assert list(handler.requests(Event(None, owned({"name": "o"}, {"name": "p"})))) == [
        Request("ns", "o"), Request("ns", "p"),
    ]  # fmt: skip


def test_an_owner_of_no_namespace_is_asked_for_without_one() -> None:
    handler = EnqueueRequestForOwner("g.org", "Owner", namespaced=False)
    assert list(handler.requests(Event(None, owned(CONTROLLED)))) == [Request("", "o")]


def test_the_former_and_the_new_owner_are_both_concerned() -> None:
    event = Event(owned(CONTROLLED), owned({**CONTROLLED, "name": "p"}))
    found = EnqueueRequestForOwner("g.org", "Owner").requests(event)
    assert list(found) == [Request("ns", "o"), Request("ns", "p")]


def test_a_function_is_asked_about_both_states_and_each_key_comes_once() -> None:
    handler = EnqueueRequestsFromMapFunc(lambda t: [Request("ns", t.spec.group), Request("ns", "all")])
    event = Event(thing("a", group="x"), thing("a", group="y"))
    assert list(handler.requests(event)) == [Request("ns", "x"), Request("ns", "all"), Request("ns", "y")]
