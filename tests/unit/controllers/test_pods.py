from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kfx.apis.core import ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus
from kfx.controllers.event_reader import EventReader
from kfx.controllers.pods import PodObserver
from kfx.katib.hold_up import HoldUp, say
from kfx.katib.job_state import JobState, Phase
from kfx.katib.trial import JobSeen, TrialSeen
from kfx.kube.model import Condition, ObjectMeta, OwnerReference
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Store
from tests.katib_objects import JOBS, NOW, trial
from tests.unit.controllers.listed_events import Events
from tests.unit.controllers.parts import KEY, Seconds, pods_of

SEEN = TrialSeen(
    trial=trial("Created", "Running"),
    resource=JOBS,
    job=JobSeen("job-uid"),
    state=JobState(Phase.RUNNING),
)
OWNER = OwnerReference(api_version="batch/v1", kind="Job", name="e-1", uid="job-uid", controller=True)
META = ObjectMeta(
    name="p", namespace="ns", labels={"katib.kubeflow.org/trial": "e-1"}, owner_references=(OWNER,)
)


def observing(
    pods: Store[Pod], clock: Seconds | None = None, *, patience: float = 60, events: Events | None = None
) -> PodObserver:
    told = EventReader(events or Events())
    return PodObserver(pods=pods, events=told, clock=clock or Seconds(), patience=patience)


def waiting(reason: str) -> Pod:
    state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message="no such image"))
    return Pod(metadata=META, status=PodStatus(container_statuses=(ContainerStatus(name="c", state=state),)))


def unplaced() -> Pod:
    refused = Condition(type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes")
    return Pod(metadata=META, status=PodStatus(conditions=(refused,)))


async def test_an_image_that_can_never_come_fails_the_trial_at_once() -> None:
    found = await observing(pods_of(waiting("ErrImageNeverPull"))).look(SEEN)
    assert found.state is not None
    assert (found.state.phase, found.state.reason) == (Phase.FAILED, "ErrImageNeverPull")
    assert "load the image onto the nodes" in found.state.message


async def test_a_registry_gets_time_to_answer() -> None:
    clock = Seconds()
    observer = observing(pods_of(waiting("ImagePullBackOff")), clock)
    assert (await observer.look(SEEN)).look_again == 60
    clock.now += 45
    assert (await observer.look(SEEN)).look_again == 15
    clock.now += 15
    found = await observer.look(SEEN)
    assert found.state is not None
    assert found.state.reason == "ImagePullBackOff"
    assert "correct the image's name" in found.state.message


async def test_trouble_that_passes_starts_the_wait_anew() -> None:
    clock = Seconds()
    pods = pods_of(waiting("ErrImagePull"))
    observer = observing(pods, clock)
    await observer.look(SEEN)
    clock.now += 59
    pods.put(Pod(metadata=META))
    assert (await observer.look(SEEN)) == SEEN
    pods.put(waiting("ErrImagePull"))
    clock.now += 59
    assert (await observer.look(SEEN)).look_again == 60


async def test_trouble_of_a_pod_that_is_gone_is_not_held_against_the_next() -> None:
    clock = Seconds()
    pods = pods_of(waiting("ErrImagePull"))
    observer = observing(pods, clock)
    await observer.look(SEEN)
    clock.now += 59
    pods.drop(Request(KEY.namespace, "p"))
    await observer.look(SEEN)
    pods.put(waiting("ErrImagePull"))
    clock.now += 59
    assert (await observer.look(SEEN)).look_again == 60


async def test_the_scheduler_is_quoted_at_once() -> None:
    found = (await observing(pods_of(unplaced())).look(SEEN)).hold_up
    assert found is not None
    assert (found.reason, found.lead) == ("PodUnschedulable", "pod p has no node: 0/1 nodes")


async def test_a_trial_without_trouble_is_seen_as_it_is() -> None:
    assert await observing(pods_of(Pod(metadata=META))).look(SEEN) == SEEN


async def test_a_job_that_gets_no_pod_is_told_in_time_with_the_way_to_find_out() -> None:
    clock, pods = Seconds(), pods_of()
    observer = observing(pods, clock)
    assert await observer.look(SEEN) == replace(SEEN, look_again=60)
    clock.now += 60
    found = await observer.look(SEEN)
    assert found.hold_up is not None
    assert found.hold_up.message == (
        "Job e-1 has had no pod for 60 s that carries the label katib.kubeflow.org/trial=e-1; "
        "kubectl describe job e-1 -n ns says why it makes none; if it has pods, label their namespace "
        "katib.kubeflow.org/metrics-collector-injection=enabled"
    )
    assert found.state == SEEN.state, "a quota may make room yet"
    pods.put(Pod(metadata=META))
    assert await observer.look(SEEN) == SEEN
    pods.drop(Request(KEY.namespace, "p"))
    assert (await observer.look(SEEN)).look_again == 60


async def test_the_last_event_about_the_object_is_quoted_and_read_once() -> None:
    events = Events(
        (NOW, "exceeded quota: none, requested: pods=1"), ("2026-01-01T00:00:00Z", "old"), about="job-uid"
    )
    observer = observing(pods_of(), patience=0, events=events)
    found = (await observer.look(SEEN)).hold_up
    assert found is not None
    assert "=e-1: exceeded quota: none, requested: pods=1; kubectl describe job e-1" in found.message
    of = SEEN.trial
    told = say(of.status.conditions, found, NOW)
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, conditions=told))
    await observer.look(replace(SEEN, trial=of))
    assert len(events.asked) == 1


async def test_a_hold_up_of_the_job_goes_before_its_missing_pods_and_has_to_last_too() -> None:
    clock, suspended = Seconds(), HoldUp("JobSuspended", "lead", "remedy")
    observer = observing(pods_of(), clock)
    found = await observer.look(replace(SEEN, hold_up=suspended))
    assert (found.hold_up, found.look_again) == (None, 60)
    clock.now += 60
    assert (await observer.look(replace(SEEN, hold_up=suspended))).hold_up == suspended


async def test_another_reason_starts_the_wait_anew() -> None:
    clock, pods = Seconds(), pods_of()
    observer = observing(pods, clock)
    await observer.look(SEEN)
    clock.now += 59
    pods.put(Pod(metadata=META, status=PodStatus(phase="Pending")))
    assert (await observer.look(SEEN)).look_again == 60
    clock.now += 60
    found = (await observer.look(SEEN)).hold_up
    assert found is not None
    assert found.reason == "PodNotStarting"


TRIAL_OF = {"api_version": "kubeflow.org/v1beta1", "kind": "Trial"}


@pytest.mark.parametrize(
    ("owner", "counts"),
    [
        ({}, True),
        ({"uid": "other"}, False),
        ({"controller": False}, False),
        ({"api_version": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "uid": "x"}, True),
        (TRIAL_OF | {"uid": SEEN.trial.metadata.uid}, True),
        (TRIAL_OF | {"uid": "namesake"}, False),
    ],
)
async def test_a_pod_that_only_carries_the_label_cannot_fail_a_trial(
    owner: dict[str, Any], counts: bool
) -> None:
    """R 3.4: whoever may make pods may write labels, but not end the trials of others with them."""
    pod = waiting("InvalidImageName")
    reference = msgspec.structs.replace(OWNER, **owner)
    pod = msgspec.structs.replace(pod, metadata=msgspec.structs.replace(META, owner_references=(reference,)))
    found = await observing(pods_of(pod)).look(SEEN)
    assert (found.state == JobState(Phase.RUNNING)) is not counts


async def test_where_pods_may_not_be_followed_none_is_missed_and_the_job_still_speaks() -> None:
    clock, pods = Seconds(), pods_of()
    pods.problem = "forbidden: grant the rule"
    observer = observing(pods, clock, patience=0)
    assert await observer.look(SEEN) == SEEN
    suspended = HoldUp("JobSuspended", "Job e-1 is suspended", "resume it")
    assert (await observer.look(replace(SEEN, hold_up=suspended))).hold_up == suspended
