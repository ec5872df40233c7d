from prometheus_client import CollectorRegistry, generate_latest

from kfx.controllers.gauges import KATIB_COUNTERS, experiments_gauge, trials_gauge
from kfx.runtime.event import Event
from kfx.runtime.metrics import RuntimeMetrics
from tests.katib_objects import experiment, trial


def _series(registry: CollectorRegistry, name: str) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line.removeprefix(name) for line in lines if line.startswith(f"{name}{{")}


def test_objects_are_counted_by_their_last_condition() -> None:
    registry = CollectorRegistry()
    gauge = trials_gauge(registry)
    new, running = trial(name="a"), trial("Created", "Running", name="a")
    assert gauge.requests(Event(None, new)) == ()
    gauge.requests(Event(None, trial("Created", name="b")))
    assert _series(registry, "katib_trials_current") == {
        '{namespace="ns",status="Unknown"} 1.0',
        '{namespace="ns",status="Created"} 1.0',
    }
    gauge.requests(Event(new, running))
    gauge.requests(Event(running, running))
    assert _series(registry, "katib_trials_current") == {
        '{namespace="ns",status="Running"} 1.0',
        '{namespace="ns",status="Created"} 1.0',
    }


def test_a_series_without_objects_disappears() -> None:
    registry = CollectorRegistry()
    gauge = experiments_gauge(registry)
    gauge.requests(Event(None, experiment("Created")))
    gauge.requests(Event(experiment("Created"), None))
    assert _series(registry, "katib_experiments_current") == set()


def test_the_last_condition_counts_even_if_it_is_false() -> None:
    registry = CollectorRegistry()
    trials_gauge(registry).requests(Event(None, trial("Created", "-Running")))
    assert _series(registry, "katib_trials_current") == {'{namespace="ns",status="Running"} 1.0'}


def test_the_counters_can_be_registered_and_counted() -> None:
    metrics = RuntimeMetrics(CollectorRegistry())
    for name, (text, labels) in KATIB_COUNTERS.items():
        metrics.register_counter(name, text, labels)
        metrics.count(name, {"namespace": "ns"})
    assert _series(metrics.registry, "katib_trial_metrics_unavailable_total") == {'{namespace="ns"} 1.0'}
    assert len(KATIB_COUNTERS) == 9


def test_the_figures_of_trials_are_katibs_by_name_and_labels() -> None:
    """2.12 and 10.1."""
    metrics = RuntimeMetrics()
    registry = metrics.registry
    for name, (text, labels) in KATIB_COUNTERS.items():
        metrics.register_counter(name, text, labels)
        metrics.count(name, dict.fromkeys(labels, "ns"))
    trials_gauge(registry).requests(Event(None, trial("Created", "EarlyStopped")))
    lines = generate_latest(registry).decode().splitlines()
    assert sorted(line for line in lines if line.startswith("katib_trial")) == [
        'katib_trial_created_total{namespace="ns"} 1.0',
        'katib_trial_deleted_total{namespace="ns"} 1.0',
        'katib_trial_failed_total{namespace="ns"} 1.0',
        'katib_trial_metrics_unavailable_total{namespace="ns"} 1.0',
        'katib_trial_succeeded_total{namespace="ns"} 1.0',
        'katib_trials_current{namespace="ns",status="EarlyStopped"} 1.0',
    ]
