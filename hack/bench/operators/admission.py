"""A webhook on kfx.runtime: ``python -m hack.bench.operators.admission PORT CERTDIR``."""

import asyncio
import signal
import sys

import uvloop

from kfx.runtime import AdmissionRequest, AdmissionServer, Allowed, FileCertificates, RuntimeMetrics
from kfx.runtime.log import configure_logging

PATCH = ({"op": "add", "path": "/metadata/labels/touched", "value": "yes"},)


class Labeller:
    """A label for every Pod."""

    path = "/mutate-pod"

    async def handle(self, request: AdmissionRequest) -> Allowed:
        """The same for all."""
        return Allowed(patch=PATCH)


async def run(port: int, directory: str) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics = RuntimeMetrics()
    certificates = FileCertificates(directory, metrics=metrics)
    server = AdmissionServer(
        host="127.0.0.1", port=port, handlers=[Labeller()], certificates=certificates, metrics=metrics
    )
    async with server.serving():
        await stop.wait()


if __name__ == "__main__":
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(int(sys.argv[1]), sys.argv[2]))
