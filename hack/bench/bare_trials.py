"""The writes of trials by one client and nothing else: the most that any controller could reach.

What is written is what a run of kfx has left on the same server, so it is as large and has the same parts.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hack.bench import server
from hack.bench.figures import Figures
from hack.bench.operators.finisher import Job, completed
from hack.bench.server import NAMESPACE
from kfx.apis.trial import Trial
from kfx.build import utc_now
from kfx.kube.client import Client
from kfx.runtime.events import EVENTS

WARM_UP = 50
EVENTS_OF_A_TRIAL = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """An ended Trial as a document, and as many events as a trial has."""

    trial: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]

    @classmethod
    async def take(cls, client: Client) -> "Sample":
        """Of what is there. Raises IndexError where no trial was run."""
        trials = await client.request("GET", Trial.resource.path(NAMESPACE), query={"limit": "1"})
        of_events = {"limit": str(EVENTS_OF_A_TRIAL)}
        events = await client.request("GET", EVENTS.path(NAMESPACE), query=of_events)
        return cls(trials["items"][0], events["items"])


async def measure_bare_trials(client: Client, count: int) -> Figures:
    """``count`` times the writes that a trial costs, 32 trials at a time."""
    sample = await Sample.take(client)
    await server.make_all(WARM_UP, lambda n: write_trial(client, sample, f"warm-{n}"))
    before, began = time.process_time(), time.perf_counter()
    await server.make_all(count, lambda n: write_trial(client, sample, f"bare-{n}"))
    seconds = time.perf_counter() - began
    return {"trials/s": count / seconds, "seconds": seconds, "CPU s": time.process_time() - before}


async def write_trial(client: Client, sample: Sample, name: str) -> None:
    """Trial, intent, Job, that it runs, the Job's end, the Trial's, the Job's deletion; four events."""
    kept = {key: sample.trial["metadata"][key] for key in ("labels", "ownerReferences")}
    head = {key: sample.trial[key] for key in ("apiVersion", "kind", "spec")}
    made = await client.create(
        Trial.resource, {**head, "metadata": {**kept, "name": name}}, namespace=NAMESPACE
    )
    status = sample.trial["status"]
    await _set_status(client, name, {"conditions": status["conditions"][:1]})
    owner = {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "name": name,
        "uid": made["metadata"]["uid"],
    }
    metadata = {"name": name, "ownerReferences": [{**owner, "controller": True}]}
    manifest = {**sample.trial["spec"]["runSpec"], "metadata": metadata}
    job = await client.create(Job.resource, manifest, namespace=NAMESPACE)
    await _set_status(client, name, {"conditions": status["conditions"][:2]})
    ended = {"status": completed(utc_now())}
    await client.patch(Job.resource, NAMESPACE, name, ended, subresource="status")
    await _set_status(client, name, status)
    uid = job["metadata"]["uid"]
    await client.delete(Job.resource, NAMESPACE, name, uid=uid, propagation="Foreground")
    for number, event in enumerate(sample.events):
        of_event = {"name": f"{name}.{number}", "namespace": NAMESPACE}
        await client.create(EVENTS, {**event, "metadata": of_event}, namespace=NAMESPACE)


async def _set_status(client: Client, name: str, status: Mapping[str, Any]) -> None:
    await client.patch(Trial.resource, NAMESPACE, name, {"status": status}, subresource="status")
