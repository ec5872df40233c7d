"""What an operator on the machine is shown, and who is not shown anything."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from kfx.runtime.address import InvalidAddress
from kfx.runtime.cache import Following
from kfx.runtime.debug import DebugServer, Page, as_text
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import Priority, WorkQueue
from tests.serving import Answer, get, read_answer

FOLLOWED = (
    Following("trials.kubeflow.org", 12, True, True, 3.21, None),
    Following("tfjobs.kubeflow.org", 0, True, False, None, "forbidden:\ngrant it"),
)


@asynccontextmanager
async def serving(*queues: WorkQueue[Request], caches: Sequence[Following] = FOLLOWED) -> AsyncIterator[int]:
    looks = {queue.name: queue.state for queue in queues}
    server = DebugServer("127.0.0.1:0", queues=looks, caches=lambda: caches)
    async with server.serving():
        assert server.bound is not None
        yield server.bound[1]


async def ask(path: str, *queues: WorkQueue[Request], host: str = "localhost:1") -> Answer:
    async with serving(*queues) as port:
        return await get(port, path, host=host)


async def busy_queue() -> WorkQueue[Request]:
    """One key in hand that is wanted again, one delayed, two waiting and one of low priority."""
    queue: WorkQueue[Request] = WorkQueue("trial-controller")
    queue.add(Request("ns", "a"))
    held = await queue.get()
    queue.add(held)
    queue.add_after(Request("ns", "b"), 60)
    for name in ("c", "d"):
        queue.add(Request("ns", name))
    queue.add(Request("ns", "e"), priority=Priority.LOW)
    return queue


async def test_a_queue_tells_how_many_keys_are_where() -> None:
    queue = await busy_queue()
    await asyncio.sleep(7)
    state = queue.state()
    assert state.ready == {Priority.NORMAL: 2, Priority.LOW: 1}
    assert (state.in_hand, state.again, state.delayed, state.oldest) == (1, 1, 1, 7)
    queue.shut_down()


@pytest.mark.real_time
async def test_queues_are_a_table_and_json_for_machines() -> None:
    queue = await busy_queue()
    async with serving(queue) as port:
        text = await get(port, "/debug/queues", host="127.0.0.1")
        machine = await get(port, "/debug/queues?format=json", host="[::1]:6060")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    head, row = text.body.decode().splitlines()
    assert head == "CONTROLLER         NORMAL   LOW   IN HAND   OLDEST IN HAND   AGAIN   DELAYED"
    assert row.split()[:4] == ["trial-controller", "2", "1", "1"]
    assert machine.headers["content-type"] == "application/json"
    (found,) = json.loads(machine.body)["queues"]
    assert (found["normal"], found["low"], found["in_hand"], found["delayed"]) == (2, 1, 1, 1)
    queue.shut_down()


@pytest.mark.real_time
async def test_no_key_of_an_object_is_shown() -> None:
    queue: WorkQueue[Request] = WorkQueue("q")
    queue.add(Request("secret-namespace", "secret-name"))
    assert b"secret" not in (await ask("/debug/queues?format=json", queue)).body
    assert (await ask("/debug/queues")).body == b"no queues\n"


@pytest.mark.real_time
async def test_caches_tell_what_is_followed_and_since_when_it_is_silent() -> None:
    answer = await ask("/debug/caches")
    head, trials, tfjobs = answer.body.decode().splitlines()
    assert head.split() == ["KIND", "OBJECTS", "SYNCED", "SERVED", "AGE", "PROBLEM"]
    assert trials.split() == ["trials.kubeflow.org", "12", "yes", "yes", "3.2s", "-"]
    assert tfjobs.split() == ["tfjobs.kubeflow.org", "0", "yes", "no", "-", "forbidden:", "grant", "it"]
    assert head.index("AGE") == trials.index("3.2s") == tfjobs.index("-")


@pytest.mark.real_time
async def test_tasks_are_told_with_the_place_where_each_waits() -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(asyncio.Event().wait(), name="trial-controller-0")
        async with serving() as port:
            text = (await get(port, "/debug/tasks", host="localhost")).body.decode()
            rows = json.loads((await get(port, "/debug/tasks?format=json", host="localhost")).body)["tasks"]
        waiting.cancel()
    head, *lines = text.splitlines()
    assert head.split() == ["NAME", "RUNS", "WAITS", "AT"]
    (line,) = [each for each in lines if each.startswith("trial-controller-0 ")]
    assert "asyncio/locks.py:" in line
    assert [row["waits_at"] for row in rows if row["name"] == "trial-controller-0"] == [
        [line.split("   ")[-1].strip()]
    ]


@pytest.mark.real_time
async def test_memory_says_how_to_see_more_and_shows_it_when_traced() -> None:
    async with serving() as port:
        plain = (await get(port, "/debug/memory", host="localhost")).body.decode()
        tracemalloc.start()
        try:
            traced = (await get(port, "/debug/memory", host="localhost")).body.decode()
            found = json.loads((await get(port, "/debug/memory?format=json", host="localhost")).body)
        finally:
            tracemalloc.stop()
    assert plain.startswith("RESIDENT")
    assert "MiB" in plain
    assert "PYTHONTRACEMALLOC=1" in plain
    assert "HELD" in traced
    assert "PYTHONTRACEMALLOC" not in traced
    assert len(found["tracemalloc"]) <= 10
    assert found["memory"][0]["resident_bytes"] > 1024**2
    assert len(found["gc"]) == 3


@pytest.mark.real_time
@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "127.0.0.1.example.org:6060",
        "localhost:x",
        "10.0.0.1:6060",
        "[fe80::1]:1",
        "a@localhost",
    ],
)
async def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
    answer = await ask("/debug/tasks", host=host)
    assert answer.status == 403
    assert b"kubectl port-forward" in answer.body
    assert b"Task" not in answer.body


@pytest.mark.real_time
async def test_a_request_without_a_host_is_refused_and_so_is_another_method() -> None:
    async with serving() as port:
        statuses = []
        for head in ("GET /debug/tasks HTTP/1.0", "POST /debug/tasks HTTP/1.1\r\nHost: localhost"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{head}\r\n\r\n".encode())
            statuses.append((await read_answer(reader)).status)
            writer.transport.abort()
    assert statuses == [403, 405]


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/debug/", 200),
        ("/debug/secrets", 404),
        ("/metrics", 404),
        ("/debug/tasks?format=xml", 400),
    ],
)
async def test_other_paths_say_what_there_is(path: str, status: int) -> None:
    assert (await ask(path)).status == status


@pytest.mark.parametrize("addr", [":6060", "0.0.0.0:6060", "[::]:6060", "10.0.0.1:6060", "example.org:6060"])
def test_an_address_that_others_reach_is_refused_by_name(addr: str) -> None:
    with pytest.raises(InvalidAddress, match=r"--debug-addr: .* write 127\.0\.0\.1:6060"):
        DebugServer(addr, queues={}, caches=list)


@pytest.mark.parametrize(("addr", "host"), [("localhost:1", "127.0.0.1"), ("[::1]:1", "::1")])
def test_the_name_of_this_machine_is_not_left_to_a_resolver(addr: str, host: str) -> None:
    address = DebugServer(addr, queues={}, caches=list).address
    assert address is not None
    assert address.host == host


async def test_it_is_off_unless_an_address_is_given() -> None:
    server = DebugServer("0", queues={}, caches=list)
    async with server.serving():
        assert server.bound is None


def test_a_long_chain_of_calls_is_cut_to_those_nearest_to_the_wait() -> None:
    page = Page({"tasks": [{"waits_at": list("abcdefg")}]})
    assert as_text(page) == "WAITS AT\na < b < c < d < e < …\n"


def test_tables_are_aligned_with_a_blank_line_between() -> None:
    page = Page({"a": [{"long_name": "x", "n": 1}, {"long_name": "y" * 12, "n": None}], "b": []}, "a note\n")
    assert as_text(page) == (
        "LONG NAME      N\n"
        "x              1\n"
        "yyyyyyyyyyyy   -\n"
        "\nno b\n\na note\n"
    )  # fmt: skip
