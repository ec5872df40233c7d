"""What a node would do: jobs run, their collectors report to kfx, and they end."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kfx.collector.metrics_log import Value
from kfx.collector.report import Channel, Refused, Unreachable
from kfx.collector.wire import encode_requests
from kfx.kube.client import Client
from kfx.kube.errors import NotFound
from tests.cluster.katib import NAMESPACE
from tests.katib_objects import JOBS

TRAINING = 0.3  # seconds between a job's first sight and its end
POLL = 0.1
_X = re.compile(r"--x=([-+.e\d]+)")


class Trainer:
    """Ends each job of the namespace: its value is reported first, however long kfx is away."""

    def __init__(self, client: Client, reports: Callable[[], str], *, training: float = TRAINING) -> None:
        self._client = client
        self._reports = reports
        self._training = training
        self._seen: set[str] = set()

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
        await asyncio.sleep(self._training)
        value = (float(x[1]) - 0.3) ** 2 if x else 0.0
        while not await asyncio.to_thread(self._report, name, f"{value:.9f}"):
            await asyncio.sleep(POLL)
        await self._end(name)

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
