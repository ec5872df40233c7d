"""The group apps, and Services, as far as they are read: what an algorithm's image runs behind."""

from typing import ClassVar

import msgspec

from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource


class DeploymentStatus(Model, kw_only=True):
    """Whether its pods serve."""

    conditions: tuple[Condition, ...] = ()


class Deployment(KubeObject, kw_only=True):
    """A deployment, without its specification."""

    resource: ClassVar[Resource] = Resource("apps", "v1", "deployments", "Deployment")
    status: DeploymentStatus = DeploymentStatus()


class ServiceSpec(Model, kw_only=True):
    """``cluster_ip`` is ``""`` before one is given, ``None`` (the word) where there is to be none."""

    cluster_ip: str = msgspec.field(default="", name="clusterIP")


class Service(KubeObject, kw_only=True):
    """A service, as far as it says where it is reached."""

    resource: ClassVar[Resource] = Resource("", "v1", "services", "Service")
    spec: ServiceSpec = ServiceSpec()
