"""From the text of an event to its key in a queue: microseconds of one process, in a loop."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import msgspec

from hack.bench.figures import Section, quantile
from hack.bench.operators.echo import Echo
from kfx.kube.decode import decoder_for
from kfx.kube.listwatch import ListerWatcher
from kfx.runtime.handler import EnqueueRequestForObject
from kfx.runtime.informer import Informer
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import Put, Reflector
from kfx.runtime.source import Watch
from kfx.runtime.store import Store
from kfx.runtime.workqueue import WorkQueue

T = TypeVar("T")
R = TypeVar("R")

OBJECTS, LOOPS = 2000, 20
NOTE = (
    f"µs of CPU time for one event of an Echo, {OBJECTS} objects × {LOOPS} loops; the median of the loops, "
    "and the slowest. Every event is an update that queues its key. kfx only."
)


async def measure() -> Section:
    """Within a running loop, whose clock the queue reads."""
    section = Section("path: from event to queued key", NOTE)
    metrics = RuntimeMetrics()
    decode = decoder_for(Echo)
    unasked = cast("ListerWatcher", None)  # the loop hands changes in itself
    reflector: Reflector[Echo] = Reflector(Echo.resource, unasked, decode, metrics=metrics.informer("echos"))
    informer: Informer[Echo] = Informer(reflector, Store())
    queues = iter([WorkQueue[Request](f"path-{n}", metrics=metrics.queue(f"path-{n}")) for n in range(LOOPS)])
    decoding, applying = [], []
    for version in range(LOOPS):
        queue = next(queues)
        informer._listeners[:] = [Watch(EnqueueRequestForObject(), queue).offer]
        texts = [text(number, version) for number in range(OBJECTS)]
        spent, objects = _timed(decode, texts)
        decoding.append(spent)
        applying.append(_timed(informer._apply, [Put(each) for each in objects])[0])
        if len(queue) != OBJECTS:
            raise RuntimeError(f"{len(queue)} keys were queued, {OBJECTS} expected")
    for name, found in (("decoded event → queued key", applying), ("JSON → decoded event", decoding)):
        section.add(name, {"µs": quantile(sorted(found), 0.5), "slowest": max(found)})
    return section


def _timed(work: Callable[[T], R], values: Sequence[T]) -> tuple[float, list[R]]:
    began = time.thread_time()
    results = [work(value) for value in values]
    return (time.thread_time() - began) / len(values) * 1e6, results


def text(number: int, version: int) -> bytes:
    """An Echo as the API server would send it."""
    metadata = {
        "name": f"echo-{number}", "namespace": "bench", "uid": f"705ab4f5-6393-11e8-b7cc-{number:012}",
        "resourceVersion": str(1 + version * OBJECTS + number), "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    whole = {"apiVersion": "bench.example.org/v1", "kind": "Echo", "metadata": metadata}
    return msgspec.json.encode({**whole, "spec": {"text": "x" * 64}, "status": {"done": True}})
