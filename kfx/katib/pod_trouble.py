"""Pods that will never run while their job waits: an image that is not there fails nothing by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from kfx.apis.core import Pod
from kfx.katib.hold_up import HoldUp

# The kubelet's reasons (pkg/kubelet/images, pkg/kubelet/kuberuntime), each with what would heal it.
_HOPELESS = {
    "ErrImageNeverPull": "load the image onto the nodes, or allow it to be pulled",
    "InvalidImageName": "correct the image's name in the trial template",
}
_STUBBORN = {
    "ErrImagePull": "correct the image's name in the trial template, or make its registry reachable",
    "ImagePullBackOff": "correct the image's name in the trial template, or make its registry reachable",
    "CreateContainerConfigError": "create what the container refers to, or correct the trial template",
    "CreateContainerError": "correct the container in the trial template",
}
_STARTING = {"ContainerCreating", "PodInitializing"}  # of every container: none has run yet


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """Why a pod does not start. ``hopeless``: waiting is in vain; otherwise it may pass."""

    reason: str
    message: str
    hopeless: bool


def find_trouble(pods: Iterable[Pod]) -> PodTrouble | None:
    """The worst reason for which a container of these pods does not start, ``None`` where all is well."""
    found = None
    for pod in pods:
        if pod.metadata.deletion_timestamp is not None:
            continue
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            waiting = container.state.waiting
            if waiting is None or waiting.reason not in _HOPELESS | _STUBBORN:
                continue
            hopeless = waiting.reason in _HOPELESS
            remedy = (_HOPELESS | _STUBBORN)[waiting.reason]
            said = waiting.message or f"image {container.image}"
            message = f"container {container.name} of pod {pod.metadata.name} cannot start: {said}; {remedy}"
            trouble = PodTrouble(waiting.reason, message, hopeless)
            if hopeless:
                return trouble
            found = found or trouble
    return found


def find_stuck(pods: Iterable[Pod]) -> HoldUp | None:
    """Why a pod of these does not get going, though it may yet; ``None`` where all run or have ended.

    A pod without a node comes first, with the scheduler's words.
    """
    alive = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    unplaced = (_unplaced(pod) for pod in alive)
    slow = (_not_starting(pod) for pod in alive)
    return next((found for found in (*unplaced, *slow) if found is not None), None)


def _unplaced(pod: Pod) -> HoldUp | None:
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            return HoldUp(
                "PodUnschedulable",
                f"pod {pod.metadata.name} has no node: {condition.message}",
                "make room, add a node, or ask for less in the trial template",
                at_once=True,
            )
    return None


def _not_starting(pod: Pod) -> HoldUp | None:
    """The kubelet tells only by events which volume, Secret or network is missing."""
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    waiting = [status.state.waiting for status in statuses]
    if crashing := next((w for w in waiting if w is not None and w.reason == "CrashLoopBackOff"), None):
        lead = f"a container of pod {pod.metadata.name} ends again and again: {crashing.message}"
        remedy = f"see what it printed with kubectl logs {pod.metadata.name} -n {pod.metadata.namespace} -p"
        return HoldUp("PodCrashing", lead, remedy)
    starting = all(w is not None and w.reason in _STARTING for w in waiting)
    if pod.status.phase != "Pending" or not starting:
        return None
    lead = f"pod {pod.metadata.name} has not started"
    where = f"kubectl describe pod {pod.metadata.name} -n {pod.metadata.namespace}"
    remedy = f"create what it refers to, or correct the trial template; {where} tells more"
    return HoldUp("PodNotStarting", lead, remedy, about=pod.metadata.uid)
