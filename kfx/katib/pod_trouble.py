"""Pods that will never run while their job waits: an image that is not there fails nothing by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from kfx.apis.core import Pod

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


def find_unschedulable(pods: Iterable[Pod]) -> str:
    """What the scheduler says of the first pod it finds no node for; ``""`` where all have one."""
    for pod in pods:
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
                return f"pod {pod.metadata.name} has no node: {condition.message}"
    return ""
