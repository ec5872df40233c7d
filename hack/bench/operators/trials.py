"""A cache of Trials on kfx.runtime: ``python -m hack.bench.operators.trials KUBECONFIG RESULT``.

Writes RESULT (JSON) once the first list is whole, then waits for SIGTERM.
"""

import asyncio
import gc
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from hack.bench.figures import quantile
from kfx.apis.trial import Trial
from kfx.controllers.indexes import TRIAL_INDEXERS
from kfx.katib.compaction import compact
from kfx.kube import Client, load_credentials
from kfx.runtime import Cache, RuntimeMetrics
from kfx.runtime.log import configure_logging

SAMPLE = 0.005
"""Seconds that the probe of the loop sleeps; what it wakes later than that is the lag."""


async def run(kubeconfig: str, result: Path) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    metrics, lags = RuntimeMetrics(), list[float]()
    async with Client.connect(load_credentials(kubeconfig), user_agent="bench") as client:
        cache = Cache(client, metrics=metrics)
        trials = cache.informer(Trial, indexers=TRIAL_INDEXERS, transform=compact)
        async with cache.running(), asyncio.TaskGroup() as group:
            began = time.perf_counter()
            probe = group.create_task(measure_lag(lags))
            await cache.wait_for_sync(stop)
            synced = time.perf_counter() - began
            probe.cancel()
            result.write_bytes(msgspec.json.encode(figures(len(trials), synced, lags)))
            await stop.wait()


async def measure_lag(lags: list[float]) -> None:
    """Endless."""
    while True:
        due = time.perf_counter() + SAMPLE
        await asyncio.sleep(SAMPLE)
        lags.append(max(0.0, time.perf_counter() - due))


def figures(objects: int, synced: float, lags: list[float]) -> dict[str, float]:
    """Seconds of the list; milliseconds of the loop's lag and of one full collection."""
    began = time.perf_counter()
    gc.collect()
    collected = time.perf_counter() - began
    return {
        "objects": objects,
        "sync s": synced,
        "GC ms": collected * 1000,
        "lag p99 ms": quantile(sorted(lags), 0.99) * 1000,
    }


if __name__ == "__main__":
    configure_logging("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], Path(sys.argv[2])))
