"""A webhook on kfx.runtime: ``python -m hack.bench.operators.admission PORT CERTDIR``."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from kfx.runtime import (
    AdmissionHandler,
    AdmissionRequest,
    AdmissionServer,
    Allowed,
    FileCertificates,
    RuntimeMetrics,
)
from kfx.runtime.log import configure_logging

PATCH = ({"op": "add", "path": "/metadata/labels/touched", "value": "yes"},)


class Labeller:
    """A label for every Pod."""

    path = "/mutate-pod"

    async def handle(self, request: AdmissionRequest) -> Allowed:
        """The same for all."""
        return Allowed(patch=PATCH)


async def run(handlers: Sequence[AdmissionHandler], port: int, directory: str) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics = RuntimeMetrics()
    certificates = FileCertificates(directory, metrics=metrics)
    server = AdmissionServer(
        host="127.0.0.1", port=port, handlers=handlers, certificates=certificates, metrics=metrics
    )
    async with server.serving():
        await stop.wait()


def main(handlers: Sequence[AdmissionHandler]) -> None:
    """Serve them as the command line says."""
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(handlers, int(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main([Labeller()])
