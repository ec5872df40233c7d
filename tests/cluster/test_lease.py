"""The election on a real Lease: what is stored, who wins a race, what others may do to it."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from hack.cluster.layout import Layout
from hack.cluster.process import recorded
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, Conflict
from kfx.runtime.leader import LeaderElector, LeadershipLost, Lease, WriteHeld, own_identity
from kfx.runtime.lease import LEASES, ApiLeaseLock
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
