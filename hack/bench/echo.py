"""Custom resources answered by a ConfigMap and a status: how many a second, how soon, at what cost."""

import asyncio
import sys
import time

from hack.bench import server
from hack.bench.contender import PEERS, Contender, Cost, build_go_peer, install_kopf
from hack.bench.figures import Figures, Section, quantile
from hack.bench.operators.echo import CONFIG_MAPS, Echo
from hack.bench.server import NAMESPACE, Done, clear, make, make_all
from hack.cluster.layout import Layout
from kfx.kube.client import Client

RATE = 50
WARM_UP = 100  # objects before the clock starts
LIMIT = 180.0  # seconds for one contender in one round
BARE = "bare client"
NOTE = (
    "Each object is answered by a ConfigMap with an owner reference and a status patch. All contenders on "
    "one API server, one after the other, in turned order every other round. p50 and p99: "
    "milliseconds from the object's being stored to the news of its status, at 50 objects a second. The "
    "bare client makes the three writes of each object, 32 at a time; its CPU seconds are for three writes, "
    "the others' for two."
)


def contenders() -> list[Contender]:
    """kfx and its peers."""
    go, kopf = str(build_go_peer()), str(install_kopf())
    kfx = (sys.executable, "-m", "hack.bench.operators.echo", "{}")
    return [
        Contender("kfx", (*kfx, "32")),
        Contender("controller-runtime, 32 workers", (go, "echo", "{}", "32")),
        Contender("controller-runtime, 1 worker", (go, "echo", "{}", "1")),
        Contender("kopf", (kopf, str(PEERS / "kopf" / "echo.py"), "{}")),
    ]


async def measure(layout: Layout, client: Client, *, count: int, paced: int, rounds: int) -> Section:
    """All contenders, and a bare client doing the same writes."""
    section = Section(f"echo: {count} objects in a burst, then {paced} at {RATE}/s", NOTE)
    every = contenders()
    for number in range(rounds):
        section.add(BARE, await measure_bare(client, count))
        await clear(client)
        for contender in every if number % 2 == 0 else reversed(every):
            section.add(contender.name, await _measure(contender, layout, client, count, paced))
            await clear(client)
    section.order("kfx")
    return section


async def _measure(contender: Contender, layout: Layout, client: Client, count: int, paced: int) -> Figures:
    """Figures of one round; none where the contender does not come to the end in time."""
    figures: dict[str, float | None] = {}
    try:
        async with asyncio.timeout(LIMIT), server.watching(client) as done:
            with contender.running(layout.kubeconfig) as cost:
                await make_all(WARM_UP, lambda n: make(client, f"warm-{n}"))
                await done.wait_for(WARM_UP)
                figures |= await _burst(client, done, cost, count)
                figures["peak MiB"] = cost.peak_mib
                delays = await _pace(client, done, paced)
                figures |= {"p50 ms": quantile(delays, 0.5), "p99 ms": quantile(delays, 0.99)}
    except TimeoutError:
        return figures
    return figures


async def _burst(client: Client, done: Done, cost: Cost, count: int) -> Figures:
    before, began = cost.cpu_seconds, time.perf_counter()
    await make_all(count, lambda n: make(client, f"burst-{n}"))
    await done.wait_for(count + WARM_UP)
    seconds = time.perf_counter() - began
    return {"objects/s": count / seconds, "CPU s": cost.cpu_seconds - before}


async def _pace(client: Client, done: Done, count: int) -> list[float]:
    """Milliseconds from an object's being stored to the news of its status, sorted."""
    stored: dict[str, float] = {}

    async def one(number: int) -> None:
        await asyncio.sleep(number / RATE)
        await make(client, f"paced-{number}")
        stored[f"paced-{number}"] = time.perf_counter()

    already = len(done.at)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    await done.wait_for(already + count)
    return sorted(max(0.0, done.at[name] - at) * 1000 for name, at in stored.items())


async def measure_bare(client: Client, count: int) -> Figures:
    """The three writes of each object by one client, and nothing else."""

    async def writes(name: str) -> None:
        await make(client, name)
        await client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {}}, namespace=NAMESPACE)
        status = {"status": {"done": True}}
        await client.patch(Echo.resource, NAMESPACE, name, status, subresource="status")

    await make_all(WARM_UP, lambda n: writes(f"warm-{n}"))
    before, began = time.process_time(), time.perf_counter()
    await make_all(count, lambda n: writes(f"bare-{n}"))
    seconds = time.perf_counter() - began
    return {"objects/s": count / seconds, "CPU s": time.process_time() - before}
