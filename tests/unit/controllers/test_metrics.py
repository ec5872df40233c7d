import pytest

from kfx.apis.common import CollectorSpec, MetricLog, MetricsCollectorSpec
from kfx.controllers.metrics import MetricsObserver
from kfx.katib.trial import TrialSeen
from kfx.store.errors import StoreError
from tests.katib_objects import observed, trial
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


async def test_lines_without_a_usable_time_count_as_none() -> None:
    clock = Seconds()
    metrics = MetricsObserver(observations=Logs(log("0.1", at="yesterday")), clock=clock, patience=1)
    await metrics.look(SEEN)
    clock.now += 1
    found = await metrics.look(SEEN)
    assert (found.observation, found.gave_up) == (None, True)


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
