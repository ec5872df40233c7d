"""From an event through predicate and handler into the queue."""

from kfx.kube.model import unreadable_kind
from kfx.runtime.event import Event
from kfx.runtime.handler import EnqueueRequestForObject
from kfx.runtime.reconcile import Request
from kfx.runtime.source import Gathering, Watch
from kfx.runtime.workqueue import Priority, WorkQueue
from tests.things import Thing, thing

KEY = Request("ns", "a")


class Queue:
    """Notes what is added."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Priority]] = []

    def add(self, item: Request, *, priority: Priority = Priority.NORMAL) -> None:
        self.added.append((item.name, priority))


def added(*events: Event) -> list[tuple[str, Priority]]:
    queue = Queue()
    for event in events:
        Watch(EnqueueRequestForObject(), queue).offer(event)
    return queue.added


def test_what_the_predicate_refuses_is_not_queued() -> None:
    assert added(Event(thing("a", 1), thing("a", 1))) == []


def test_what_a_first_list_brings_waits_behind_fresh_changes() -> None:
    assert added(Event(None, thing("a"), listed=True)) == [("a", Priority.LOW)]


def test_what_has_really_changed_does_not_wait() -> None:
    changes = [
        Event(None, thing("new")),
        Event(thing("missed", 1), thing("missed", 2), listed=True),
        Event(thing("gone"), None, listed=True),
    ]
    assert added(*changes) == [(name, Priority.NORMAL) for name in ("new", "missed", "gone")]


def test_what_does_not_decode_passes_by_the_predicate_which_may_look_at_anything() -> None:
    queue = Queue()
    stand_in = unreadable_kind(Thing.resource)(metadata=thing("a").metadata, problem="no")
    Watch(EnqueueRequestForObject(), queue, lambda event: event.new.spec.group).offer_unreadable(
        Event(None, stand_in)
    )
    assert queue.added == [("a", Priority.NORMAL)]


async def test_what_is_gathered_is_one_look_after_its_time(clock) -> None:
    queue: WorkQueue[Request] = WorkQueue()
    gathering = Gathering(queue, {KEY: 0.1}.__getitem__)
    for number in range(50):
        Watch(EnqueueRequestForObject(), gathering).offer(Event(None, thing("a", number)))
    assert len(queue) == 0
    assert await queue.get() == KEY
    assert clock == 0.1
    assert queue.state().delayed == 0
