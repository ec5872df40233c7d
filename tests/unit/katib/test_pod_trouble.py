from typing import Any

import pytest

from kfx.apis.core import ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus
from kfx.katib.pod_trouble import find_stuck, find_trouble
from kfx.kube.model import Condition, ObjectMeta


def pod(reason: str = "", message: str = "", *, init: bool = False, deleting: bool = False) -> Pod:
    waiting = ContainerStateWaiting(reason=reason, message=message) if reason else None
    status = ContainerStatus(name="train", image="x:1", state=ContainerState(waiting=waiting))
    return Pod(
        metadata=ObjectMeta(name="p", namespace="ns", deletion_timestamp="t" if deleting else None),
        status=PodStatus(init_container_statuses=(status,) if init else (), container_statuses=(status,)),
    )


@pytest.mark.parametrize(
    ("reason", "hopeless"),
    [
        ("ErrImageNeverPull", True),
        ("InvalidImageName", True),
        ("ErrImagePull", False),
        ("ImagePullBackOff", False),
        ("CreateContainerConfigError", False),
        ("CreateContainerError", False),
    ],
)
@pytest.mark.parametrize("init", [False, True])
def test_a_container_that_cannot_start_is_named_with_the_remedy(
    reason: str, hopeless: bool, init: bool
) -> None:
    found = find_trouble([pod(reason, "said by the kubelet", init=init)])
    assert found is not None
    assert (found.reason, found.hopeless) == (reason, hopeless)
    assert found.message.startswith("container train of pod p cannot start: said by the kubelet; ")
    assert len(found.message.split("; ")[1]) > 20


@pytest.mark.parametrize("reason", ["", "ContainerCreating", "PodInitializing", "CrashLoopBackOff"])
def test_other_containers_are_left_alone(reason: str) -> None:
    assert find_trouble([pod(reason)]) is None


def test_a_pod_on_its_way_out_does_not_count() -> None:
    assert find_trouble([pod("ErrImageNeverPull", deleting=True)]) is None


def test_the_hopeless_one_is_told_first() -> None:
    found = find_trouble([pod("ImagePullBackOff"), pod("InvalidImageName")])
    assert found is not None
    assert found.reason == "InvalidImageName"


def test_the_image_is_named_where_the_kubelet_says_nothing() -> None:
    found = find_trouble([pod("ErrImagePull")])
    assert found is not None
    assert "image x:1" in found.message


def pending(*reasons: str, **status: Any) -> Pod:
    waiting = [ContainerStateWaiting(reason=reason) if reason else None for reason in reasons]
    statuses = tuple(ContainerStatus(name="train", state=ContainerState(waiting=w)) for w in waiting)
    return Pod(
        metadata=ObjectMeta(name="p", namespace="ns", uid="p-uid"),
        status=PodStatus(container_statuses=statuses, **{"phase": "Pending"} | status),
    )


def test_the_scheduler_is_quoted_before_all_else() -> None:
    refused = Condition(type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes")
    found = find_stuck([pending("ContainerCreating"), pending(conditions=(refused,))])
    assert found is not None
    assert (found.reason, found.at_once) == ("PodUnschedulable", True)
    assert found.message == (
        "pod p has no node: 0/1 nodes; make room, add a node, or ask for less in the trial template"
    )


@pytest.mark.parametrize(
    "reasons", [(), ("ContainerCreating",), ("PodInitializing", "PodInitializing")], ids=str
)
def test_a_pod_of_which_no_container_has_run_yet_has_not_started(reasons: tuple[str, ...]) -> None:
    """A volume, Secret or ConfigMap that is not there: the kubelet tells by events only."""
    found = find_stuck([pending(*reasons)])
    assert found is not None
    assert (found.reason, found.about, found.at_once) == ("PodNotStarting", "p-uid", False)
    assert found.message == (
        "pod p has not started; create what it refers to, or correct the trial template; "
        "kubectl describe pod p -n ns tells more"
    )


def test_a_container_that_ends_again_and_again_is_told() -> None:
    found = find_stuck([pending("CrashLoopBackOff", phase="Running")])
    assert found is not None
    assert found.reason == "PodCrashing"
    assert "kubectl logs p -n ns -p" in found.message


@pytest.mark.parametrize(
    "pod",
    [
        pending("", "PodInitializing"),  # an init container runs
        pending("ContainerCreating", phase="Running"),
        pending("", phase="Succeeded"),
        pod("ContainerCreating", deleting=True),
    ],
)
def test_a_pod_that_gets_on_is_not_stuck(pod: Pod) -> None:
    assert find_stuck([pod]) is None
