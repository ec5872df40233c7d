import pytest

from kfx.apis.common import CollectorSpec, MetricLog, MetricsCollectorSpec
from kfx.controllers.left_behind import LeftBehind
from kfx.controllers.metrics import SWEPT_AT_ONCE, MetricsObserver
from kfx.katib.trial import TrialSeen
from kfx.store.errors import StoreError
from tests.katib_objects import observed, trial
from tests.unit.controllers.kept import Kept
from tests.unit.controllers.parts import KEY, Logs, Seconds

SEEN = TrialSeen(trial=trial("Created", "Running"))
PUSH = MetricsCollectorSpec(collector=CollectorSpec(kind="Push"))


def log(value: str, at: str = "2026-01-02T03:04:05Z") -> MetricLog:
    return MetricLog(time_stamp=at, name="loss", value=value)


async def test_what_was_reported_becomes_the_observation() -> None:
    found = await MetricsObserver(observations=Logs(log("0.1")), clock=Seconds()).look(SEEN)
    assert found.observation == observed("0.1")


async def test_what_never_comes_is_given_up_in_time() -> None:
    clock = Seconds()
    metrics = MetricsObserver(observations=Logs(), clock=clock, patience=120)
    assert not (await metrics.look(SEEN)).gave_up
    clock.now += 119
    assert not (await metrics.look(SEEN)).gave_up
    clock.now += 1
    assert (await metrics.look(SEEN)).gave_up


async def test_the_wait_counts_only_while_the_store_answers() -> None:
    clock, logs = Seconds(), Logs()
    metrics = MetricsObserver(observations=logs, clock=clock, patience=120)
    await metrics.look(SEEN)
    clock.now += 119
    logs.away = True
    with pytest.raises(StoreError):
        await metrics.look(SEEN)
    logs.away = False
    clock.now += 500
    assert not (await metrics.look(SEEN)).gave_up


async def test_lines_without_a_usable_time_are_no_observation_and_are_told() -> None:
    clock = Seconds()
    metrics = MetricsObserver(observations=Logs(log("0.1", at="yesterday")), clock=clock, patience=1)
    await metrics.look(SEEN)
    clock.now += 1
    found = await metrics.look(SEEN)
    assert (found.observation, found.gave_up) == (None, True)
    assert "'yesterday'" in found.unusable


async def test_one_line_without_a_usable_time_costs_only_itself() -> None:
    logs = Logs(log("0.1"), log("0.2", at="yesterday"))
    found = await MetricsObserver(observations=logs, clock=Seconds()).look(SEEN)
    assert found.observation == observed("0.1")
    assert "1 of 2 values" in found.unusable


@pytest.mark.real_time
async def test_very_many_lines_give_the_same_observation() -> None:
    logs = Logs(*(log(str(number)) for number in range(6000)))
    found = await MetricsObserver(observations=logs, clock=Seconds()).look(SEEN)
    assert found.observation == observed("5999", low="0", high="5999")


async def test_a_store_that_is_away_for_ten_minutes_costs_the_trial_nothing() -> None:
    """Decision 28: the wait for metrics runs only while the store answers."""
    clock, logs = Seconds(), Logs()
    metrics = MetricsObserver(observations=logs, clock=clock, patience=120)
    logs.away = True
    for _ in range(10):
        clock.now += 60
        with pytest.raises(StoreError):
            await metrics.look(SEEN)
    logs.away = False
    assert not (await metrics.look(SEEN)).gave_up
    await logs.report(KEY.name, [log("0.1")], KEY.namespace)
    assert (await metrics.look(SEEN)).observation == observed("0.1")


async def test_what_a_namesake_reported_is_gone_before_the_trial_begins() -> None:
    logs = Logs(log("0.0001"))
    metrics = MetricsObserver(observations=logs, clock=Seconds())
    await metrics.start_clean(trial())
    assert (await metrics.look(SEEN)).observation is None


class TestDeletion:
    """Decision 29: rows go before the finalizer, and an external store gets ten minutes to answer."""

    OF = trial("Created", deleting=True)

    async def test_rows_go_and_nothing_is_left_behind(self) -> None:
        logs = Logs(log("1"))
        assert await MetricsObserver(observations=logs, clock=Seconds()).delete(self.OF) == ""
        assert not logs.rows

    async def test_the_own_store_is_waited_for_without_end(self) -> None:
        clock, logs = Seconds(), Logs(log("1"))
        logs.away = True
        metrics = MetricsObserver(observations=logs, clock=clock)
        for _ in range(3):
            with pytest.raises(StoreError):
                await metrics.delete(self.OF)
            clock.now += 86_400

    async def test_an_external_store_that_stays_away_is_told_and_swept_later(self) -> None:
        clock, logs = Seconds(), Logs(log("1"))
        metrics = MetricsObserver(observations=logs, clock=clock, deletion_patience=600)
        logs.away = True
        with pytest.raises(StoreError):
            await metrics.delete(self.OF)
        clock.now += 599
        with pytest.raises(StoreError):
            await metrics.delete(self.OF)
        clock.now += 1
        left = await metrics.delete(self.OF)
        assert left.startswith("the observations of Trial ns/e-1 are left in the store")
        logs.away = False
        assert await metrics.delete(trial("Created", name="e-2", deleting=True)) == ""
        assert not logs.rows

    async def test_what_is_left_is_swept_without_another_trial_once_the_store_answers(self) -> None:
        clock, logs = Seconds(), Logs()
        metrics = MetricsObserver(observations=logs, clock=clock, deletion_patience=0)
        names = [f"e-{number}" for number in range(SWEPT_AT_ONCE + 1)]
        logs.rows = {(name, KEY.namespace): [log("1")] for name in names}
        logs.away = True
        for name in names:
            assert await metrics.delete(trial("Created", name=name, deleting=True))
        await metrics.sweep()
        assert len(logs.rows) == len(names)
        logs.away = False
        await metrics.sweep()
        assert not logs.rows
        await metrics.sweep()

    async def test_what_cannot_be_remembered_for_good_is_said_to_be_so(self) -> None:
        logs = Logs(log("1"))
        metrics = MetricsObserver(observations=logs, clock=Seconds(), deletion_patience=0)
        logs.away = True
        assert (await metrics.delete(self.OF)).endswith("unless kfx ends before; then delete them by hand")

    async def test_what_an_earlier_process_has_left_is_swept(self) -> None:
        kept, logs = Kept(), Logs(log("1"))
        first = MetricsObserver(
            observations=logs, clock=Seconds(), deletion_patience=0, left=LeftBehind(kept, "kubeflow")
        )
        logs.away = True
        assert (await first.delete(self.OF)).endswith("they are deleted once it answers")
        logs.away = False
        second = MetricsObserver(
            observations=logs, clock=Seconds(), deletion_patience=0, left=LeftBehind(kept, "kubeflow")
        )
        await second.sweep()
        assert (logs.rows, kept.keys) == ({}, [])

    async def test_a_namesake_that_begins_under_the_next_process_keeps_what_it_reports(self) -> None:
        kept, logs = Kept(), Logs(log("1"))
        await LeftBehind(kept, "kubeflow").add(KEY)
        metrics = MetricsObserver(observations=logs, clock=Seconds(), left=LeftBehind(kept, "kubeflow"))
        await metrics.start_clean(trial())
        await logs.report(KEY.name, [log("2")], KEY.namespace)
        await metrics.sweep()
        assert (await metrics.look(SEEN)).observation == observed("2")
        assert kept.keys == []

    async def test_a_trial_that_has_begun_since_keeps_what_it_reported(self) -> None:
        clock, logs = Seconds(), Logs(log("1"))
        metrics = MetricsObserver(observations=logs, clock=clock, deletion_patience=0)
        logs.away = True
        await metrics.delete(self.OF)
        logs.away = False
        await metrics.start_clean(trial())
        await logs.report(KEY.name, [log("2")], KEY.namespace)
        await metrics.delete(trial("Created", name="e-2", deleting=True))
        assert (await metrics.look(SEEN)).observation == observed("2")


async def test_training_that_pushes_nothing_is_reported_as_unavailable_once_the_store_takes_it() -> None:
    seen, logs = TrialSeen(trial=trial("Running", metrics_collector=PUSH)), Logs()
    metrics = MetricsObserver(observations=logs, clock=Seconds())
    logs.away = True
    with pytest.raises(StoreError):
        await metrics.look(seen)
    logs.away = False
    assert (await metrics.look(seen)).observation == observed("unavailable")
    (line,) = logs.rows[KEY.name, KEY.namespace]
    assert (line.time_stamp, line.value) == ("0001-01-01T00:00:00Z", "unavailable")


async def test_rows_are_deleted_only_on_behalf_of_the_finalizer() -> None:
    logs = Logs(log("1"))
    metrics = MetricsObserver(observations=logs, clock=Seconds())
    await metrics.delete(trial(finalizers=("other",)))
    assert logs.rows
    await metrics.delete(trial())
    assert not logs.rows
