"""Another controller of the same objects, such as Katib's own: kfx waits until it is gone.

Katib takes no Lease by default, so the election alone keeps nobody apart. Two controllers would each make
trials for one Experiment.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from kfx.apis.core import Pod
from kfx.controllers.templates import DocumentReader
from kfx.kube.errors import ApiError, Forbidden, NotFound, TransportError
from kfx.kube.resource import Resource
from kfx.runtime.lease import LEASES, parse
from kfx.runtime.log import get_logger
from kfx.runtime.reconcile import Request

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
NAME = "katib-controller"
LOOK_INTERVAL = 5.0
RETRY_INTERVAL = 1.0

log = get_logger("kfx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """This process: the image it runs, its pod if it is in one, the Lease it competes for if it does."""

    image: str
    pod: Request | None = None
    lease: Request | None = None


class ForeignController:
    """Looks at Deployment ``katib-controller`` of one namespace until nothing speaks against starting.

    That is: it is not there, none of its pods is available, it runs ``own.image``, ``own.pod`` is one of its
    pods, or the holder of ``own.lease`` is. ``gauge`` is 1 meanwhile. Without the
    right to look (verb get on Deployments, Pods, Leases) it says so once and does not wait.
    """

    def __init__(self, client: DocumentReader, *, namespace: str, own: Self, gauge: Gauge) -> None:
        self._client = client
        self._key = Request(namespace, NAME)
        self._own = own
        self._gone = asyncio.Event()
        self._reason = f"Deployment {namespace}/{NAME} has not been looked at yet"
        self._gauge = gauge

    def check(self) -> str | None:
        """For readiness: why the controllers do not start; None once they may."""
        return None if self._gone.is_set() else self._reason

    async def gone(self) -> None:
        """Return once the controllers may start."""
        await self._gone.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look inside the block, until the other one is gone."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._watch(), name="foreign-controller")
            try:
                yield
            finally:
                looking.cancel()

    async def _watch(self) -> None:
        waited = False
        while True:
            pause = RETRY_INTERVAL
            try:
                image = await self._other_image()
            except Forbidden as refused:
                log.warning("cannot see whether another controller is at work; grant get", error=str(refused))
                break
            except (ApiError, TransportError) as failed:
                self._reason = f"whether another controller is at work cannot be seen: {failed}"
            else:
                if not image:
                    break
                self._wait_for(image, again=waited)
                waited, pause = True, LOOK_INTERVAL
            await asyncio.sleep(pause)
        if waited:
            log.info("the other controller is gone", deployment=str(self._key))
        self._gauge.set(0)
        self._gone.set()

    def _wait_for(self, image: str, *, again: bool) -> None:
        remedy = f"kubectl -n {self._key.namespace} scale deployment {NAME} --replicas=0"
        self._reason = (
            f"Deployment {self._key.namespace}/{NAME} runs another controller, {image}, and shares no Lease "
            f"with kfx; end it: {remedy}"
        )
        self._gauge.set(1)
        if not again:
            log.warning("waiting for another controller to end", reason=self._reason)

    async def _other_image(self) -> str:
        """The image of another controller that is at work; ``""`` if there is none."""
        deployment = await self._find(DEPLOYMENTS, self._key)
        image = foreign_image(deployment, self._own.image) if deployment is not None else ""
        if not image or await self._is_one_of_its_pods(self._own.pod):
            return ""
        return "" if await self._shares_lease() else image

    async def _shares_lease(self) -> bool:
        """Whether the Lease that this process competes for is held by a pod of the Deployment."""
        lease = await self._find(LEASES, self._own.lease) if self._own.lease is not None else None
        holder = parse(lease).holder.rpartition("_")[0] if lease is not None else ""
        return bool(holder) and await self._is_one_of_its_pods(Request(self._key.namespace, holder))

    async def _is_one_of_its_pods(self, key: Request | None) -> bool:
        if key is None or key.namespace != self._key.namespace:
            return False
        pod = await self._find(Pod.resource, key)
        return pod is not None and is_pod_of(pod, NAME)

    async def _find(self, resource: Resource, key: Request) -> dict[str, Any] | None:
        try:
            return await self._client.get_document(resource, key.namespace, key.name)
        except NotFound:
            return None


def foreign_gauge(registry: CollectorRegistry) -> Gauge:
    """``kfx_foreign_controller``."""
    text = "1 while kfx waits for another controller of the same objects to end, else 0."
    return Gauge("kfx_foreign_controller", text, registry=registry)


def foreign_image(deployment: Mapping[str, Any], own_image: str) -> str:
    """The image that a Deployment's available pods run, ``""`` if there are none or it is ``own_image``."""
    if not (deployment.get("status") or {}).get("availableReplicas"):
        return ""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    images = {each["name"]: each.get("image", "") for each in containers}
    image: str = images.get(NAME) or next(iter(images.values()))
    return "" if own_image in images.values() else image


def is_pod_of(pod: Mapping[str, Any], deployment: str) -> bool:
    """Whether a pod was made for the Deployment of this name: its ReplicaSet is ``<name>-<hash>``."""
    metadata = pod["metadata"]
    suffix = (metadata.get("labels") or {}).get("pod-template-hash", "")
    return any(
        owner.get("controller")
        and owner["kind"] == "ReplicaSet"
        and owner["name"] == f"{deployment}-{suffix}"
        for owner in metadata.get("ownerReferences") or ()
    )
