"""Probes and scrapes over real sockets."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter

from kfx.runtime.address import AddressInUse, InvalidAddress
from kfx.runtime.health import HealthServer, MetricsServer, ping, unless_stopping
from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.tls import dial, load_pair, verifier_of
from kfx.runtime.workqueue import WorkQueue
from tests.serving import Answer, get, new_pair, read_answer

pytestmark = pytest.mark.real_time
HERE = "127.0.0.1:0"


def broken() -> str:
    return "not\nsynced yet"


async def ask(path: str, **checks: str | None) -> Answer:
    server = HealthServer(HERE, {name: lambda reason=reason: reason for name, reason in checks.items()})
    async with server.serving():
        assert server.bound is not None
        return await get(server.bound[1], path)


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/healthz/", "/healthz/healthz", "/readyz", "/readyz/", "/readyz/a", "/readyz?exclude=a"],
)
async def test_what_is_well_answers_ok(path: str) -> None:
    answer = await ask(path, a=None, b=None)
    assert (answer.status, answer.body) == (200, b"ok")


async def test_a_failing_check_is_named_with_its_reason_beside_the_others() -> None:
    answer = await ask("/readyz", a=None, b="not\nsynced yet")
    assert answer.status == 500
    assert answer.body == b"[+]a ok\n[-]b failed: not synced yet\nreadyz check failed\n"


async def test_liveness_does_not_depend_on_readiness() -> None:
    assert (await ask("/healthz", a="down")).status == 200


async def test_readiness_is_gone_from_the_moment_the_stop_comes() -> None:
    stop = asyncio.Event()
    server = HealthServer(HERE, {"readyz": unless_stopping(stop, ping)})
    async with server.serving():
        assert server.bound is not None
        assert (await get(server.bound[1], "/readyz")).status == 200
        stop.set()
        answer = await get(server.bound[1], "/readyz")
        assert (answer.status, answer.body) == (
            500,
            b"[-]readyz failed: shutting down\nreadyz check failed\n",
        )
        assert (await get(server.bound[1], "/healthz")).status == 200


def test_before_the_stop_a_check_speaks_for_itself() -> None:
    assert unless_stopping(asyncio.Event(), lambda: "not yet")() == "not yet"


async def test_a_blocked_loop_fails_liveness_by_name() -> None:
    now = 100.0
    lag = LoopLag(clock=lambda: now)
    server = HealthServer(HERE, {}, liveness={"healthz": ping, "loop": lag.check})
    async with lag.running(), server.serving():
        assert server.bound is not None
        assert (await get(server.bound[1], "/healthz")).status == 200
        now = 106.0
        answer = await get(server.bound[1], "/healthz")
    assert answer.status == 500
    assert answer.body.startswith(b"[+]healthz ok\n[-]loop failed: the event loop was blocked for 5.9 s")


async def test_verbose_lists_what_is_well() -> None:
    answer = await ask("/readyz?verbose", a=None, b=None)
    assert answer.body == b"[+]a ok\n[+]b ok\nreadyz check passed\n"


async def test_an_excluded_check_does_not_count() -> None:
    answer = await ask("/readyz?verbose&exclude=a&exclude=b", a="down", b="down", c=None)
    assert answer.status == 200
    assert answer.body == b"[+]a excluded: ok\n[+]b excluded: ok\n[+]c ok\nreadyz check passed\n"


async def test_excluding_what_is_not_there_is_said_and_not_repeated() -> None:
    answer = await ask("/readyz?verbose&exclude=<script>", a=None)
    assert answer.body == b"[+]a ok\nwarn: some of the checks to exclude do not exist\nreadyz check passed\n"


async def test_one_check_by_its_name() -> None:
    answer = await ask("/readyz/b", a=None, b="down")
    assert (answer.status, answer.body) == (500, b"b: down\n")


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz/none", "/readyz/a/b", "/healthzz", "//healthz"])
async def test_an_unknown_path_is_not_found(path: str) -> None:
    assert (await ask(path, a=None)).status == 404


async def test_a_check_that_raises_fails_the_probe_only() -> None:
    def bad() -> str | None:
        raise KeyError("x")

    server = HealthServer(HERE, {"bad": bad})
    async with server.serving():
        assert server.bound is not None
        assert (await get(server.bound[1], "/readyz")).status == 500
        assert (await get(server.bound[1], "/healthz")).status == 200


async def test_metrics_in_both_forms() -> None:
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc(3)
    server = MetricsServer(HERE, registry)
    async with server.serving():
        assert server.bound is not None
        plain = await get(server.bound[1], "/metrics")
        modern = await get(
            server.bound[1],
            "/metrics",
            ["Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"],
        )
        assert (await get(server.bound[1], "/other")).status == 404
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"\nthings_total 3.0\n" in plain.body
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.body.endswith(b"# EOF\n")


async def test_a_scrape_is_a_get_and_nothing_else() -> None:
    server = MetricsServer(HERE, CollectorRegistry())
    async with server.serving():
        assert server.bound is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", server.bound[1])
        writer.write(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (await read_answer(reader)).status == 405
        writer.transport.abort()


async def test_metrics_over_tls_are_for_those_who_speak_it() -> None:
    pair = new_pair()
    server = MetricsServer(HERE, CollectorRegistry(), tls=load_pair(pair))
    async with server.serving():
        assert server.bound is not None
        assert await dial(server.bound, verifier_of(pair)) is None
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await get(server.bound[1], "/metrics")


async def test_figures_of_work_in_hand_can_be_scraped() -> None:
    metrics = RuntimeMetrics()
    queue: WorkQueue[str] = WorkQueue("q", metrics=metrics.queue("q"))
    queue.add("a")
    await queue.get()
    server = MetricsServer(HERE, metrics.registry)
    async with server.serving():
        assert server.bound is not None
        answer = await get(server.bound[1], "/metrics")
    assert answer.status == 200
    found = dict(line.rsplit(b" ", 1) for line in answer.body.splitlines() if line.startswith(b"workqueue_"))
    assert float(found[b'workqueue_longest_running_processor_seconds{controller="q",name="q"}']) > 0


@pytest.mark.parametrize("addr", ["0", ""])
async def test_a_server_may_be_off(addr: str) -> None:
    for server in (HealthServer(addr, {}), MetricsServer(addr, CollectorRegistry())):
        async with server.serving():
            assert server.bound is None


async def test_the_flag_is_named_when_its_port_is_taken_or_its_text_wrong() -> None:
    async with (first := HealthServer(HERE, {})).serving():
        assert first.bound is not None
        second = MetricsServer(f"127.0.0.1:{first.bound[1]}", CollectorRegistry())
        with pytest.raises(AddressInUse, match=r"\(--metrics-addr\)"):
            async with second.serving():
                pass
    with pytest.raises(InvalidAddress, match="--healthz-addr"):
        HealthServer("8080", {})


async def test_a_port_is_free_again_after_its_server() -> None:
    async with (first := HealthServer(HERE, {})).serving():
        assert first.bound is not None
        port = first.bound[1]
        await get(port, "/healthz")
    async with HealthServer(f"127.0.0.1:{port}", {}).serving():
        assert (await get(port, "/healthz")).status == 200


async def test_a_remark_is_told_but_makes_nobody_unready() -> None:
    reason: list[str | None] = ["the database\nis away"]
    server = HealthServer(HERE, {"readyz": ping}, remarks={"db": lambda: reason[0]})
    async with server.serving():
        assert server.bound is not None
        port = server.bound[1]
        plainly, verbose = await get(port, "/readyz"), await get(port, "/readyz?verbose&exclude=db")
        alone, alive = await get(port, "/readyz/db"), await get(port, "/healthz/db")
        reason[0] = None
        well = await get(port, "/readyz?verbose")
    assert (plainly.status, plainly.body) == (200, b"ok")
    assert verbose.body == b"[+]readyz ok\n[!]db waits: the database is away\nreadyz check passed\n"
    assert (alone.status, alone.body) == (500, b"db: the database is away\n")
    assert alive.status == 404
    assert b"[+]db ok\n" in well.body
