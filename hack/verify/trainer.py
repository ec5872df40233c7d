"""What a node would do: jobs get pods and run, their collectors report to kfx, and they end."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kfx.collector.metrics_log import Value
from kfx.collector.report import Channel, Refused, Unreachable
from kfx.collector.wire import encode_requests
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, NotFound
from kfx.kube.resource import Resource
from tests.cluster.katib import NAMESPACE
from tests.katib_objects import JOBS

TRAINING = 0.1  # seconds between a job's first sight and its end
POLL = 0.1
CALM = 0.15  # seconds without a write of kfx, after which the next job may end
COLLECTOR = "metrics-logger-and-collector"
PODS = Resource("", "v1", "pods", "Pod")
_X = re.compile(r"--x=([-+.e\d]+)")


class Trainer:
    """Ends each job of the namespace: its value is reported first, however long kfx is away.

    One after the other, each when kfx has done what the one before was cause for: without faults every run
    has the same writes then. While kfx is away nothing waits, and several jobs end.

    ``idle``: for how many seconds kfx has written nothing. ``pods``: whether jobs get pods, through webhooks.
    """

    def __init__(
        self,
        client: Client,
        reports: Callable[[], str],
        *,
        idle: Callable[[], float] = lambda: CALM,
        pods: bool = False,
    ) -> None:
        self._client = client
        self._reports = reports
        self._idle = idle
        self._pods = pods
        self._seen: set[str] = set()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look(group))
            yield
            looking.cancel()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        while True:
            found = await self._client.request("GET", JOBS.path(NAMESPACE))
            for job in found["items"]:
                if (uid := job["metadata"]["uid"]) not in self._seen:
                    self._seen.add(uid)
                    group.create_task(self._train(job))
            await asyncio.sleep(POLL)

    async def _train(self, job: dict[str, Any]) -> None:
        name, x = job["metadata"]["name"], _X.search(str(job["spec"]))
        while self._pods and not await self._make_pod(job):
            await asyncio.sleep(POLL)
        await asyncio.sleep(TRAINING)
        value = (float(x[1]) - 0.3) ** 2 if x else 0.0
        async with self._turn:
            while not await asyncio.to_thread(self._report, name, f"{value:.9f}"):
                await asyncio.sleep(POLL)
            await self._calm()
            await self._end(name)
            await self._calm()

    async def _calm(self) -> None:
        await asyncio.sleep(CALM)
        while self._idle() < CALM:
            await asyncio.sleep(CALM / 10)

    async def _make_pod(self, job: dict[str, Any]) -> bool:
        """False where the webhook is away, whereupon the job controller tries again."""
        try:
            made = await self._client.create(PODS, _pod_of(job), namespace=NAMESPACE)
        except AlreadyExists:
            return True
        except NotFound:  # the job has gone, and with it what its pod would hang on
            return True
        except ApiError as error:
            if "webhook" not in str(error):
                raise
            return False
        spec = made["spec"]
        names = [each["name"] for each in (*spec["containers"], *spec.get("initContainers", ()))]
        if COLLECTOR not in names and await self._is_wanted(job):
            raise RuntimeError(f"the pod of {job['metadata']['name']} has no collector: {names}")
        return True

    async def _is_wanted(self, job: dict[str, Any]) -> bool:
        """Whether it is still there: the pod of a Job that went in this moment is nobody's."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        try:
            found = (await self._client.get_document(JOBS, NAMESPACE, name))["metadata"]
        except NotFound:
            return False
        return found["uid"] == uid and "deletionTimestamp" not in found

    def _report(self, trial: str, value: str) -> bool:
        """False while kfx is away."""
        values = [Value("2026-01-02T03:04:05Z", "loss", value)]
        with Channel(self._reports(), NAMESPACE) as channel:
            try:
                for request in encode_requests(trial, values):
                    channel.send(request)
            except (Unreachable, Refused):
                return False
        return True

    async def _end(self, name: str) -> None:
        now = "2026-01-02T03:04:05Z"
        entries = [
            {"type": kind, "status": "True", "reason": "Test", "message": "done", "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status = {
            "startTime": now,
            "completionTime": now,
            "conditions": entries,
            "uncountedTerminatedPods": {},
        }
        try:
            await self._client.patch(JOBS, NAMESPACE, name, {"status": status}, subresource="status")
        except NotFound:
            return


def _pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """As the job controller makes it."""
    template, metadata = job["spec"]["template"], job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    labels = template.get("metadata", {}).get("labels", {})
    (container,) = template["spec"]["containers"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata["name"],
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {"restartPolicy": "Never", "containers": [{**container, "command": ["train"]}]},
    }
