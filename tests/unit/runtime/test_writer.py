"""What is sent, in which order, and what happens when it is refused. The server's side: tests/cluster."""

import asyncio
from dataclasses import replace
from typing import ClassVar

import pytest

from kfx.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, TransportError
from kfx.kube.model import KubeObject, Model, ObjectMeta
from kfx.kube.resource import Resource
from kfx.runtime.leader import LeadershipLost
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.plan import Count, Create, Delete, Note, Patch, Plan
from kfx.runtime.reconcile import Result, StaleRead, TerminalError
from kfx.runtime.writer import CREATES_AT_ONCE, Writer

PARTS = Resource("", "v1", "parts", "Part")


class ThingStatus(Model, kw_only=True):
    phase: str = ""
    ready: int = 0
    parts: tuple[str, ...] = ()


class Thing(KubeObject, kw_only=True):
    resource: ClassVar[Resource] = Resource("example.com", "v1", "things", "Thing")
    status: ThingStatus | None = None


class Journal:
    """A client that writes down what it is asked and fails where it is told to."""

    def __init__(self):
        self.calls, self.fail, self.stored, self.version = [], {}, {}, 100

    def _enter(self, verb, name, *rest):
        self.calls.append((verb, name, *rest))
        error = self.fail.get((verb, name))
        if error is not None:
            raise error
        self.version += 1
        return {"metadata": {"resourceVersion": str(self.version)}}

    async def create(self, resource, manifest, *, namespace=""):
        return self._enter("create", manifest["metadata"]["name"])

    async def patch(self, resource, namespace, name, changes, *, subresource=""):
        return self._enter("patch", "/".join(filter(None, [name, subresource])), changes)

    async def delete(self, resource, namespace, name, *, uid="", resource_version="", propagation=""):
        self._enter("delete", name, uid, *filter(None, [resource_version]), propagation)

    async def get_document(self, resource, namespace, name):
        self._enter("get", name)
        return self.stored[name]

    @property
    def said(self):
        return [f"{verb} {name}" for verb, name, *_ in self.calls]


class Notes(list):
    def note(self, owner, note):
        self.append((owner.metadata.name, note.reason))


def thing(version="5", status=None, **metadata):
    meta = ObjectMeta(name="t", namespace="ns", uid="u1", resource_version=version, **metadata)
    return Thing(metadata=meta, status=status)


def create(name, owner_uid="u1"):
    return Create(
        resource=PARTS, manifest={"metadata": {"name": name, "namespace": "ns"}}, owner_uid=owner_uid
    )


def error(kind, status=409):
    return kind("no", status=status, reason=kind.__name__, method="X", path="/x")


OTHER = Thing(metadata=ObjectMeta(name="other", namespace="ns", resource_version="77"))
WHOLE = Plan(
    add_finalizers=("keep",),
    intent=ThingStatus(phase="Intended"),
    create=(create("p1"), create("p2")),
    patch=(Patch(target=OTHER, changes={"spec": {"n": 1}}),),
    status=ThingStatus(phase="Intended", ready=2),
    delete=(Delete(resource=PARTS, namespace="ns", name="p0", uid="u0", propagation="Background"),),
    release=("done",),
    notes=(Note("Normal", "Made", "made 2"),),
    counts=(Count("made_total", (("namespace", "ns"),)),),
    requeue_after=3.0,
)


class Bench:
    def __init__(self):
        self.client, self.notes, self.metrics = Journal(), Notes(), RuntimeMetrics()
        self.metrics.register_counter("made_total", "Made.", ("namespace",))
        self.writer = Writer(self.client, self.notes, self.metrics)

    async def apply(self, plan, owner=None):
        return await self.writer.apply(owner or thing(), plan)

    @property
    def counted(self):
        return self.metrics.registry.get_sample_value("made_total", {"namespace": "ns"}) or 0


@pytest.fixture
def bench():
    return Bench()


async def test_a_plan_is_carried_out_in_its_order(bench):
    result = await bench.apply(WHOLE, thing(finalizers=("done",)))
    assert bench.client.said == [
        "patch t",
        "patch t/status",
        "create p1",
        "create p2",
        "patch other",
        "patch t/status",
        "delete p0",
        "patch t",
    ]
    assert bench.notes == [("t", "Made")]
    assert bench.counted == 1
    assert result == Result(3.0)


async def test_each_write_of_the_owner_names_the_version_of_the_one_before(bench):
    await bench.apply(WHOLE, thing(finalizers=("done",)))
    sent = [call[2] for call in bench.client.calls if call[1] in ("t", "t/status")]
    assert sent == [
        {"metadata": {"finalizers": ["done", "keep"], "resourceVersion": "5"}},
        {"status": {"phase": "Intended"}, "metadata": {"resourceVersion": "101"}},
        {"status": {"ready": 2}, "metadata": {"resourceVersion": "102"}},
        {"metadata": {"finalizers": ["keep"], "resourceVersion": "106"}},
    ]


async def test_an_empty_plan_sends_nothing(bench):
    assert await bench.apply(Plan()) == Result()
    assert await bench.apply(Plan(requeue_after=7)) == Result(7)
    assert bench.client.calls == []


async def test_what_is_right_already_is_not_written(bench):
    status = ThingStatus(phase="Ready", ready=2, parts=("a",))
    plan = Plan(add_finalizers=("keep",), intent=status, status=status, release=("gone",))
    await bench.apply(plan, thing(status=status, finalizers=("keep",)))
    assert bench.client.calls == []


async def test_a_status_is_written_as_the_difference(bench):
    before = ThingStatus(phase="Ready", ready=2, parts=("a", "b"))
    await bench.apply(Plan(status=ThingStatus(phase="Ready", parts=("a",))), thing(status=before))
    assert bench.client.calls == [
        (
            "patch",
            "t/status",
            {"status": {"ready": None, "parts": ("a",)}, "metadata": {"resourceVersion": "5"}},
        )
    ]


async def test_another_object_is_patched_at_the_version_that_was_read(bench):
    changes = {"metadata": {"labels": {"a": "b"}}, "spec": {"n": 1}}
    await bench.apply(Plan(patch=(Patch(target=OTHER, changes=changes, subresource="scale"),)))
    guarded = {"metadata": {"labels": {"a": "b"}, "resourceVersion": "77"}, "spec": {"n": 1}}
    assert bench.client.calls == [("patch", "other/scale", guarded)]


async def test_a_deletion_names_the_uid_that_was_read(bench):
    await bench.apply(Plan(delete=WHOLE.delete))
    assert bench.client.calls == [("delete", "p0", "u0", "Background")]


async def test_a_deletion_may_name_the_version_that_was_read(bench):
    await bench.apply(Plan(delete=(replace(WHOLE.delete[0], resource_version="7"),)))
    assert bench.client.calls == [("delete", "p0", "u0", "7", "Background")]


@pytest.mark.parametrize("call", [("patch", "t"), ("patch", "t/status"), ("patch", "other")])
async def test_a_conflict_ends_the_plan_before_anything_is_said(bench, call):
    bench.client.fail[call] = error(Conflict)
    with pytest.raises(Conflict):
        await bench.apply(WHOLE)
    assert bench.client.said[-1] == " ".join(call)
    assert (bench.notes, bench.counted) == ([], 0)


async def test_an_intent_that_is_refused_keeps_anything_from_being_made(bench):
    bench.client.fail["patch", "t/status"] = error(Conflict)
    with pytest.raises(Conflict):
        await bench.apply(WHOLE)
    assert not any(said.startswith("create") for said in bench.client.said)


@pytest.mark.parametrize("call", [("patch", "t"), ("patch", "t/status")])
async def test_an_owner_that_is_gone_ends_the_plan_quietly(bench, call):
    """12.5.5, 12.5.7: in Katib an error, which is tried again to no end."""
    bench.client.fail[call] = error(NotFound, 404)
    assert await bench.apply(WHOLE) == Result()
    assert bench.client.said[-1] == " ".join(call)
    assert (bench.notes, bench.counted) == ([], 0)


async def test_another_object_that_is_gone_was_read_too_early(bench):
    bench.client.fail["patch", "other"] = error(NotFound, 404)
    with pytest.raises(StaleRead, match="ns/other"):
        await bench.apply(WHOLE)


async def test_what_is_on_its_way_out_is_not_deleted_again(bench):
    delete = Delete(resource=PARTS, namespace="ns", name="p0", uid="u0")
    for uid in ("u0", "u0", "another"):
        await bench.apply(Plan(delete=(replace(delete, uid=uid),)))
    assert [(name, uid) for _, name, uid, _ in bench.client.calls] == [("p0", "u0"), ("p0", "another")]


async def test_what_could_not_be_deleted_is_tried_again(bench):
    bench.client.fail["delete", "p0"] = error(Conflict)
    plan = Plan(delete=(Delete(resource=PARTS, namespace="ns", name="p0", uid="u0"),))
    for _ in range(2):
        with pytest.raises(Conflict):
            await bench.apply(plan)
    assert bench.client.said == ["delete p0", "delete p0"]


async def test_what_should_be_deleted_may_be_gone(bench):
    bench.client.fail["delete", "p0"] = error(NotFound, 404)
    await bench.apply(WHOLE)
    assert bench.notes == [("t", "Made")]


async def test_one_bad_manifest_does_not_keep_the_others_from_being_made(bench):
    bench.client.fail["create", "p1"] = error(Invalid, 422)
    with pytest.raises(Invalid):
        await bench.apply(WHOLE)
    assert bench.client.said[-1] == "create p2"
    assert bench.notes == []


async def test_several_bad_manifests_are_all_told(bench):
    for name in ("p1", "p2"):
        bench.client.fail["create", name] = error(Invalid, 422)
    with pytest.raises(ExceptionGroup, match="2 of 2 objects were not created") as caught:
        await bench.apply(WHOLE)
    assert len(caught.value.exceptions) == 2


async def test_a_server_that_is_away_ends_the_round(bench):
    bench.client.fail["create", "p1"] = TransportError("cut")
    with pytest.raises(TransportError):
        await bench.apply(WHOLE)
    assert bench.client.said[-1] == "create p1"


class Slow(Journal):
    """Each creation takes a second; ``most`` were under way at once."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0

    async def create(self, resource, manifest, *, namespace=""):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(1)
        self.now -= 1
        return await super().create(resource, manifest)


async def test_many_objects_are_made_side_by_side_once_one_is_made(bench, clock):
    client = Slow()
    writer = Writer(client, Notes(), bench.metrics)
    names = [f"p{number}" for number in range(1 + 3 * CREATES_AT_ONCE)]
    await writer.apply(thing(), Plan(create=tuple(create(name) for name in names)))
    assert clock == 4
    assert client.most == CREATES_AT_ONCE
    assert sorted(client.said) == sorted(f"create {name}" for name in names)


async def test_objects_of_another_kind_wait_until_those_before_are_made(bench, clock):
    """A RoleBinding is refused as long as its Role is not there."""
    client = Slow()
    writer = Writer(client, Notes(), bench.metrics)
    kinds = [PARTS, replace(PARTS, plural="roles"), replace(PARTS, plural="bindings")]
    plan = Plan(create=tuple(replace(create(kind.plural), resource=kind) for kind in kinds))
    await writer.apply(thing(), plan)
    assert (clock, client.most) == (3, 1)
    assert client.said == [f"create {kind.plural}" for kind in kinds]


async def test_a_server_that_is_away_is_not_asked_for_another_kind(bench):
    bench.client.fail["create", "p1"] = TransportError("cut")
    other = replace(create("q1"), resource=replace(PARTS, plural="others"))
    with pytest.raises(TransportError):
        await bench.apply(Plan(create=(create("p1"), other)))
    assert bench.client.said == ["create p1"]


async def test_a_server_that_goes_away_meanwhile_is_asked_for_no_more(bench):
    client = Slow()
    writer = Writer(client, Notes(), bench.metrics)
    names = [f"p{number}" for number in range(100)]
    client.fail = {("create", name): TransportError("cut") for name in names[1:]}
    with pytest.raises(ExceptionGroup, match="of 100 objects were not created"):
        await writer.apply(thing(), Plan(create=tuple(create(name) for name in names)))
    assert len(client.calls) == 1 + CREATES_AT_ONCE


async def test_lost_leadership_ends_the_plan_at_once(bench):
    bench.client.fail["create", "p1"] = LeadershipLost("gone")
    with pytest.raises(LeadershipLost):
        await bench.apply(WHOLE)
    assert bench.client.said[-1] == "create p1"


def taken(bench, *owners):
    bench.client.fail["create", "p1"] = error(AlreadyExists)
    bench.client.stored["p1"] = {"metadata": {"ownerReferences": list(owners)}}


async def test_a_name_that_is_taken_by_ourselves_counts_as_made(bench):
    taken(
        bench, {"uid": "x", "kind": "Thing"}, {"uid": "u1", "controller": True, "kind": "Thing", "name": "t"}
    )
    await bench.apply(WHOLE)
    assert bench.client.said[2:5] == ["create p1", "get p1", "create p2"]
    assert bench.notes == [("t", "Made")]


@pytest.mark.parametrize(
    ("owners", "found"),
    [
        ([{"uid": "u2", "controller": True, "kind": "Thing", "name": "t"}], r"Thing t \(uid u2\)"),
        ([{"uid": "u1", "kind": "Thing", "name": "t"}], "nobody"),
        ([], "nobody"),
    ],
    ids=["another-life-of-the-owner", "not-its-controller", "nobody"],
)
async def test_a_name_that_is_taken_by_somebody_else_is_never_adopted(bench, owners, found):
    taken(bench, *owners)
    with pytest.raises(
        TerminalError, match=f"Part ns/p1 exists already and its controller is {found}"
    ) as caught:
        await bench.apply(WHOLE)
    assert "delete it" in str(caught.value)
    assert bench.notes == []


async def test_an_owner_read_before_our_last_write_is_not_acted_on(bench):
    await bench.apply(Plan(status=ThingStatus(phase="A")))  # now at 101
    before = list(bench.client.calls)
    with pytest.raises(StaleRead, match="Thing ns/t"):
        await bench.apply(Plan(create=(create("p1"),)), thing("99"))
    with pytest.raises(StaleRead, match="Thing ns/t"):
        bench.writer.refuse_stale(thing("99"))
    bench.writer.refuse_stale(thing("101"))
    assert bench.client.calls == before
    await bench.apply(Plan(create=(create("p1"),)), thing("101"))
    assert bench.client.said[-1] == "create p1"
