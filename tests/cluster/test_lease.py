"""The election on a real Lease: what is stored, who wins a race, what others may do to it."""

import asyncio
import os
import re
import signal
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.layout import Layout
from hack.cluster.process import recorded
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from kfx.kube.errors import AlreadyExists, Conflict
from kfx.kube.resource import guess_resource
from kfx.runtime.leader import LeaderElector, LeadershipLost, Lease, WriteHeld, own_identity
from kfx.runtime.lease import LEASES, ApiLeaseLock
from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.metrics import RuntimeMetrics

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMESPACE = "default"
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NUMBERS = count()


@pytest.fixture
def lock(client: Client) -> ApiLeaseLock:
    return ApiLeaseLock(client, NAMESPACE, f"lock-{next(NUMBERS)}")


async def stored(client: Client, lock: ApiLeaseLock) -> dict[str, Any]:
    return await client.get_document(LEASES, NAMESPACE, lock.name)


def elector(lock: ApiLeaseLock, name: str) -> LeaderElector:
    return LeaderElector(
        lock, name, lease_duration=3, renew_deadline=2, retry_period=0.2, metrics=RuntimeMetrics()
    )


async def test_there_is_no_lease_at_first(lock: ApiLeaseLock) -> None:
    assert await lock.read() is None


async def test_a_lease_is_stored_as_client_go_stores_it(client: Client, lock: ApiLeaseLock) -> None:
    identity = own_identity()
    await elector(lock, identity).acquire(asyncio.Event())
    spec = (await stored(client, lock))["spec"]
    assert MICRO_TIME.fullmatch(spec.pop("acquireTime"))
    assert MICRO_TIME.fullmatch(spec.pop("renewTime"))
    assert spec.pop("leaseTransitions", 0) == 0
    assert spec == {"holderIdentity": identity, "leaseDurationSeconds": 3}


async def test_of_two_who_make_it_one_is_faster(lock: ApiLeaseLock) -> None:
    await lock.write(Lease(holder="a", duration=3))
    with pytest.raises(AlreadyExists):
        await lock.write(Lease(holder="b", duration=3))


async def test_of_two_who_change_it_one_is_faster(lock: ApiLeaseLock) -> None:
    await lock.write(Lease(holder="", duration=1))
    seen = await lock.read()
    assert seen is not None
    await lock.write(Lease("a", 3, version=seen.version, document=seen.document))
    with pytest.raises(Conflict):
        await lock.write(Lease("b", 3, version=seen.version, document=seen.document))
    found = await lock.read()
    assert found is not None
    assert found.holder == "a"


async def test_what_others_wrote_into_the_object_is_kept(client: Client, lock: ApiLeaseLock) -> None:
    one = elector(lock, "a")
    await one.acquire(asyncio.Event())
    labels = {"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}}
    await client.patch(LEASES, NAMESPACE, lock.name, labels)
    async with one.renewing():
        await asyncio.sleep(0.7)
    metadata = (await stored(client, lock))["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "x"}, {"note": "y"})


@pytest.mark.parametrize(
    "spec",
    [
        {"holderIdentity": None, "renewTime": None, "leaseDurationSeconds": None, "leaseTransitions": None},
        {"holderIdentity": ""},
        {"holderIdentity": "", "leaseTransitions": 2**31 - 1},
    ],
    ids=["nulls", "nobody", "most-transitions"],
)
async def test_a_lease_that_somebody_emptied_is_taken(
    client: Client, lock: ApiLeaseLock, spec: dict[str, Any]
) -> None:
    await lock.write(Lease(holder="x", duration=3600))
    await client.patch(LEASES, NAMESPACE, lock.name, {"spec": spec})
    async with asyncio.timeout(5):
        assert await elector(lock, "a").acquire(asyncio.Event())
    assert (await stored(client, lock))["spec"]["holderIdentity"] == "a"


async def test_a_standby_takes_over_from_a_leader_that_fell_silent(lock: ApiLeaseLock) -> None:
    first, second = elector(lock, "a"), elector(lock, "b")
    await first.acquire(asyncio.Event())
    began = asyncio.get_running_loop().time()
    assert await second.acquire(asyncio.Event())
    assert asyncio.get_running_loop().time() - began >= 3
    assert second.is_leader
    with pytest.raises(WriteHeld):
        first.check()  # it has yet to hear of it
    await lose(first)
    found = await lock.read()
    assert found is not None
    assert (found.holder, found.transitions) == ("b", 1)


async def test_a_clean_stop_hands_over_at_once(client: Client, lock: ApiLeaseLock) -> None:
    first, second = elector(lock, "a"), elector(lock, "b")
    await first.acquire(asyncio.Event())
    async with first.renewing():
        await asyncio.sleep(0.5)
    spec = (await stored(client, lock))["spec"]
    assert (spec.get("holderIdentity", ""), spec["leaseDurationSeconds"]) == ("", 1)
    async with asyncio.timeout(1):
        assert await second.acquire(asyncio.Event())


async def test_a_deleted_lease_is_made_again(client: Client, lock: ApiLeaseLock) -> None:
    one = elector(lock, "a")
    await one.acquire(asyncio.Event())
    async with one.renewing():
        await client.delete(LEASES, NAMESPACE, lock.name)
        await asyncio.sleep(0.7)
        assert one.is_leader
        assert (await stored(client, lock))["spec"]["holderIdentity"] == "a"


async def test_a_leader_whose_server_falls_silent_stops_leading(cluster: Layout, lock: ApiLeaseLock) -> None:
    leader = elector(lock, "a")
    await leader.acquire(asyncio.Event())
    with silent(cluster):
        await lose(leader)
    found = await lock.read()
    assert found is not None
    assert found.holder == "a"  # not released: what is on its way may still arrive


async def test_a_request_without_an_answer_ends_before_the_clients_own_limit(
    cluster: Layout, lock: ApiLeaseLock
) -> None:
    with silent(cluster), pytest.raises(TimeoutError):
        await lock.read()


@pytest.mark.parametrize(("seconds", "held"), [(1.0, False), (2.5, True)])
async def test_L12_a_blocked_loop_holds_writes_once_the_claim_is_over(
    lock: ApiLeaseLock, seconds: float, held: bool
) -> None:
    one, lag = elector(lock, "a"), LoopLag(limit=seconds - 0.5)
    await one.acquire(asyncio.Event())
    async with lag.running(), one.renewing():
        await asyncio.sleep(0.3)
        time.sleep(seconds)
        if held:
            with pytest.raises(WriteHeld):
                one.check()
        else:
            one.check()
        await asyncio.sleep(1)
        one.check()  # nobody has touched the lease meanwhile
        assert "the event loop was blocked for" in (lag.check() or "")


async def test_L12_a_lease_that_was_taken_while_the_loop_was_blocked_is_lost(
    cluster: Layout, lock: ApiLeaseLock
) -> None:
    one = elector(lock, "a")
    await one.acquire(asyncio.Event())

    async def rival() -> bool:
        async with Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="rival") as client:
            return await elector(ApiLeaseLock(client, NAMESPACE, lock.name), "b").acquire(asyncio.Event())

    async def block() -> None:
        taken = asyncio.get_running_loop().run_in_executor(None, asyncio.run, rival())
        time.sleep(4.5)
        with pytest.raises(WriteHeld):
            one.check()
        assert await taken

    async with asyncio.TaskGroup() as group:
        group.create_task(block())
        await asyncio.sleep(0)
        await lose(one)
    found = await lock.read()
    assert found is not None
    assert found.holder == "b"


FLOW_SCHEMA = Path(__file__).resolve().parents[2] / "config" / "manager" / "flow_schema.yaml"
FLOW_SCHEMAS = guess_resource("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")
ACCOUNTS = guess_resource("v1", "ServiceAccount")


def flow_of(cluster: Layout, token: str, path: str) -> str:
    """The uid of the FlowSchema that a request of ``token``'s account went by."""
    context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
    request = urllib.request.Request(cluster.api_server + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as refused:  # without rights it goes the same way
        headers = refused.headers
    return str(headers["X-Kubernetes-PF-FlowSchema-UID"])


async def test_L15_leases_go_by_the_flow_schema_that_is_shipped_and_nothing_else_does(
    cluster: Layout, client: Client
) -> None:
    schema = yaml.safe_load(FLOW_SCHEMA.read_text())
    account = schema["spec"]["rules"][0]["subjects"][0]["serviceAccount"]
    namespace = account["namespace"]
    await client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    await client.create(ACCOUNTS, {"metadata": {"name": account["name"]}}, namespace=namespace)
    answer = await client.request(
        "POST", ACCOUNTS.path(namespace, account["name"], "token"), body={"spec": {"expirationSeconds": 600}}
    )
    stored = await client.request("POST", FLOW_SCHEMAS.path(), body=schema)
    token = answer["status"]["token"]
    leases, others = LEASES.path(namespace, "3fbc96e9.katib.kubeflow.org"), ACCOUNTS.path(namespace)
    async with asyncio.timeout(30):
        while await asyncio.to_thread(flow_of, cluster, token, leases) != stored["metadata"]["uid"]:
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(flow_of, cluster, token, others) != stored["metadata"]["uid"]


async def lose(leader: LeaderElector) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with leader.renewing():
            await asyncio.Event().wait()
    assert caught.group_contains(LeadershipLost)
    with pytest.raises(LeadershipLost):
        leader.check()


@contextmanager
def silent(cluster: Layout) -> Iterator[None]:
    """The API server accepts connections and answers nothing."""
    process = recorded(cluster.records / "kube-apiserver")
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
