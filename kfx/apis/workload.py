"""Pods, Deployments, Events and Namespaces in the detail that a person is told of; no cache holds these."""

from typing import ClassVar

from kfx.apis.core import ContainerState, ContainerStatus, Pod, PodStatus
from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class Running(Model, kw_only=True):
    """A container at work."""

    started_at: str | None = None


class Terminated(Model, kw_only=True):
    """A container that has ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class DetailedState(ContainerState, kw_only=True):
    """One of ``waiting``, ``running`` and ``terminated`` is set."""

    running: Running | None = None
    terminated: Terminated | None = None


class DetailedContainer(ContainerStatus, kw_only=True):
    """A container with what became of it before."""

    state: DetailedState = DetailedState()
    last_state: DetailedState = DetailedState()
    restart_count: int = 0


class DetailedPodStatus(PodStatus, kw_only=True):
    """``reason`` and ``message`` are set for evicted pods, for instance."""

    reason: str = ""
    message: str = ""
    init_container_statuses: tuple[DetailedContainer, ...] = ()
    container_statuses: tuple[DetailedContainer, ...] = ()


class Container(Model, kw_only=True):
    """A container as it was asked for."""

    name: str = ""
    image: str = ""
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


class PodSpec(Model, kw_only=True):
    """Where a pod is, and its containers."""

    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class DetailedPod(Pod, kw_only=True):
    """A pod with its containers and what they did."""

    spec: PodSpec = PodSpec()
    status: DetailedPodStatus = DetailedPodStatus()


class PodTemplate(Model, kw_only=True):
    """The pods of a Deployment."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Model, kw_only=True):
    """``replicas`` absent means 1."""

    replicas: int | None = None
    template: PodTemplate = PodTemplate()


class DeploymentStatus(Model, kw_only=True):
    """How many pods serve."""

    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(KubeObject, kw_only=True):
    """Some equal pods."""

    resource: ClassVar[Resource] = Resource("apps", "v1", "deployments", "Deployment")
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class Namespace(KubeObject, kw_only=True):
    """Its labels are what counts."""

    resource: ClassVar[Resource] = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


class ObjectReference(Model, kw_only=True):
    """What an event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EventSeries(Model, kw_only=True):
    """Repetitions, as the newer events API counts them."""

    count: int = 0
    last_observed_time: str | None = None


class Event(KubeObject, kw_only=True):
    """Something that was said about an object, once or several times."""

    resource: ClassVar[Resource] = Resource("", "v1", "events", "Event")
    involved_object: ObjectReference = ObjectReference()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None

    @property
    def times(self) -> int:
        """How often it was said."""
        return max(1, self.count, self.series.count if self.series is not None else 0)

    @property
    def last_seen(self) -> str:
        """When it was said last, RFC 3339; ``""`` if it bears no time."""
        series = self.series.last_observed_time if self.series is not None else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp or ""
