"""Posts Kubernetes events about objects, beside the reconciles and never in their way."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from kfx.kube.client import Client
from kfx.kube.errors import ApiError, NotFound, TransportError
from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.runtime.event_correlator import Correlated, EventCorrelator, Occurrence
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.plan import Note

log = get_logger(__name__)

EVENTS = Resource("", "v1", "events", "Event")
LONGEST_QUEUE = 1000  # of one poster
POSTERS = 8  # those about one object have the same poster, so that they keep their order and count up
LONGEST_MESSAGE = 1024  # characters
TRIES = 12
RETRY_AFTER = 10.0  # seconds
FLUSH_WITHIN = 2.0  # seconds for what is queued when the process stops


def utc_now() -> datetime:
    """Now, with its time zone."""
    return datetime.now(UTC)


class EventRecorder:
    """Core/v1 events with ``component`` as their source.

    A reconcile only queues: a full queue drops, and a server that is away costs nobody but the event. What
    is dropped is counted by reason in ``kfx_events_dropped_total``. Requests pass no fence, since an event
    says what was done while leading.
    """

    def __init__(
        self,
        client: Client,
        component: str,
        *,
        metrics: RuntimeMetrics | None = None,
        user_agent: str = "kfx/events",
        now: Callable[[], datetime] = utc_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client.without_fence(user_agent)
        self._component = component
        self._now = now
        self._jitter = jitter
        self._queues: Sequence[asyncio.Queue[Occurrence]] = [
            asyncio.Queue(LONGEST_QUEUE) for _ in range(POSTERS)
        ]
        self._unposted = 0
        self._correlator = EventCorrelator()
        self._dropped = (metrics or RuntimeMetrics()).events_dropped

    def note(self, owner: KubeObject, note: Note) -> None:
        """Say ``note`` about ``owner``. Returns at once, whatever becomes of it."""
        meta, resource = owner.metadata, owner.resource
        occurrence = Occurrence(
            about=(resource.kind, meta.namespace, meta.name, meta.uid, resource.api_version),
            type=note.type,
            reason=note.reason,
            message=note.message[:LONGEST_MESSAGE],
            time=self._now(),
            resource_version=meta.resource_version,
        )
        try:
            self._queues[hash(meta.uid) % POSTERS].put_nowait(occurrence)
        except asyncio.QueueFull:
            self._dropped.labels("queue_full").inc()
        else:
            self._unposted += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post while the body runs, and for at most 2 s after it what is still queued."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._post_all(queue), name=f"events-{self._component}-{number}")
                for number, queue in enumerate(self._queues)
            ]
            yield
            try:
                async with asyncio.timeout(FLUSH_WITHIN):
                    for queue in self._queues:
                        await queue.join()
            except TimeoutError:
                self._dropped.labels("stopped").inc(self._unposted)
            for task in tasks:
                task.cancel()

    async def _post_all(self, queue: asyncio.Queue[Occurrence]) -> None:
        while True:
            occurrence = await queue.get()
            event = self._correlator.correlate(occurrence)
            if event is None:
                self._dropped.labels("too_many").inc()
            else:
                await self._post(event)
            self._unposted -= 1
            queue.task_done()

    async def _post(self, event: Correlated) -> None:
        """Store one event; given up at once if the server refuses it, in two minutes if it is away."""
        delay = RETRY_AFTER * self._jitter()
        for _ in range(TRIES):
            try:
                self._correlator.stored(event, await self._store(event))
            except ApiError as error:
                self._dropped.labels("refused").inc()
                log.warning("event refused", reason=event.occurrence.reason, error=str(error))
                return
            except TransportError as error:
                log.debug("event not posted yet", reason=event.occurrence.reason, error=str(error))
            else:
                return
            await asyncio.sleep(delay)
            delay = RETRY_AFTER
        self._dropped.labels("unreachable").inc()
        log.warning("event given up, the API server does not answer", reason=event.occurrence.reason)

    async def _store(self, event: Correlated) -> str:
        """The name of the event as stored."""
        if event.name:
            changes = {
                "count": event.count,
                "lastTimestamp": _timestamp(event.occurrence.time),
                "message": event.occurrence.message,
            }
            try:
                await self._client.patch(EVENTS, _namespace(event), event.name, changes)
            except NotFound:  # it has expired: begin anew
                pass
            else:
                return event.name
        manifest = self._manifest(event)
        await self._client.create(EVENTS, manifest, namespace=_namespace(event))
        name: str = manifest["metadata"]["name"]
        return name

    def _manifest(self, event: Correlated) -> dict[str, Any]:
        kind, namespace, name, uid, api_version = event.occurrence.about
        about = {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
            "resourceVersion": event.occurrence.resource_version,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{time.time_ns():016x}", "namespace": _namespace(event)},
            "involvedObject": {key: value for key, value in about.items() if value},
            "type": event.occurrence.type,
            "reason": event.occurrence.reason,
            "message": event.occurrence.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "count": event.count,
            "firstTimestamp": _timestamp(event.first),
            "lastTimestamp": _timestamp(event.occurrence.time),
        }


def _namespace(event: Correlated) -> str:
    """An event lives beside its object; those about cluster-wide objects live in ``default``."""
    return event.occurrence.about[1] or "default"


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
