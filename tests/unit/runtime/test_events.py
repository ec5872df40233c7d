"""When events are posted and when they are given up. What the server makes of them: tests/cluster."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from kfx.kube.errors import Forbidden, NotFound, TransportError
from kfx.kube.model import KubeObject, ObjectMeta
from kfx.kube.resource import Resource
from kfx.runtime.events import LONGEST_MESSAGE, LONGEST_QUEUE, EventRecorder
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.plan import Note

NOTE = Note("Warning", "Failed", "it failed")


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = Resource("example.com", "v1", "things", "Thing")


def thing(name="t", namespace="ns", uid="u1"):
    return Thing(metadata=ObjectMeta(name=name, namespace=namespace, uid=uid, resource_version="9"))


class Journal:
    """A client that writes down what it is asked; ``fail`` is raised by the calls to come, in turn."""

    def __init__(self):
        self.created, self.patched, self.fail, self.delay, self.tries = [], [], [], 0.0, []

    def without_fence(self, user_agent):
        return self

    async def _travel(self):
        self.tries.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delay)
        if self.fail:
            error = self.fail.pop(0)
            if error:
                raise error

    async def create(self, resource, manifest, *, namespace=""):
        await self._travel()
        self.created.append((namespace, manifest))

    async def patch(self, resource, namespace, name, changes):
        await self._travel()
        self.patched.append((namespace, name, changes))


class Bench:
    def __init__(self):
        self.client, self.metrics = Journal(), RuntimeMetrics()
        self.recorder = EventRecorder(
            self.client, "thing-controller", metrics=self.metrics, now=self.now, jitter=lambda: 0.5
        )

    def now(self):
        start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return start + timedelta(seconds=asyncio.get_running_loop().time())

    def dropped(self, reason):
        return self.metrics.registry.get_sample_value("kfx_events_dropped_total", {"reason": reason}) or 0


@pytest.fixture
def bench():
    return Bench()


async def test_an_event_says_what_happened_to_whom(bench):
    async with bench.recorder.running():
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
    [(namespace, manifest)] = bench.client.created
    assert re.fullmatch(r"t\.[0-9a-f]{16}", manifest["metadata"].pop("name"))
    assert namespace == "ns"
    assert manifest == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "involvedObject": {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "namespace": "ns",
            "name": "t",
            "uid": "u1",
            "resourceVersion": "9",
        },
        "type": "Warning",
        "reason": "Failed",
        "message": "it failed",
        "source": {"component": "thing-controller"},
        "reportingComponent": "thing-controller",
        "reportingInstance": "",
        "count": 1,
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
    }


async def test_the_same_again_counts_up_the_stored_event(bench):
    async with bench.recorder.running():
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(30)
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
    name = bench.client.created[0][1]["metadata"]["name"]
    changes = {"count": 2, "lastTimestamp": "2026-01-02T03:04:35Z", "message": "it failed"}
    assert bench.client.patched == [("ns", name, changes)]


async def test_a_stored_event_that_has_expired_is_made_again(bench):
    async with bench.recorder.running():
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
        bench.client.fail = [NotFound("gone", status=404)]
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
    first, second = (manifest for _, manifest in bench.client.created)
    assert (second["count"], second["firstTimestamp"]) == (2, first["firstTimestamp"])
    assert [(name, changes["count"]) for _, name, changes in bench.client.patched] == [
        (second["metadata"]["name"], 3)
    ]


async def test_an_event_about_a_cluster_wide_object_lives_in_default(bench):
    async with bench.recorder.running():
        bench.recorder.note(thing(namespace=""), NOTE)
    [(namespace, manifest)] = bench.client.created
    assert (namespace, manifest["metadata"]["namespace"]) == ("default", "default")
    assert "namespace" not in manifest["involvedObject"]


async def test_a_long_message_is_cut(bench):
    async with bench.recorder.running():
        bench.recorder.note(thing(), Note("Normal", "R", "x" * 5000))
    assert len(bench.client.created[0][1]["message"]) == LONGEST_MESSAGE


async def test_noting_never_waits_and_a_full_queue_drops(bench):
    for number in range(LONGEST_QUEUE + 3):
        bench.recorder.note(thing(str(number)), NOTE)
    assert bench.dropped("queue_full") == 3
    async with bench.recorder.running():
        await asyncio.sleep(1)
    assert len(bench.client.created) == LONGEST_QUEUE


async def test_events_about_many_objects_are_posted_side_by_side(bench):
    bench.client.delay = 1
    async with bench.recorder.running():
        for number in range(40):
            bench.recorder.note(thing(str(number), uid=str(number)), NOTE)
        await asyncio.sleep(1.5)
        assert len(bench.client.created) > 2


async def test_events_about_one_object_keep_their_order(bench):
    bench.client.delay = 0.01
    reasons = [f"Step{number}" for number in range(20)]
    async with bench.recorder.running():
        for reason in reasons:
            bench.recorder.note(thing(), Note("Normal", reason, "done"))
        await asyncio.sleep(1)
    assert [manifest["reason"] for _, manifest in bench.client.created] == reasons


async def test_a_refused_event_is_given_up_at_once(bench):
    bench.client.fail = [Forbidden("terminating", status=403, method="POST", path="/events")]
    with capture_logs() as logs:
        async with bench.recorder.running():
            bench.recorder.note(thing("a"), NOTE)
            bench.recorder.note(thing("b"), NOTE)
            await asyncio.sleep(1)
    assert bench.client.tries == [0, 0]
    assert [m["involvedObject"]["name"] for _, m in bench.client.created] == ["b"]
    assert bench.dropped("refused") == 1
    assert [line["event"] for line in logs] == ["event refused"]


async def test_an_event_waits_for_an_api_server_that_is_away(bench):
    bench.client.fail = [TransportError("away")] * 3
    async with bench.recorder.running():
        bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(100)
    assert bench.client.tries == [0, 5, 15, 25]
    assert len(bench.client.created) == 1


async def test_after_twelve_tries_an_event_is_given_up(bench):
    bench.client.fail = [TransportError("away")] * 12
    async with bench.recorder.running():
        bench.recorder.note(thing("a"), NOTE)
        bench.recorder.note(thing("b"), NOTE)
        await asyncio.sleep(200)
    assert bench.dropped("unreachable") == 1
    assert [m["involvedObject"]["name"] for _, m in bench.client.created] == ["b"]


async def test_a_noisy_object_is_cut_short(bench):
    async with bench.recorder.running():
        for _ in range(40):
            bench.recorder.note(thing(), NOTE)
        await asyncio.sleep(1)
    assert bench.dropped("too_many") == 15
    assert len(bench.client.created) + len(bench.client.patched) == 25


async def test_what_is_queued_at_the_stop_is_still_posted(bench):
    bench.client.delay = 0.5
    async with bench.recorder.running():
        for name in "abc":
            bench.recorder.note(thing(name), NOTE)
    assert len(bench.client.created) == 3


async def test_a_stop_waits_two_seconds_at_most(bench, clock):
    bench.client.delay = 0.75
    async with bench.recorder.running():
        for number in range(10):
            bench.recorder.note(thing(str(number)), NOTE)
    assert clock == 2
    assert len(bench.client.created) == 2
    assert bench.dropped("stopped") == 8
