"""The echo operator on kfx.runtime: ``python -m hack.bench.operators.echo KUBECONFIG WORKERS``."""

import asyncio
import signal
import sys
from typing import ClassVar

import uvloop

from kfx.kube import KubeObject, Model, Resource, load_credentials
from kfx.runtime import Create, Lister, Operator, Plan, Request, Result, Writer
from kfx.runtime.log import configure_logging

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
    async with Operator.connect(load_credentials(kubeconfig), "echo") as operator:
        reconciler = EchoReconciler(operator.cache.lister(Echo), operator.writer)
        operator.controller("echo", reconciler, Echo, owns=[CONFIG_MAPS], workers=workers)
        await operator.run(stop)


if __name__ == "__main__":
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], int(sys.argv[2])))
