"""The echo operator on kfx.runtime: ``python -m hack.bench.operators.echo KUBECONFIG WORKERS``."""

import asyncio
import signal
import sys
from typing import ClassVar

import uvloop

from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.model import KubeObject, Model
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.controller import Controller
from kfx.runtime.events import EventRecorder
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner
from kfx.runtime.leader import AlwaysLeader
from kfx.runtime.log import configure_logging
from kfx.runtime.manager import Manager
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.plan import Create, Plan
from kfx.runtime.reconcile import Request, Result
from kfx.runtime.store import Lister
from kfx.runtime.writer import Writer

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


class EchoSpec(Model, kw_only=True):
    """``text`` is what to repeat."""

    text: str = ""


class EchoStatus(Model, kw_only=True):
    """``done`` once the ConfigMap is there."""

    done: bool = False


class Echo(KubeObject, kw_only=True):
    """The benchmark's kind."""

    resource: ClassVar[Resource] = Resource("bench.example.org", "v1", "echos", "Echo")
    spec: EchoSpec = EchoSpec()
    status: EchoStatus = EchoStatus()


class EchoReconciler:
    """A ConfigMap for each Echo, then a status that says so."""

    def __init__(self, echos: Lister[Echo], writer: Writer) -> None:
        self._echos = echos
        self._writer = writer

    async def reconcile(self, request: Request) -> Result:
        """Nothing where it is done."""
        echo = self._echos.get(request)
        if echo is None or echo.status.done:
            return Result()
        return await self._writer.apply(echo, plan(echo))


def plan(echo: Echo) -> Plan:
    """The two writes."""
    meta = echo.metadata
    owner = {
        "apiVersion": echo.resource.api_version, "kind": "Echo", "name": meta.name, "uid": meta.uid,
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    manifest = {
        "metadata": {"name": meta.name, "namespace": meta.namespace, "ownerReferences": [owner]},
        "data": {"text": echo.spec.text},
    }
    create = Create(resource=CONFIG_MAPS, manifest=manifest, owner_uid=meta.uid)
    return Plan(create=(create,), status=EchoStatus(done=True))


async def run(kubeconfig: str, workers: int) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Client.connect(load_credentials(kubeconfig), user_agent="echo") as client:
        metrics = RuntimeMetrics()
        cache = Cache(client, metrics=metrics)
        recorder = EventRecorder(client, "echo", metrics=metrics)
        reconciler = EchoReconciler(cache.lister(Echo), Writer(client, recorder, metrics))
        controller = Controller("echo", reconciler, workers=workers, metrics=metrics)
        cache.watch(Echo, EnqueueRequestForObject(), controller.queue)
        owner = EnqueueRequestForOwner("bench.example.org", "Echo")
        cache.watch(CONFIG_MAPS, owner, controller.queue)
        await Manager(
            servers=[], cache=cache, elector=AlwaysLeader(), controllers=[controller], background=[recorder]
        ).run(stop)


if __name__ == "__main__":
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], int(sys.argv[2])))
