from dataclasses import replace

from kfx.apis.core import ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus
from kfx.controllers.pods import PodObserver
from kfx.katib.job_state import JobState, Phase
from kfx.katib.trial import TrialSeen
from kfx.kube.model import Condition, ObjectMeta
from kfx.runtime.reconcile import Request
from tests.katib_objects import JOBS, trial
from tests.unit.controllers.parts import KEY, Seconds, pods_of

SEEN = TrialSeen(trial=trial("Created", "Running"), state=JobState(Phase.RUNNING))
META = ObjectMeta(name="p", namespace="ns", labels={"katib.kubeflow.org/trial": "e-1"})


def waiting(reason: str) -> Pod:
    state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message="no such image"))
    return Pod(metadata=META, status=PodStatus(container_statuses=(ContainerStatus(name="c", state=state),)))


def unplaced() -> Pod:
    refused = Condition(type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes")
    return Pod(metadata=META, status=PodStatus(conditions=(refused,)))


def test_an_image_that_can_never_come_fails_the_trial_at_once() -> None:
    found = PodObserver(pods=pods_of(waiting("ErrImageNeverPull")), clock=Seconds()).look(SEEN)
    assert found.state is not None
    assert (found.state.phase, found.state.reason) == (Phase.FAILED, "ErrImageNeverPull")
    assert "load the image onto the nodes" in found.state.message


def test_a_registry_gets_time_to_answer() -> None:
    clock = Seconds()
    observer = PodObserver(pods=pods_of(waiting("ImagePullBackOff")), clock=clock, patience=60)
    assert observer.look(SEEN).look_again == 60
    clock.now += 45
    assert observer.look(SEEN).look_again == 15
    clock.now += 15
    found = observer.look(SEEN)
    assert found.state is not None
    assert found.state.reason == "ImagePullBackOff"
    assert "correct the image's name" in found.state.message


def test_trouble_that_passes_starts_the_wait_anew() -> None:
    clock = Seconds()
    pods = pods_of(waiting("ErrImagePull"))
    observer = PodObserver(pods=pods, clock=clock, patience=60)
    observer.look(SEEN)
    clock.now += 59
    pods.put(Pod(metadata=META))
    assert observer.look(SEEN) == SEEN
    pods.put(waiting("ErrImagePull"))
    clock.now += 59
    assert observer.look(SEEN).look_again == 60


def test_trouble_of_a_pod_that_is_gone_is_not_held_against_the_next() -> None:
    clock = Seconds()
    pods = pods_of(waiting("ErrImagePull"))
    observer = PodObserver(pods=pods, clock=clock, patience=60)
    observer.look(SEEN)
    clock.now += 59
    pods.drop(Request(KEY.namespace, "p"))
    observer.look(SEEN)
    pods.put(waiting("ErrImagePull"))
    clock.now += 59
    assert observer.look(SEEN).look_again == 60


def test_the_scheduler_is_quoted_once() -> None:
    observer = PodObserver(pods=pods_of(unplaced()), clock=Seconds())
    assert observer.look(SEEN).unschedulable == "pod p has no node: 0/1 nodes"
    assert observer.look(SEEN).unschedulable == ""
    observer.forget(KEY)
    assert observer.look(SEEN).unschedulable


def test_a_trial_without_trouble_is_seen_as_it_is() -> None:
    assert PodObserver(pods=pods_of(Pod(metadata=META)), clock=Seconds()).look(SEEN) == SEEN


def test_a_job_that_gets_no_pod_is_told_once_with_the_way_to_find_out() -> None:
    clock, pods = Seconds(), pods_of()
    observer = PodObserver(pods=pods, clock=clock, patience=60)
    seen = replace(SEEN, resource=JOBS)
    assert observer.look(seen) == replace(seen, look_again=60)
    clock.now += 60
    found = observer.look(seen)
    assert found.podless == "Job e-1 has had no pod for 60 s; kubectl describe job e-1 -n ns says why"
    assert found.state == SEEN.state, "a quota may make room yet"
    assert observer.look(seen) == seen
    pods.put(Pod(metadata=META))
    assert observer.look(seen) == seen
    pods.drop(Request(KEY.namespace, "p"))
    assert observer.look(seen).look_again == 60
