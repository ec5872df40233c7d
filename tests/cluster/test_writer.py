"""Plans and events against a real API server: what it stores, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import msgspec
import pytest

from hack.cluster.layout import Layout
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from kfx.kube.model import KubeObject, Model
from kfx.kube.resource import Resource
from kfx.runtime.events import EVENTS, EventRecorder
from kfx.runtime.leader import LeadershipLost
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.plan import Count, Create, Delete, Note, Patch, Plan
from kfx.runtime.reconcile import Result, StaleRead, TerminalError
from kfx.runtime.writer import Writer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMESPACE = "default"
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
FINALIZER = "example.com/parts"


class ThingStatus(Model, kw_only=True):
    phase: str = ""
    ready: int = 0
    parts: tuple[str, ...] = ()


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = Resource("example.com", "v1", "things", "Thing")
    status: ThingStatus | None = None


class ConfigMap(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = CONFIG_MAPS
    data: dict[str, str] | None = None


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "things", "kind": "Thing", "listKind": "ThingList", "singular": "thing"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


class Bench:
    """A writer with its recorder, and a look at what is stored."""

    def __init__(self, client: Client) -> None:
        self.client, self.metrics = client, RuntimeMetrics()
        self.metrics.register_counter("made_total", "Made.")
        self.recorder = EventRecorder(client, "thing-controller", metrics=self.metrics)
        self.writer = Writer(client, self.recorder, self.metrics)

    @property
    def counted(self) -> float:
        return self.metrics.registry.get_sample_value("made_total") or 0

    async def thing(self, name: str, **metadata: Any) -> Thing:
        manifest = {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
            "spec": {"unread": True},
        }
        await self.client.create(Thing.resource, manifest)
        return await self.read(name)

    async def read(self, name: str) -> Thing:
        return await self.client.get(Thing, NAMESPACE, name)

    async def stored(self, resource: Resource, name: str) -> dict[str, Any] | None:
        try:
            return await self.client.get_document(resource, NAMESPACE, name)
        except NotFound:
            return None

    async def events(self, name: str) -> list[dict[str, Any]]:
        found = await self.client.request(
            "GET", EVENTS.path(NAMESPACE), query={"fieldSelector": f"involvedObject.name={name}"}
        )
        items: list[dict[str, Any]] = found["items"]
        return items


@pytest.fixture
async def bench(cluster: Layout) -> AsyncIterator[Bench]:
    async with Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="test") as client:
        await define_things(client)
        bench = Bench(client)
        async with bench.recorder.running():
            yield bench


async def define_things(client: Client) -> None:
    try:
        await client.create(DEFINITIONS, DEFINITION)
    except AlreadyExists:
        return
    async with asyncio.timeout(30):
        while True:
            try:
                await client.request("GET", Thing.resource.path(NAMESPACE))
                return
            except NotFound:
                await asyncio.sleep(0.05)


def part(name: str, owner: Thing, **changed: Any) -> Create:
    reference = {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": [reference]}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}, **changed}
    return Create(resource=CONFIG_MAPS, manifest=manifest, owner_uid=owner.metadata.uid)


async def eventually(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(30):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def test_a_whole_plan_is_stored(bench: Bench) -> None:
    owner = await bench.thing("whole")
    await bench.writer.apply(owner, Plan(create=(part("whole-0", owner), part("whole-2", owner))))
    old = await bench.client.get(ConfigMap, NAMESPACE, "whole-0")
    other = await bench.client.get(ConfigMap, NAMESPACE, "whole-2")
    plan = Plan(
        add_finalizers=(FINALIZER,),
        intent=ThingStatus(phase="Making"),
        create=(part("whole-1", owner),),
        patch=(Patch(target=other, changes={"data": {"a": None, "c": "d"}}),),
        status=ThingStatus(phase="Made", ready=1, parts=("whole-1",)),
        delete=(Delete(resource=CONFIG_MAPS, namespace=NAMESPACE, name="whole-0", uid=old.metadata.uid),),
        notes=(Note("Normal", "Made", "made whole-1"),),
        counts=(Count("made_total"),),
        requeue_after=2.5,
    )
    assert await bench.writer.apply(owner, plan) == Result(2.5)

    stored = await bench.stored(Thing.resource, "whole")
    assert stored is not None
    assert stored["metadata"]["finalizers"] == [FINALIZER]
    assert stored["status"] == {"phase": "Made", "ready": 1, "parts": ["whole-1"]}
    assert stored["spec"] == {"unread": True}  # what is not read is not lost
    made = await bench.stored(CONFIG_MAPS, "whole-1")
    assert made is not None
    assert made["metadata"]["ownerReferences"][0]["uid"] == owner.metadata.uid
    assert await bench.stored(CONFIG_MAPS, "whole-0") is None
    patched = await bench.stored(CONFIG_MAPS, "whole-2")
    assert patched is not None
    assert patched["data"] == {"c": "d"}
    assert bench.counted == 1
    [event] = await eventually(lambda: bench.events("whole"))
    assert (event["reason"], event["message"], event["count"]) == ("Made", "made whole-1", 1)


async def test_a_plan_that_is_stored_already_writes_nothing(bench: Bench) -> None:
    owner = await bench.thing("twice")
    status = ThingStatus(phase="Made", ready=1)
    plan = Plan(add_finalizers=(FINALIZER,), intent=status, status=status, create=(part("twice-1", owner),))
    await bench.writer.apply(owner, plan)
    once = await bench.read("twice")
    await bench.writer.apply(once, plan)
    assert await bench.read("twice") == once


async def test_a_status_shrinks_to_what_is_wanted(bench: Bench) -> None:
    await bench.writer.apply(
        await bench.thing("shrink"), Plan(status=ThingStatus(phase="Made", ready=2, parts=("a", "b")))
    )
    await bench.writer.apply(await bench.read("shrink"), Plan(status=ThingStatus(parts=("a",))))
    stored = await bench.stored(Thing.resource, "shrink")
    assert stored is not None
    assert stored["status"] == {"parts": ["a"]}


async def test_an_owner_that_somebody_changed_gets_no_parts(bench: Bench) -> None:
    owner = await bench.thing("changed")
    await bench.client.patch(Thing.resource, NAMESPACE, "changed", {"spec": {"by": "somebody"}})
    plan = Plan(intent=ThingStatus(phase="Making"), create=(part("changed-1", owner),))
    with pytest.raises(Conflict):
        await bench.writer.apply(owner, plan)
    assert await bench.stored(CONFIG_MAPS, "changed-1") is None


async def test_another_object_that_somebody_changed_is_left_alone(bench: Bench) -> None:
    owner = await bench.thing("other")
    await bench.writer.apply(owner, Plan(create=(part("other-1", owner),)))
    read = await bench.client.get(ConfigMap, NAMESPACE, "other-1")
    await bench.client.patch(CONFIG_MAPS, NAMESPACE, "other-1", {"data": {"by": "somebody"}})
    plan = Plan(patch=(Patch(target=read, changes={"data": {"by": "us"}}),), status=ThingStatus(phase="Made"))
    with pytest.raises(Conflict):
        await bench.writer.apply(owner, plan)
    assert (await bench.read("other")).status is None


async def test_an_owner_read_before_the_last_write_is_not_acted_on(bench: Bench) -> None:
    owner = await bench.thing("early")
    await bench.writer.apply(owner, Plan(status=ThingStatus(phase="A")))
    with pytest.raises(StaleRead):
        await bench.writer.apply(owner, Plan(create=(part("early-1", owner),)))
    await bench.writer.apply(await bench.read("early"), Plan(create=(part("early-1", owner),)))
    assert await bench.stored(CONFIG_MAPS, "early-1") is not None


async def test_an_owner_that_is_gone_is_a_quiet_end(bench: Bench) -> None:
    owner = await bench.thing("gone")
    await bench.client.delete(Thing.resource, NAMESPACE, "gone")
    plan = Plan(intent=ThingStatus(phase="Making"), create=(part("gone-1", owner),), requeue_after=1)
    assert await bench.writer.apply(owner, plan) == Result()
    assert await bench.stored(CONFIG_MAPS, "gone-1") is None


async def test_a_name_that_somebody_else_uses_is_not_adopted(bench: Bench) -> None:
    first, second = await bench.thing("first"), await bench.thing("second")
    await bench.writer.apply(first, Plan(create=(part("shared", first),)))
    with pytest.raises(TerminalError, match=r"ConfigMap default/shared exists already .* Thing first"):
        await bench.writer.apply(second, Plan(create=(part("shared", second),)))
    await bench.writer.apply(first, Plan(create=(part("shared", first),)))  # ours counts as made


async def test_one_bad_manifest_does_not_keep_the_others_from_being_made(bench: Bench) -> None:
    owner = await bench.thing("mixed")
    bad = part("mixed-1", owner, metadata={"name": "Not_A_Name", "namespace": NAMESPACE})
    plan = Plan(create=(bad, part("mixed-2", owner)), status=ThingStatus(phase="Made"))
    with pytest.raises(Invalid, match="Not_A_Name"):
        await bench.writer.apply(owner, plan)
    assert await bench.stored(CONFIG_MAPS, "mixed-2") is not None
    assert (await bench.read("mixed")).status is None  # it must not speak of what does not exist


async def test_only_what_was_read_is_deleted(bench: Bench) -> None:
    owner = await bench.thing("precise")
    await bench.writer.apply(owner, Plan(create=(part("precise-1", owner),)))
    stale = Delete(resource=CONFIG_MAPS, namespace=NAMESPACE, name="precise-1", uid="another-life")
    with pytest.raises(Conflict):
        await bench.writer.apply(owner, Plan(delete=(stale,)))
    assert await bench.stored(CONFIG_MAPS, "precise-1") is not None
    absent = Delete(resource=CONFIG_MAPS, namespace=NAMESPACE, name="precise-2", uid="any")
    await bench.writer.apply(owner, Plan(delete=(absent,)))


async def test_the_last_finalizer_lets_an_owner_go(bench: Bench) -> None:
    owner = await bench.thing("leaving", finalizers=[FINALIZER])
    await bench.client.delete(Thing.resource, NAMESPACE, "leaving")
    leaving = await bench.read("leaving")
    assert leaving.metadata.deletion_timestamp
    assert leaving.metadata.uid == owner.metadata.uid
    plan = Plan(release=(FINALIZER,), counts=(Count("made_total"),))
    assert await bench.writer.apply(leaving, plan) == Result()
    assert await bench.stored(Thing.resource, "leaving") is None
    assert bench.counted == 1
    assert len(bench.writer._expectations) == 0


async def test_a_process_that_lost_its_lease_stores_nothing(cluster: Layout, bench: Bench) -> None:
    def fence() -> None:
        raise LeadershipLost("gone")

    owner = await bench.thing("fenced")
    credentials = load_credentials(str(cluster.kubeconfig))
    async with Client.connect(credentials, user_agent="test", fence=fence) as fenced:
        old = Writer(fenced, bench.recorder, bench.metrics)
        for plan in (
            Plan(add_finalizers=(FINALIZER,)),
            Plan(status=ThingStatus(phase="A")),
            Plan(create=(part("fenced-1", owner),)),
            Plan(delete=(Delete(resource=Thing.resource, namespace=NAMESPACE, name="fenced", uid=""),)),
        ):
            with pytest.raises(LeadershipLost):
                await old.apply(owner, plan)
    assert await bench.read("fenced") == owner
    assert await bench.stored(CONFIG_MAPS, "fenced-1") is None


async def test_equal_events_are_one_that_counts(bench: Bench) -> None:
    owner = await bench.thing("noisy")
    for _ in range(3):
        bench.recorder.note(owner, Note("Warning", "Failed", "it failed"))

    async def counted() -> bool:
        return [event["count"] for event in await bench.events("noisy")] == [3]

    await eventually(counted)
    [event] = await bench.events("noisy")
    assert event["involvedObject"]["uid"] == owner.metadata.uid
    assert event["source"] == {"component": "thing-controller"}


async def test_similar_events_are_gathered(bench: Bench) -> None:
    owner = await bench.thing("similar")
    for number in range(12):
        bench.recorder.note(owner, Note("Warning", "Failed", f"failure {number}"))

    async def gathered() -> list[dict[str, Any]]:
        return [
            e
            for e in await bench.events("similar")
            if e["message"].startswith("(combined") and e["count"] == 3
        ]

    [event] = await eventually(gathered)
    assert event["message"] == "(combined from similar events): failure 11"
    assert len(await bench.events("similar")) == 10


async def test_an_event_in_a_namespace_that_is_going_away_is_given_up(bench: Bench) -> None:
    owner = await bench.thing("last-words")
    metadata = {"name": "leaving", "finalizers": []}
    await bench.client.create(NAMESPACES, {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}})
    await bench.client.delete(NAMESPACES, "", "leaving")

    async def refused() -> bool:
        try:
            await bench.client.create(EVENTS, {"metadata": {"name": "probe"}}, namespace="leaving")
        except Forbidden:
            return True
        except ApiError:
            return False
        return False

    await eventually(refused)
    bench.recorder.note(moved(owner, "leaving"), Note("Warning", "Failed", "it failed"))

    async def dropped() -> bool:
        name = "kfx_events_dropped_total"
        return bench.metrics.registry.get_sample_value(name, {"reason": "refused"}) == 1

    await eventually(dropped)


def moved(owner: Thing, namespace: str) -> Thing:
    metadata = msgspec.structs.replace(owner.metadata, namespace=namespace)
    return msgspec.structs.replace(owner, metadata=metadata)
