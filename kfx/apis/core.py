"""The core group, as far as it is read."""

from collections.abc import Mapping
from typing import ClassVar

from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class ContainerStateWaiting(Model, kw_only=True):
    """Why a container does not run yet, in the kubelet's words."""

    reason: str = ""
    message: str = ""


class ContainerState(Model, kw_only=True):
    """``waiting`` is ``None`` once the container runs or has ended."""

    waiting: ContainerStateWaiting | None = None


class ContainerStatus(Model, kw_only=True):
    """One container of a pod."""

    name: str = ""
    image: str = ""
    state: ContainerState = ContainerState()


class PodStatus(Model, kw_only=True):
    """How far a pod got."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(KubeObject, kw_only=True):
    """A pod, without its specification."""

    resource: ClassVar[Resource] = Resource("", "v1", "pods", "Pod")
    status: PodStatus = PodStatus()


class ConfigMap(KubeObject, kw_only=True):
    """Named texts."""

    resource: ClassVar[Resource] = Resource("", "v1", "configmaps", "ConfigMap")
    data: Mapping[str, str] | None = None
