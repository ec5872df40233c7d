"""Another controller of the same objects: whom kfx waits for, and whom not."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from kfx.controllers.foreign import ForeignController, Self, foreign_gauge, foreign_image, is_pod_of
from kfx.kube.errors import Forbidden, ServerError, TransportError
from kfx.runtime.reconcile import Request
from tests.unit.webhooks.documents import Answer, Documents, refusal

KATIB, OWN = "ghcr.io/kubeflow/katib/katib-controller:v0.19.0", "ghcr.io/kubeflow/kfx:v0.1.0"
DEPLOYMENT, POD, LEASE = ("Deployment", "katib-controller"), "katib-controller-6d5f-abcde", ("Lease", "id")


def deployment(image: str = KATIB, *, available: int | None = 1, **containers: str) -> dict[str, Any]:
    images = {"katib-controller": image, **containers}
    return {
        "spec": {"template": {"spec": {"containers": [{"name": n, "image": i} for n, i in images.items()]}}},
        "status": {} if available is None else {"availableReplicas": available},
    }


def pod(owner: str = "katib-controller-6d5f", template: str = "6d5f", **reference: Any) -> dict[str, Any]:
    owners = [{"kind": "ReplicaSet", "name": owner, "controller": True, **reference}]
    return {"metadata": {"labels": {"pod-template-hash": template}, "ownerReferences": owners}}


def lease(holder: str) -> dict[str, Any]:
    return {"metadata": {"name": "id"}, "spec": {"holderIdentity": holder}}


class World:
    """What the API server has, and one process that looks at it."""

    def __init__(self, answers: dict[tuple[str, str], Answer], **own: Any) -> None:
        self.documents = Documents(answers)
        self.registry = CollectorRegistry()
        self.foreign = ForeignController(
            self.documents,
            namespace="kubeflow",
            own=Self(image=OWN, **own),
            gauge=foreign_gauge(self.registry),
        )

    @property
    def gauge(self) -> float | None:
        return self.registry.get_sample_value("kfx_foreign_controller")

    async def waits(self) -> bool:
        """Whether the controllers are still held back after a minute."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.foreign.running())
            try:
                async with asyncio.timeout(60):
                    await self.foreign.gone()
            except TimeoutError:
                return True
        return False


IN_THE_DEPLOYMENT = {"pod": Request("kubeflow", POD)}
ELECTING = {"lease": Request("kubeflow", "id")}


@pytest.mark.parametrize(
    ("answers", "own"),
    [
        pytest.param({}, {}, id="nobody-there"),
        pytest.param({DEPLOYMENT: deployment(available=None)}, {}, id="never-available"),
        pytest.param({DEPLOYMENT: deployment(available=0)}, {}, id="scaled-to-zero"),
        pytest.param({DEPLOYMENT: deployment(OWN)}, {}, id="the-same-image"),
        pytest.param(
            {DEPLOYMENT: deployment(), ("Pod", POD): pod()}, IN_THE_DEPLOYMENT, id="this-is-one-of-its-pods"
        ),
        pytest.param(
            {DEPLOYMENT: deployment(), LEASE: lease(f"{POD}_uuid"), ("Pod", POD): pod()},
            ELECTING,
            id="it-holds-the-lease-that-both-compete-for",
        ),
    ],
)
async def test_nobody_is_waited_for_who_cannot_be_in_the_way(
    answers: dict[tuple[str, str], Answer], own: dict[str, Any]
) -> None:
    world = World(answers, **own)
    with capture_logs() as lines:
        assert not await world.waits()
    assert world.foreign.check() is None
    assert world.gauge == 0
    assert lines == []


@pytest.mark.parametrize(
    ("answers", "own"),
    [
        pytest.param({}, {}, id="outside-the-cluster"),
        pytest.param({("Pod", POD): pod()}, {"pod": Request("other", POD)}, id="a-pod-elsewhere"),
        pytest.param({}, IN_THE_DEPLOYMENT, id="the-node's-host-name"),
        pytest.param({("Pod", POD): pod("kfx-6d5f")}, IN_THE_DEPLOYMENT, id="a-pod-of-another-deployment"),
        pytest.param({}, ELECTING, id="no-lease"),
        pytest.param({LEASE: lease("")}, ELECTING, id="a-lease-of-nobody"),
        pytest.param({LEASE: lease("host_uuid")}, ELECTING, id="a-lease-of-somebody-else"),
        pytest.param({LEASE: lease(f"{POD}_uuid")}, ELECTING, id="a-lease-of-a-pod-that-is-gone"),
        pytest.param({LEASE: lease(f"{POD}_uuid"), ("Pod", POD): pod()}, {}, id="no-election-here"),
    ],
)
async def test_another_controller_is_waited_for_and_told_once(
    answers: dict[tuple[str, str], Answer], own: dict[str, Any]
) -> None:
    world = World({DEPLOYMENT: deployment(), **answers}, **own)
    with capture_logs() as lines:
        assert await world.waits()
    assert [line["event"] for line in lines] == ["waiting for another controller to end"]
    reason = world.foreign.check()
    assert reason is not None
    assert f"Deployment kubeflow/katib-controller runs another controller, {KATIB}, and" in reason
    assert reason.endswith("kubectl -n kubeflow scale deployment katib-controller --replicas=0")
    assert world.gauge == 1


async def test_once_the_other_is_gone_the_controllers_start() -> None:
    world = World({DEPLOYMENT: deployment()})
    with capture_logs() as lines:
        async with world.foreign.running():
            await asyncio.sleep(60)
            assert world.gauge == 1
            world.documents._answers[DEPLOYMENT] = deployment(available=None)
            async with asyncio.timeout(10):
                await world.foreign.gone()
    assert lines[-1]["event"] == "the other controller is gone"
    assert (world.foreign.check(), world.gauge) == (None, 0)


@pytest.mark.parametrize("error", [refusal(ServerError, 500), TransportError("no answer")])
async def test_while_nobody_answers_the_controllers_do_not_start(error: Exception) -> None:
    world = World({DEPLOYMENT: error})
    assert await world.waits()
    assert "whether another controller is at work cannot be seen" in (world.foreign.check() or "")
    world.documents._answers[DEPLOYMENT] = deployment(OWN)
    assert not await world.waits()


async def test_without_the_right_to_look_it_is_said_and_nobody_waits() -> None:
    world = World({DEPLOYMENT: refusal(Forbidden, 403)})
    with capture_logs() as lines:
        assert not await world.waits()
    assert [line["event"] for line in lines] == [
        "cannot see whether another controller is at work; grant get"
    ]


async def test_before_the_first_look_it_is_not_ready() -> None:
    assert World({}).foreign.check() == "Deployment kubeflow/katib-controller has not been looked at yet"


def test_the_controllers_container_names_the_image_and_any_other_may_be_ours() -> None:
    assert foreign_image(deployment("k", proxy="p"), "x") == "k"
    assert foreign_image(deployment("k", proxy=OWN), OWN) == ""
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": "m"}]}}}
    assert foreign_image({"spec": spec, "status": {"availableReplicas": 1}}, OWN) == "m"


def test_a_pod_belongs_to_the_deployment_of_its_replica_set() -> None:
    assert is_pod_of(pod(), "katib-controller")
    assert not is_pod_of(pod("katib-controller-ui-6d5f"), "katib-controller")
    assert not is_pod_of(pod(kind="StatefulSet"), "katib-controller")
    assert not is_pod_of(pod(controller=False), "katib-controller")
    assert not is_pod_of({"metadata": {}}, "katib-controller")
