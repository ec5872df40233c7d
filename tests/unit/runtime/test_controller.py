"""Keys from the queue to the reconciler, and what each outcome leads to."""

import asyncio
import uuid

import pytest
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from kfx.kube.errors import Conflict, Forbidden, TransportError
from kfx.runtime.controller import Controller, describe
from kfx.runtime.leader import LeadershipLost, WriteHeld
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.ratelimit import ExponentialBackoff
from kfx.runtime.reconcile import Request, Result, StaleRead, TerminalError

A, B = Request("ns", "a"), Request("ns", "b")
CONFLICT = Conflict("changed", status=409, reason="Conflict", method="PATCH", path="/x")
FORBIDDEN = Forbidden("not yours", status=403, reason="Forbidden", method="POST", path="/y")


class Scripted:
    """Answers from a list, then with success; remembers who asked when, and under which log context."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls, self.contexts = [], []

    async def reconcile(self, request):
        self.calls.append((request, asyncio.get_running_loop().time()))
        self.contexts.append(get_contextvars())
        outcome = self.outcomes.pop(0) if self.outcomes else Result()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @property
    def times(self):
        return [round(time, 6) for _, time in self.calls]


class Slow:
    def __init__(self, seconds):
        self.seconds, self.running, self.most, self.finished = seconds, set(), 0, []

    async def reconcile(self, request):
        assert request not in self.running
        self.running.add(request)
        self.most = max(self.most, len(self.running))
        try:
            await asyncio.sleep(self.seconds)
            self.finished.append(request)
        finally:
            self.running.remove(request)
        return Result()


async def run(reconciler, *requests, seconds=20, **options):
    metrics = RuntimeMetrics()
    controller = Controller("c", reconciler, metrics=metrics, **options)
    for request in requests:
        controller.queue.add(request)
    with capture_logs() as logs:
        async with controller.running():
            await asyncio.sleep(seconds)
    return Figures(metrics), logs


class Figures:
    def __init__(self, metrics):
        self._registry = metrics.registry

    def __call__(self, name, **labels):
        return self._registry.get_sample_value(name, {"controller": "c", **labels})

    @property
    def results(self):
        """Those that are not 0."""
        name = "controller_runtime_reconcile_total"
        found = {r: self(name, result=r) for r in ("success", "error", "requeue", "requeue_after")}
        return {result: count for result, count in found.items() if count}


async def test_a_success_is_final():
    reconciler = Scripted(Result())
    figures, logs = await run(reconciler, A)
    assert reconciler.times == [0]
    assert figures.results == {"success": 1}
    assert figures("controller_runtime_reconcile_time_seconds_count") == 1
    assert logs == []


async def test_a_result_may_ask_to_come_again():
    reconciler = Scripted(Result(requeue_after=5), Result(requeue_after=0))
    figures, _ = await run(reconciler, A)
    assert reconciler.times == [0, 5, 5]
    assert figures.results == {"requeue_after": 2, "success": 1}


@pytest.mark.parametrize("error", [CONFLICT, StaleRead("old"), WriteHeld("late")])
async def test_an_old_read_is_repeated_quietly(error):
    reconciler = Scripted(error, error, ExceptionGroup("both", [error, CONFLICT]))
    figures, logs = await run(reconciler, A)
    assert reconciler.times == [0, 0.005, 0.015, 0.035]
    assert figures.results == {"requeue": 3, "success": 1}
    assert figures("kfx_reconcile_conflicts_total") == 3
    assert {line["log_level"] for line in logs} == {"debug"}


async def test_a_refusal_is_one_line_that_names_what_failed():
    figures, logs = await run(Scripted(FORBIDDEN), A)
    assert figures.results == {"error": 1, "success": 1}
    assert figures("controller_runtime_reconcile_errors_total") == 1
    assert figures("controller_runtime_reconcile_panics_total") == 0
    assert [(line["log_level"], line["error"]) for line in logs] == [
        ("error", "POST /y: 403 Forbidden: not yours")
    ]
    assert "exc_info" not in logs[0]


async def test_an_unforeseen_error_is_logged_with_its_traceback_and_counted_as_a_panic():
    boom = RuntimeError("boom")
    figures, logs = await run(Scripted(boom), A)
    assert [(line["error"], line["exc_info"]) for line in logs] == [("RuntimeError: boom", boom)]
    assert figures("controller_runtime_reconcile_panics_total") == 1
    assert figures.results == {"error": 1, "success": 1}


async def test_a_refusal_beside_an_old_read_is_an_error():
    figures, _ = await run(Scripted(ExceptionGroup("g", [CONFLICT, FORBIDDEN])), A)
    assert figures.results == {"error": 1, "success": 1}


async def test_a_group_is_described_by_its_leaves():
    group = ExceptionGroup("g", [FORBIDDEN, ExceptionGroup("h", [TransportError("cut"), ValueError("bad")])])
    assert describe(group) == ("POST /y: 403 Forbidden: not yours; TransportError: cut; ValueError: bad")


async def test_a_terminal_error_waits_for_a_change():
    figures, logs = await run(Scripted(RuntimeError("first"), TerminalError("name it otherwise")), A)
    assert figures.results == {"error": 2}
    assert figures("controller_runtime_terminal_reconcile_errors_total") == 1
    assert logs[-1]["error"] == "name it otherwise"


async def test_an_error_beside_a_terminal_one_is_tried_again():
    reconciler = Scripted(ExceptionGroup("g", [TerminalError("no"), FORBIDDEN]))
    figures, _ = await run(reconciler, A)
    assert len(reconciler.calls) == 2
    assert figures("controller_runtime_terminal_reconcile_errors_total") == 0


async def test_success_forgets_past_failures():
    reconciler = Scripted(FORBIDDEN, FORBIDDEN, Result(requeue_after=1), FORBIDDEN)
    await run(reconciler, A)
    assert reconciler.times == [0, 0.005, 0.015, 1.015, 1.02]


async def test_a_limiter_of_the_users_spaces_the_tries():
    reconciler = Scripted(*[RuntimeError("no")] * 3)
    await run(reconciler, A, limiter=ExponentialBackoff(base=1, cap=2))
    assert reconciler.times == [0, 1, 3, 5]


async def test_a_terminal_error_forgets_past_failures():
    reconciler = Scripted(FORBIDDEN, FORBIDDEN, TerminalError("no"), FORBIDDEN)
    controller = Controller("c", reconciler)
    async with controller.running():
        controller.queue.add(A)
        await asyncio.sleep(10)
        controller.queue.add(A)
        await asyncio.sleep(10)
    assert reconciler.times == [0, 0.005, 0.015, 10, 10.005]


async def test_a_reconcile_is_cut_at_its_time_limit():
    figures, logs = await run(Slow(60), A, seconds=5, timeout=4)
    assert figures("controller_runtime_reconcile_timeouts_total") == 2  # the second was in hand at the stop
    assert figures.results == {"error": 2}
    assert "not done within 4 s" in logs[0]["error"]
    assert "exc_info" not in logs[0]


async def test_a_time_out_of_the_reconcilers_own_is_not_the_time_limit():
    figures, _ = await run(Scripted(TimeoutError("mine")), A)
    assert figures("controller_runtime_reconcile_timeouts_total") == 0
    assert figures.results == {"error": 1, "success": 1}


async def test_a_poisonous_object_does_not_delay_others():
    class Poisoned(Scripted):
        async def reconcile(self, request):
            await super().reconcile(request)
            if request == A:
                raise RuntimeError("poison")
            return Result()

    reconciler = Poisoned()
    controller = Controller("c", reconciler, workers=1)
    with capture_logs():
        async with controller.running():
            controller.queue.add(A)
            await asyncio.sleep(100)
            controller.queue.add(B)
            await asyncio.sleep(0.001)
            assert reconciler.calls[-1] == (B, 100)
    assert len(reconciler.calls) < 20  # back-off, not a loop


async def test_four_objects_at_once_and_one_object_once():
    slow = Slow(3)
    controller = Controller("c", slow)
    async with controller.running():
        for number in range(8):
            controller.queue.add(Request("ns", str(number)))
        await asyncio.sleep(1)
        for number in range(8):
            controller.queue.add(Request("ns", str(number)))
        await asyncio.sleep(100)
    assert slow.most == 4
    assert len(slow.finished) == 12  # the four in hand were added again, the four queued were queued already


async def test_active_workers_are_shown():
    metrics = RuntimeMetrics()
    controller = Controller("c", Slow(3), metrics=metrics)
    async with controller.running():
        controller.queue.add(A)
        controller.queue.add(B)
        await asyncio.sleep(1)
        assert Figures(metrics)("controller_runtime_active_workers") == 2
        await asyncio.sleep(3)
        assert Figures(metrics)("controller_runtime_active_workers") == 0


async def test_stopping_finishes_what_is_in_hand_and_drops_what_is_queued(clock):
    slow = Slow(10)
    controller = Controller("c", slow, workers=1)
    async with controller.running():
        controller.queue.add(A)
        controller.queue.add(B)
        await asyncio.sleep(1)
    assert clock == 10
    assert slow.finished == [A]


@pytest.mark.parametrize(
    "error",
    [LeadershipLost("gone"), ExceptionGroup("g", [FORBIDDEN, LeadershipLost("gone")]), MemoryError()],
)
async def test_what_cannot_be_right_again_ends_the_controller(error):
    reconciler = Scripted(error)
    controller = Controller("c", reconciler)
    controller.queue.add(A)
    with pytest.raises(ExceptionGroup) as caught:
        async with controller.running():
            await asyncio.Event().wait()
    assert caught.group_contains(LeadershipLost) or caught.group_contains(MemoryError)
    assert len(reconciler.calls) == 1


async def test_every_line_of_a_reconcile_names_its_object():
    reconciler = Scripted()
    await run(reconciler, A, B)
    first, second = reconciler.contexts
    assert (first.pop("reconcileID"), second.pop("reconcileID")) != (None, None)
    assert first == {"controller": "c", "namespace": "ns", "name": "a"}
    assert second == {"controller": "c", "namespace": "ns", "name": "b"}
    assert reconciler.contexts[0] is not reconciler.contexts[1]
    assert get_contextvars() == {}


async def test_reconciles_have_ids_of_their_own():
    reconciler = Scripted(Result(requeue_after=1))
    await run(reconciler, A)
    assert len({context["reconcileID"] for context in reconciler.contexts}) == 2


async def test_the_id_of_a_reconcile_is_a_random_uuid():
    reconciler = Scripted()
    await run(reconciler, A)
    text = reconciler.contexts[0]["reconcileID"]
    found = uuid.UUID(text)
    assert (str(found), found.version, found.variant) == (text, 4, uuid.RFC_4122)


async def test_failures_are_reported_and_old_reads_are_not():
    told = []
    boom, terminal = RuntimeError("boom"), TerminalError("no")
    await run(Scripted(CONFLICT, boom, terminal), A, report=lambda *args: told.append(args))
    assert told == [(A, boom), (A, terminal)]


async def test_a_reconcile_that_is_cancelled_is_no_failure_of_the_reconciler():
    metrics, reconciler = RuntimeMetrics(), Slow(1e6)
    controller = Controller("c", reconciler, metrics=metrics, timeout=None)
    controller.queue.add(A)
    with capture_logs() as logs, pytest.raises(TimeoutError):
        async with asyncio.timeout(5), controller.running():
            await asyncio.Event().wait()
    assert reconciler.running == set()
    assert logs == []
    assert (
        metrics.registry.get_sample_value("controller_runtime_reconcile_errors_total", {"controller": "c"})
        == 0
    )
