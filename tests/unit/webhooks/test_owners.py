"""From a pod to its trial."""

from collections.abc import Mapping
from typing import Any

import pytest

from kfx.katib.pod_shape import read_owners
from kfx.kube.errors import ApiError, Forbidden, ServerError, TransportError, Unauthorized
from kfx.kube.model import Unstructured, to_builtins
from kfx.kube.resource import Resource
from kfx.runtime.store import Lister, Store
from kfx.webhooks.owners import MAX_DEPTH, MAX_READS, MEMORY_SECONDS, OwnerWalk
from tests.katib_objects import as_unstructured
from tests.unit.webhooks.documents import Answer, Documents, refusal

JOBS = Resource("batch", "v1", "jobs", "Job")


def reference(kind: str, name: str, api_version: str = "batch/v1") -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": f"{name}-uid"}


def owned(name: str, *owners: dict[str, Any], kind: str = "Job", uid: str = "") -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "user",
        "uid": uid or f"{name}-uid",
        "ownerReferences": list(owners),
    }
    return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata}


TRIAL = reference("Trial", "t", "kubeflow.org/v1beta1")


class Walk:
    """One walk over the answers of a server and a cache of Jobs."""

    def __init__(self, answers: Mapping[tuple[str, str], Answer], *cached: dict[str, Any]) -> None:
        self.documents = Documents(answers)
        store: Store[Unstructured] = Store()
        for document in cached:
            store.put(as_unstructured(document))
        jobs: dict[Resource, Lister[Unstructured]] = {JOBS: store}
        self.now = 0.0
        self._walk = OwnerWalk(client=self.documents, jobs=jobs, clock=lambda: self.now)

    async def find(self, *owners: dict[str, Any]) -> Any:
        found = await self._walk.find_trial(read_owners({"ownerReferences": owners}), "user")
        return found and to_builtins(found)

    @property
    def reads(self) -> list[str]:
        return [f"{kind} {name}" for kind, _, name in self.documents.reads]


async def test_a_pod_of_a_job_of_a_trial_is_found() -> None:
    """Row 8.9 owner walk 1."""
    walk = Walk({("Job", "j"): owned("j", TRIAL)})
    assert await walk.find(reference("Job", "j")) == TRIAL
    assert walk.documents.reads == [("Job", "user", "j")]


async def test_a_job_in_the_cache_costs_no_read() -> None:
    walk = Walk({}, owned("j", TRIAL))
    assert await walk.find(reference("Job", "j")) == TRIAL
    assert walk.reads == []


async def test_a_namesake_in_the_cache_is_not_believed() -> None:
    walk = Walk({("Job", "j"): owned("j")}, owned("j", TRIAL, uid="of-old"))
    assert await walk.find(reference("Job", "j")) is None
    assert walk.reads == ["Job j"]


async def test_an_owner_that_was_replaced_is_no_owner() -> None:
    assert await Walk({("Job", "j"): owned("j", TRIAL, uid="another")}).find(reference("Job", "j")) is None


async def test_a_pod_may_be_the_trials_job_itself() -> None:
    walk = Walk({})
    assert await walk.find(TRIAL) == TRIAL
    assert walk.reads == []


async def test_a_pod_without_owners_is_nobodys() -> None:
    assert await Walk({}).find() is None


async def test_the_second_owner_is_asked_where_the_first_leads_nowhere() -> None:
    """Row 8.9 owner walk 2."""
    walk = Walk({("Job", "j"): owned("j"), ("Deployment", "d"): owned("d", TRIAL, kind="Deployment")})
    assert await walk.find(reference("Job", "j"), reference("Deployment", "d", "apps/v1")) == TRIAL


async def test_a_job_without_a_trial_is_none_of_ours() -> None:
    """Row 8.9 owner walk 3."""
    assert await Walk({("Job", "j"): owned("j")}).find(reference("Job", "j")) is None


async def test_a_trial_of_another_group_is_none_of_ours() -> None:
    other = {**TRIAL, "apiVersion": "kubeflow.org/v1"}
    assert await Walk({("Job", "j"): owned("j", other)}).find(reference("Job", "j")) is None


async def test_an_owner_that_is_gone_is_no_owner() -> None:
    """P12: the Job."""
    """Row 8.9 owner walk 4."""
    assert await Walk({}).find(reference("Job", "j")) is None


@pytest.mark.parametrize(
    "api_version", [pytest.param("invalid/api/version", id="8.9 owner walk 5"), "", None]
)
async def test_an_owner_of_no_version_is_no_owner(api_version: Any) -> None:
    walk = Walk({})
    assert await walk.find({**reference("Job", "j"), "apiVersion": api_version}) is None
    assert walk.reads == []


async def test_a_long_chain_is_followed() -> None:
    walk = Walk(
        {
            ("Job", "j"): owned("j", reference("JobSet", "s", "jobset.x-k8s.io/v1alpha2")),
            ("JobSet", "s"): owned("s", reference("TrainJob", "x", "trainer.kubeflow.org/v1alpha1")),
            ("TrainJob", "x"): owned("x", TRIAL),
        }
    )
    assert await walk.find(reference("Job", "j")) == TRIAL
    assert walk.reads == ["Job j", "JobSet s", "TrainJob x"]


async def test_a_circle_ends() -> None:
    """K5: Katib follows it for ever."""
    walk = Walk(
        {("Job", "a"): owned("a", reference("Job", "b")), ("Job", "b"): owned("b", reference("Job", "a"))}
    )
    assert await walk.find(reference("Job", "a")) is None
    assert walk.reads == ["Job a", "Job b"]


async def test_a_chain_is_given_up_in_the_end() -> None:
    chain: dict[tuple[str, str], Answer] = {
        ("Job", f"j{i}"): owned(f"j{i}", reference("Job", f"j{i + 1}")) for i in range(20)
    }
    walk = Walk(chain)
    assert await walk.find(reference("Job", "j0")) is None
    assert len(walk.reads) == MAX_DEPTH


async def test_a_crowd_of_owners_is_given_up_too() -> None:
    walk = Walk({})
    assert await walk.find(*[reference("Job", f"j{i}") for i in range(100)]) is None
    assert len(walk.reads) == MAX_READS


@pytest.mark.parametrize(
    "error", [refusal(ServerError, 503), refusal(Unauthorized, 401), TransportError("cut")]
)
@pytest.mark.parametrize("owner", [reference("Job", "x"), reference("ReplicaSet", "x", "apps/v1")])
async def test_what_may_pass_is_told(error: Exception, owner: dict[str, Any]) -> None:
    """K5: the pod is put off, not run unmeasured."""
    walk = Walk({("Job", "x"): error, ("ReplicaSet", "x"): error})
    with pytest.raises((ApiError, TransportError)):
        await walk.find(owner)


@pytest.mark.parametrize("answer", [refusal(Forbidden, 403), None, owned("r", kind="ReplicaSet")])
async def test_an_owner_of_an_unrelated_kind_is_read_once_in_a_while(answer: Any) -> None:
    walk = Walk({("ReplicaSet", "r"): answer} if answer else {})
    for _ in range(3):
        assert await walk.find(reference("ReplicaSet", "r", "apps/v1")) is None
    assert walk.reads == ["ReplicaSet r"]
    walk.now = MEMORY_SECONDS
    await walk.find(reference("ReplicaSet", "r", "apps/v1"))
    assert len(walk.reads) == 2


async def test_a_chain_over_an_unrelated_kind_is_remembered_too() -> None:
    walk = Walk({("Workflow", "w"): owned("w", TRIAL, kind="Workflow")})
    for _ in range(2):
        assert await walk.find(reference("Workflow", "w", "argoproj.io/v1alpha1")) == TRIAL
    assert walk.reads == ["Workflow w"]
    other = {**reference("Workflow", "w", "argoproj.io/v1alpha1"), "uid": "another"}
    assert await walk.find(other) is None


@pytest.mark.parametrize("missing", ["name", "uid"])
async def test_a_reference_without_name_or_uid_is_not_followed(missing: str) -> None:
    walk = Walk({("Job", "j"): owned("j", TRIAL)})
    assert await walk.find({**reference("Job", "j"), missing: ""}) is None
    assert walk.reads == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Job", "."), ("Job", ".."), ("ReplicaSet", ".."), ("x?watch=true&y=", "x"), ("a/b", "x")],
)
async def test_a_reference_that_would_lead_elsewhere_is_not_followed(kind: str, name: str) -> None:
    walk = Walk({})
    assert await walk.find(reference(kind, name)) is None
    assert walk.reads == []


async def test_what_may_not_be_read_is_none_of_ours_unless_trials_run_it() -> None:
    forbidden = refusal(Forbidden, 403)
    assert await Walk({("ReplicaSet", "r"): forbidden}).find(reference("ReplicaSet", "r", "apps/v1")) is None
    with pytest.raises(Forbidden):
        await Walk({("Job", "j"): forbidden}).find(reference("Job", "j"))
