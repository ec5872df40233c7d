"""What nodes would do: ``python -m hack.bench.operators.finisher KUBECONFIG DB_MANAGER NAMESPACE READY``.

Half a second after a Job was made, its metric is reported over gRPC, as a collector does, and then the Job is
complete. READY is written once the first list of Jobs is there. Ends with SIGTERM.
"""

import asyncio
import hashlib
import signal
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import grpc
import uvloop

from kfx.collector.metrics_log import Value
from kfx.collector.report import METHOD
from kfx.collector.wire import encode_requests
from kfx.kube import Client, KubeObject, Resource, load_credentials
from kfx.runtime import Cache, Request
from kfx.runtime.event import Event
from kfx.runtime.log import configure_logging
from kfx.runtime.workqueue import WorkQueue

TRAINING = 0.5
"""Seconds from the news of a Job to its end."""
AT_ONCE = 32


class Job(KubeObject, kw_only=True):
    """Who it is, and no more."""

    resource: ClassVar[Resource] = Resource("batch", "v1", "jobs", "Job")


class Starts:
    """Hands on each new Job with the time at which it is to end."""

    def __init__(self) -> None:
        self.due: asyncio.Queue[tuple[float, str]] = asyncio.Queue()

    def requests(self, event: Event[Any]) -> Iterable[Request]:
        """Listens as an event handler, and has nothing queued."""
        if event.old is None and event.new is not None:
            at = asyncio.get_running_loop().time() + TRAINING
            self.due.put_nowait((at, event.new.metadata.name))
        return ()


class Finisher:
    """Ends Jobs of one namespace."""

    def __init__(self, client: Client, channel: grpc.aio.Channel, namespace: str) -> None:
        self._client = client
        self._report: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        self._namespace = namespace

    async def work(self, starts: Starts) -> None:
        """Endless; Jobs come in the order in which they are due."""
        loop = asyncio.get_running_loop()
        while True:
            at, name = await starts.due.get()
            await asyncio.sleep(at - loop.time())
            await self._finish(name)

    async def _finish(self, name: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        share = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 0xFFFFFF
        (message,) = encode_requests(name, [Value(now, "loss", f"{share:.6f}")])
        await self._report(message, metadata=(("kfx-namespace", self._namespace),))
        await self._client.patch(
            Job.resource, self._namespace, name, {"status": completed(now)}, subresource="status"
        )


def completed(now: str) -> dict[str, Any]:
    """The status of a Job that is through, as the job controller leaves it."""
    conditions = [
        {
            "type": kind, "status": "True", "reason": "CompletionsReached",
            "message": "Reached expected number of succeeded pods", "lastTransitionTime": now,
        }
        for kind in ("SuccessCriteriaMet", "Complete")
    ]  # fmt: skip
    return {
        "startTime": now, "completionTime": now, "conditions": conditions,
        "succeeded": 1, "uncountedTerminatedPods": {},
    }  # fmt: skip


async def run(kubeconfig: str, db_manager: str, namespace: str, ready: Path) -> None:
    """Until SIGTERM."""
    stop, starts = asyncio.Event(), Starts()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        Client.connect(load_credentials(kubeconfig), user_agent="finisher") as client,
        grpc.aio.insecure_channel(db_manager, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        cache, finisher = Cache(client), Finisher(client, channel, namespace)
        cache.watch(Job, starts, WorkQueue[Request]())
        async with cache.running(), asyncio.TaskGroup() as group:
            await cache.wait_for_sync(stop)
            ready.touch()
            tasks = [group.create_task(finisher.work(starts)) for _ in range(AT_ONCE)]
            await stop.wait()
            for task in tasks:
                task.cancel()


if __name__ == "__main__":
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
