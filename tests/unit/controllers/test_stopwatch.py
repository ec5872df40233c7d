from kfx.controllers.stopwatch import Stopwatches
from tests.unit.controllers.parts import Seconds


def test_time_runs_from_the_first_look() -> None:
    clock = Seconds()
    watches = Stopwatches(clock)
    assert watches.elapsed("a") == 0
    clock.now += 5
    assert watches.elapsed("a") == 5
    assert watches.elapsed("b") == 0


def test_what_was_stopped_begins_anew() -> None:
    clock = Seconds()
    watches = Stopwatches(clock)
    watches.elapsed("a")
    clock.now += 5
    watches.stop("a")
    assert watches.elapsed("a") == 0


def test_only_the_first_start_counts() -> None:
    watches = Stopwatches(Seconds())
    assert watches.start("a")
    assert not watches.start("a")
    watches.stop("a")
    assert watches.start("a")


def test_nothing_is_kept_of_what_was_stopped() -> None:
    watches = Stopwatches(Seconds())
    watches.start("a")
    watches.stop("a")
    watches.stop("never started")
    assert len(watches) == 0
