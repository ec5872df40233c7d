"""Certificates when processes die by SIGKILL at any moment: real processes, a real API server."""

import asyncio
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from hack.cluster.layout import Layout
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.pki import Pair, read_pair
from kfx.runtime.tls import dial, verifier_of
from kfx.webhooks.cert_generator import JOBS, SERVICES
from tests.cluster.installation import (
    CORE,
    bundles,
    ensure,
    free_ports,
    prepared,
    register_without_bundle,
    remove,
    stored,
    until,
    until_ready,
)

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

SECRET, JOB = "katib-webhook-cert", "katib-cert-generator"
ROUNDS = 2


@pytest.fixture
async def client(credentials: Credentials) -> AsyncIterator[Client]:
    async with prepared(credentials) as client:
        yield client
        await remove(client, SECRETS, CORE, SECRET)


class Replica:
    """kfx in a process of its own."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.health, self.port = free_ports(2)
        folder.mkdir(exist_ok=True)
        flags = {
            "kubeconfig": kubeconfig, "cert-dir": folder, "sqlite-path": folder / "o.db", "metrics-addr": "0",
            "db-manager-addr": "0", "healthz-addr": f"127.0.0.1:{self.health}", "webhook-port": self.port,
            "enable-leader-election": "true",
        }  # fmt: skip
        words = [f"--{name}={value}" for name, value in flags.items()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kfx", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    async def end(self) -> int:
        """By SIGTERM; the exit status."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


async def start_over(client: Client) -> None:
    """No Secret, and no webhook that trusts anybody."""
    await remove(client, SECRETS, CORE, SECRET)
    for resource in WEBHOOK_CONFIGURATIONS:
        await remove(client, resource, "", "katib.kubeflow.org")
    await register_without_bundle(client)


def as_pair(content: dict[str, bytes]) -> Pair:
    return read_pair(content["tls.crt"], content["tls.key"], content["ca.crt"], now=datetime.now(UTC))


async def agreed(client: Client, replica: Replica) -> None:
    """The replica is ready, and Secret, webhooks and what it presents are one."""
    await until_ready(replica.health)
    content = await stored(client, SECRET)
    assert await bundles(client) == [content["ca.crt"]] * 3
    assert await dial(("127.0.0.1", replica.port), verifier_of(as_pair(content))) is None


async def test_whichever_replica_is_killed_when_the_other_serves_what_every_webhook_trusts(
    client: Client, cluster: Layout, tmp_path: Path
) -> None:
    """K23: from the first start to a clean end."""
    chance = Random(5)
    for number in range(ROUNDS):
        await start_over(client)
        replicas = [Replica(cluster.kubeconfig, tmp_path / f"{number}-{each}") for each in "ab"]
        try:
            if number % 2:
                await asyncio.sleep(chance.uniform(0.5, 2.5))
            else:
                await until(lambda: stored(client, SECRET))
            replicas[0].kill()
            await agreed(client, replicas[1])
            replicas.append(Replica(cluster.kubeconfig, tmp_path / f"{number}-c"))
            await agreed(client, replicas[2])
            # Katib's certGenerator panics here, with status 2
            assert await replicas[2].end() == 0
        finally:
            for replica in replicas:
                replica.kill()


async def test_the_job_killed_between_its_writes_is_made_good_by_its_next_pod(
    client: Client, cluster: Layout
) -> None:
    await ensure(client, SERVICES, "katib-controller", CORE, spec={"ports": [{"port": 443}]})
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.org/kfx"}]}
    await ensure(client, JOBS, JOB, CORE, spec={"suspend": True, "template": {"spec": pod}})
    command = [sys.executable, "-m", "kfx", "cert-generator", f"--kubeconfig={cluster.kubeconfig}"]
    await start_over(client)
    for _ in range(ROUNDS):
        before = await stored(client, SECRET)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            found = await stored(client, SECRET)
            if found and found != before:
                as_pair(found)  # whole, whenever it is seen
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    content = await stored(client, SECRET)
    assert await bundles(client) == [content["ca.crt"]] * 3
    secret = await client.get_document(SECRETS, CORE, SECRET)
    assert [owner["name"] for owner in secret["metadata"]["ownerReferences"]] == [JOB]
    assert b64decode(secret["data"]["tls.crt"]) == as_pair(content).cert_pem
    for resource, name in ((JOBS, JOB), (SERVICES, "katib-controller")):
        await remove(client, resource, CORE, name)
