"""How long until a process can be used."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from hack.bench import echo, server
from hack.bench.contender import ROOT, Contender
from hack.bench.figures import Section
from hack.bench.load import free_port, write_pair
from hack.bench.server import clear, make
from hack.cluster.layout import Layout
from kfx.kube.client import Client

LIMIT = 60.0
NOTE = (
    "Milliseconds from the process's start against a warm API server. Ready: /readyz says ok, with "
    "Katib's definitions installed and a certificate from files. First answer: an Echo that was there "
    "before has got its ConfigMap and status."
)


async def measure(layout: Layout, client: Client, *, rounds: int) -> Section:
    """kfx itself, then the echo operators of all contenders."""
    section = Section(f"start: {rounds} rounds", NOTE)
    await server.define_katib(client)
    for _ in range(rounds):
        section.add("kfx, ready", {"ms": await _until_ready(layout)})
        section.add(
            "kfx --help", {"ms": await asyncio.to_thread(_wall, [sys.executable, "-m", "kfx", "--help"])}
        )
        section.add("python -c pass", {"ms": await asyncio.to_thread(_wall, [sys.executable, "-c", "pass"])})
        for contender in echo.contenders():
            if "1 worker" not in contender.name:
                name = f"{contender.name.partition(',')[0]} echo operator, first answer"
                section.add(name, {"ms": await _until_answered(contender, layout, client)})
                await clear(client)
    section.order("kfx echo operator, first answer")
    return section


def _wall(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=LIMIT)
    return (time.perf_counter() - began) * 1000


async def _until_answered(contender: Contender, layout: Layout, client: Client) -> float | None:
    await make(client, "first")
    try:
        async with asyncio.timeout(LIMIT), server.watching(client) as done:
            began = time.perf_counter()
            with contender.running(layout.kubeconfig):
                await done.wait_for(1)
                return (done.at["first"] - began) * 1000
    except TimeoutError:
        return None


async def _until_ready(layout: Layout) -> float | None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_pair(directory)
        health = f"127.0.0.1:{free_port()}"
        flags = {
            "metrics-addr": "0", "healthz-addr": health, "db-manager-addr": "0",
            "debug-addr": "0", "webhook-port": str(free_port()), "cert-dir": name,
            "kubeconfig": str(layout.kubeconfig), "sqlite-path": str(directory / "observations.db"),
        }  # fmt: skip
        words = [sys.executable, "-m", "kfx", *(f"--{flag}={value}" for flag, value in flags.items())]
        began = time.perf_counter()
        with Contender("kfx itself", words).running():
            if await _says_ok(f"http://{health}/readyz"):
                return (time.perf_counter() - began) * 1000
            return None


async def _says_ok(url: str) -> bool:
    end = time.monotonic() + LIMIT
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while time.monotonic() < end:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(0.005)
    return False
