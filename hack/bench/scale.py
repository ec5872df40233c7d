"""Whole experiments on kfx itself: trials a second, and what each costs the API server and the process."""

import asyncio
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from hack.bench import echo, server
from hack.bench.bare_trials import measure_bare_trials
from hack.bench.contender import Contender, Cost, folder
from hack.bench.counters import Written, histogram_quantile, read_written
from hack.bench.figures import Figures, Section
from hack.bench.load import free_port, write_pair
from hack.bench.operators.finisher import TRAINING, Job
from hack.bench.server import NAMESPACE
from hack.cluster import lifecycle
from hack.cluster.layout import Layout
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.katib.defaults import default_experiment
from kfx.kube.client import Client
from kfx.kube.model import Condition, KubeObject, Model
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class Scenario:
    """So many experiments at once, each with so many trials, so many of them in parallel."""

    experiments: int
    trials: int
    parallel: int

    @property
    def all_trials(self) -> int:
        return self.experiments * self.trials

    def __str__(self) -> str:
        many = f"{self.experiments} experiments × " if self.experiments > 1 else ""
        return f"{many}{self.trials:,} trials, {self.parallel} parallel"


SCENARIOS = {
    "small": Scenario(1, 300, 30),
    "main": Scenario(1, 1_000, 100),
    "large": Scenario(1, 5_000, 200),
    "huge": Scenario(1, 20_000, 200),
    "many": Scenario(120, 30, 30),
}
BARE = 700  # objects, of three writes each
BARE_TRIALS = 300
LONGEST = 0.25  # seconds a trial, before a run is given up
GARBAGE = "PATCH jobs"
EVENTS = ("POST events", "PATCH events")
NOTE = (
    "Each round has a new API server and etcd. The process is `python -m kfx` as ServiceAccount "
    "katib-controller with its default flags, its webhooks not registered; algorithm random. Trials are "
    "Jobs that another controller manages (spec.managedBy): a process of its own reports the metric "
    f"{TRAINING} s after it hears of the Job, over gRPC as collectors do, and then sets the Job's status. "
    "The bare client is one process with 32 requests at a time, on the same server right before kfx's "
    "start; per 1,000: kfx's trials for 1,000 of its writes. The same client then makes the writes of trials "
    "as kfx left them, 32 trials at a time, and waits for nothing: no controller could be faster. Writes "
    "a trial are etcd's puts and deletes "
    "until the last Job is gone, without events, and without the garbage collector's, which lets each "
    "deleted Job go. 2nd/1st: time for the second half of the trials over that for the first. CPU s and "
    "peak MiB are kfx's own, lag p99 its event loop's; servers: etcd, API server and controller manager. "
    "Spread: the last experiment's time over the first's. Largest KiB: of all Experiments and Suggestions "
    "at the end, as JSON."
)


async def measure(index: int, *, names: Sequence[str], rounds: int) -> dict[str, Section]:
    """For each scenario its figures, and the writes of a trial by verb and resource."""
    sections: dict[str, Section] = {}
    for name in names:
        scenario = SCENARIOS[name]
        speed = sections[f"scale-{name}"] = Section(f"scale: {scenario}", NOTE)
        writes = sections[f"scale-{name}-writes"] = Section(f"scale: requests a trial, {scenario}", WRITES)
        for _ in range(rounds):
            with server.cluster(index) as layout:
                async with server.prepared(layout) as client:
                    await server.define_katib(client)
                    await measure_round(layout, client, scenario, speed, writes)
    return sections


WRITES = "Successful writing requests of all clients, by verb and resource; 409: refused ones, all together."


async def measure_round(
    layout: Layout, client: Client, scenario: Scenario, speed: Section, writes: Section
) -> None:
    """The bare client, then kfx."""
    spent = servers_cpu(layout)
    bare = await echo.measure_bare(client, BARE)
    spent = servers_cpu(layout) - spent
    per_second = 3 * (bare["objects/s"] or 0.0)
    figures, written = await run(layout, client, scenario)
    rate = figures["trials/s"] or 0.0
    speed.add("kfx", {**figures, "per 1,000": rate / per_second * 1000})
    speed.add("bare client, a trial's writes", await measure_bare_trials(client, BARE_TRIALS))
    speed.add("bare client", {"writes/s": per_second, "CPU s": bare["CPU s"], "servers' CPU s": spent})
    for name, count in sorted(written.requests.items(), key=lambda each: -each[1]):
        if count >= scenario.all_trials / 1000:
            writes.add(name, {"a trial": count / scenario.all_trials})
    conflicts = sum(written.refused.values())
    writes.add("409 and other refusals", {"a trial": conflicts / scenario.all_trials})


async def run(layout: Layout, client: Client, scenario: Scenario) -> tuple[Figures, Written]:
    """One run of the scenario. Raises TimeoutError where it does not come to its end."""
    async with processes(layout, client) as (cost, metrics), watching(client) as progress:
        before = await asyncio.to_thread(read_written, layout)
        spent, servers_spent = cost.cpu_seconds, servers_cpu(layout)
        began = time.perf_counter()
        async with asyncio.timeout(60 + scenario.all_trials * LONGEST):
            await server.make_all(scenario.experiments, lambda n: _make(client, scenario, n))
            await progress.wait_for(scenario)
            ended = sorted(at - began for at in progress.ended.values())
            await _jobs_gone(client)
        written = (await _settled(layout)).since(before)
        text = await asyncio.to_thread(_read, metrics)
        (folder() / "kfx-scale-metrics.txt").write_text(text)
        events = sum(written.requests.get(name, 0) for name in EVENTS)
        own = written.etcd - events - written.requests.get(GARBAGE, 0)
        half = (progress.half or began) - began
        return {
            "trials/s": scenario.all_trials / ended[-1],
            "seconds": ended[-1],
            "2nd/1st": (ended[-1] - half) / half if half else None,
            "writes a trial": own / scenario.all_trials,
            "events a trial": events / scenario.all_trials,
            "CPU s": cost.cpu_seconds - spent,
            "servers' CPU s": servers_cpu(layout) - servers_spent,
            "peak MiB": cost.peak_mib,
            "lag p99 ms": histogram_quantile(text, "kfx_loop_lag_seconds", 0.99) * 1000,
            "spread": ended[-1] / ended[0],
            "largest KiB": await _largest(client),
        }, written


@asynccontextmanager
async def processes(layout: Layout, client: Client) -> AsyncIterator[tuple[Cost, str]]:
    """kfx and the finisher at work: kfx's cost, and where its metrics are."""
    with tempfile.TemporaryDirectory() as name:
        directory, ready = Path(name), Path(name) / "ready"
        write_pair(directory)
        await server.give_rights(layout, client, directory / "kubeconfig")
        health, metrics, store = (f"127.0.0.1:{free_port()}" for _ in range(3))
        flags = {
            "metrics-addr": metrics, "healthz-addr": health, "db-manager-addr": store,
            "webhook-port": str(free_port()), "cert-dir": name, "log-level": "warning",
            "kubeconfig": str(directory / "kubeconfig"), "sqlite-path": str(directory / "observations.db"),
        }  # fmt: skip
        kfx = [sys.executable, "-m", "kfx", *(f"--{flag}={value}" for flag, value in flags.items())]
        finisher = [sys.executable, "-m", "hack.bench.operators.finisher", "{}", "{}", "{}", "{}"]
        with (
            Contender("kfx scale", kfx).running() as cost,
            Contender("finisher", finisher).running(layout.kubeconfig, store, NAMESPACE, ready),
        ):
            await _until(ready.exists, lambda: "ok" in _read(f"http://{health}/readyz"))
            yield cost, f"http://{metrics}/metrics"


async def _until(*conditions: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        for condition in conditions:
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.1)


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 — of this process's own making
            return str(answer.read().decode())
    except OSError:
        return ""


class ProgressStatus(Model, kw_only=True):
    """As much of an Experiment's status as tells how far it is."""

    conditions: tuple[Condition, ...] = ()
    trials_succeeded: int = 0


class Watched(KubeObject, kw_only=True):
    """An Experiment without its lists."""

    resource: ClassVar[Resource] = Experiment.resource
    status: ProgressStatus = ProgressStatus()


@dataclass
class Progress:
    """When each experiment ended and when half of all trials had, by ``time.perf_counter``."""

    ended: dict[str, float] = field(default_factory=dict)
    half: float | None = None
    half_is: int = 0
    done: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def requests(self, event: Event[Any]) -> Iterable[Request]:
        """Listens as an event handler, and has nothing queued."""
        if event.new is not None:
            name, status = event.new.metadata.name, event.new.status
            self.done[name] = status.trials_succeeded
            if self.half is None and self.half_is and sum(self.done.values()) >= self.half_is:
                self.half = time.perf_counter()
            if any(c.type == "Failed" and c.status == "True" for c in status.conditions):
                raise RuntimeError(f"{event.new} has failed: {status.conditions[-1].message}")
            if any(c.type == "Succeeded" and c.status == "True" for c in status.conditions):
                self.ended.setdefault(name, time.perf_counter())
                self.changed.set()
        return ()

    async def wait_for(self, scenario: Scenario) -> None:
        """Return once all have ended."""
        self.half_is = scenario.all_trials // 2
        while len(self.ended) < scenario.experiments:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[Progress]:
    """Hears of every Experiment inside the block."""
    cache, progress = Cache(client), Progress()
    cache.watch(Watched, progress, WorkQueue[Request]())
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        yield progress


async def _make(client: Client, scenario: Scenario, number: int) -> None:
    await client.create(Experiment.resource, experiment(scenario, number), namespace=NAMESPACE)


def servers_cpu(layout: Layout) -> float:
    """Seconds so far of etcd, API server and controller manager."""
    options = lifecycle.load_options(layout.folder)
    parts = lifecycle.states(layout, options) if options is not None else []
    return sum(Cost(part.pid).cpu_seconds for part in parts if part.running)


async def _jobs_gone(client: Client) -> None:
    while (await client.list_page(Job.resource, namespace=NAMESPACE, limit=1, metadata_only=True)).items:
        await asyncio.sleep(0.5)


async def _settled(layout: Layout) -> Written:
    """Once nothing more is written: the last events take their time."""
    found = await asyncio.to_thread(read_written, layout)
    while True:
        await asyncio.sleep(2)
        later = await asyncio.to_thread(read_written, layout)
        if later.etcd - found.etcd < 5:
            return later
        found = later


async def _largest(client: Client) -> float:
    sizes = [0]
    for kind in (Experiment, Suggestion):
        found = await client.request("GET", kind.resource.path(NAMESPACE))
        sizes += [len(msgspec.json.encode(item)) for item in found["items"]]
    return max(sizes) / 1024


def experiment(scenario: Scenario, number: int) -> dict[str, Any]:
    """Three parameters, searched at random; as Katib's defaulting webhook leaves it."""
    space = {"min": "0.01", "max": "0.05", "distribution": "uniform"}
    layers = {"min": "2", "max": "5", "distribution": "uniform"}
    parameters = [
        {"name": "lr", "parameterType": "double", "feasibleSpace": space},
        {"name": "layers", "parameterType": "int", "feasibleSpace": layers},
        {"name": "optimizer", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
    ]
    document = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": f"scale-{number}", "namespace": NAMESPACE},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parallelTrialCount": scenario.parallel,
            "maxTrialCount": scenario.trials,
            "maxFailedTrialCount": 3,
            "parameters": parameters,
            "trialTemplate": trial_template(("lr", "layers", "optimizer")),
        },
    }
    return default_experiment(document)


def trial_template(names: Iterable[str]) -> dict[str, Any]:
    """Its Jobs are left alone by the job controller."""
    arguments = [f"--{name}=${{trialParameters.{name}}}" for name in names]
    container = {
        "name": "training-container", "image": "example.org/team/trainer:v1",
        "command": ["python3", "/opt/train.py", *arguments],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
    }  # fmt: skip
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "primaryContainerName": "training-container",
        "trialParameters": [{"name": name, "reference": name} for name in names],
        "trialSpec": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": {"managedBy": "bench.example.org/finisher", "template": pod},
        },
    }
