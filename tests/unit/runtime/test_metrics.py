import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from kfx.runtime.metrics import RECONCILE_BUCKETS, RECONCILE_RESULTS, RuntimeMetrics


def text(metrics):
    return generate_latest(metrics.registry).decode()


def value(metrics, name, /, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_a_controller_starts_with_every_series_at_zero():
    metrics = RuntimeMetrics()
    metrics.controller("trial-controller", 4)
    for result in RECONCILE_RESULTS:
        assert (
            value(metrics, "controller_runtime_reconcile_total", controller="trial-controller", result=result)
            == 0
        )
    for name in ("reconcile_errors", "terminal_reconcile_errors", "reconcile_panics", "reconcile_timeouts"):
        assert value(metrics, f"controller_runtime_{name}_total", controller="trial-controller") == 0
    workers = "controller_runtime_max_concurrent_reconciles"
    assert value(metrics, workers, controller="trial-controller") == 4


def test_reconcile_time_has_the_forty_buckets_of_controller_runtime():
    assert (len(RECONCILE_BUCKETS), RECONCILE_BUCKETS[0], RECONCILE_BUCKETS[-1]) == (40, 0.005, 60)
    assert list(RECONCILE_BUCKETS) == sorted(set(RECONCILE_BUCKETS))


def test_queue_durations_have_twelve_buckets_from_ten_nanoseconds():
    metrics = RuntimeMetrics()
    metrics.queue("c")
    found = [
        line.split('le="')[1].split('"')[0]
        for line in text(metrics).splitlines()
        if line.startswith("workqueue_work_duration_seconds_bucket")
    ]
    assert [float(bound) for bound in found] == [10.0**n for n in range(-8, 4)] + [float("inf")]


def test_no_created_series_is_shown_not_even_of_a_counter_called_created():
    metrics = RuntimeMetrics()
    metrics.register_counter("katib_trial_created_total", "Trials created.", ("namespace",))
    metrics.count("katib_trial_created_total", {"namespace": "a"})
    metrics.webhook("/x").latency.observe(1)
    names = {line.split("{")[0].split(" ")[0] for line in text(metrics).splitlines() if line[0] != "#"}
    assert "katib_trial_created_total" in names
    assert [name for name in names if name.endswith("_created")] == []


def test_a_webhook_starts_with_codes_200_and_500_at_zero():
    metrics = RuntimeMetrics()
    webhook = metrics.webhook("/mutate-pod")
    webhook.requests(500).value += 1
    total = "controller_runtime_webhook_requests_total"
    assert value(metrics, total, webhook="/mutate-pod", code="200") == 0
    assert value(metrics, total, webhook="/mutate-pod", code="500") == 1


def test_a_webhooks_time_is_shown_as_prometheus_client_would():
    registry = CollectorRegistry()
    theirs = Histogram("controller_runtime_webhook_latency_seconds", "", ("webhook",), registry=registry)
    metrics = RuntimeMetrics()
    ours = metrics.webhook("/x").latency
    for each in (theirs.labels("/x"), ours):
        for seconds in (0.0, 0.005, 0.0050001, 0.3, 10.0, 11.0):
            each.observe(seconds)
    expected = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    found = [line for line in text(metrics).splitlines() if "webhook_latency" in line]
    assert found[2:] == expected[2:]  # without HELP and TYPE


def test_an_informer_counts_by_kind_and_reason():
    metrics = RuntimeMetrics()
    informer = metrics.informer("jobs.batch")
    informer.lists("expired").inc()
    informer.watch_restarts("idle").inc()
    informer.last_event_age.set_function(lambda: 12.5)
    assert value(metrics, "kfx_informer_lists_total", resource="jobs.batch", reason="expired") == 1
    assert value(metrics, "kfx_informer_watch_restarts_total", resource="jobs.batch", reason="idle") == 1
    assert value(metrics, "kfx_informer_undecodable_objects_total", resource="jobs.batch") == 0
    assert value(metrics, "kfx_informer_last_event_age_seconds", resource="jobs.batch") == 12.5


def test_a_request_is_counted_as_client_go_counts_it():
    metrics = RuntimeMetrics()
    metrics.observe_request("200", "GET", "127.0.0.1:1")
    total = "rest_client_requests_total"
    assert value(metrics, total, code="200", method="GET", host="127.0.0.1:1") == 1


def test_leadership_is_shown_only_where_election_is_on():
    metrics = RuntimeMetrics()
    assert "leader_election_master_status{" not in text(metrics)
    metrics.leading("3fbc96e9.katib.kubeflow.org").set(1)
    assert value(metrics, "leader_election_master_status", name="3fbc96e9.katib.kubeflow.org") == 1


def test_counting_an_unknown_name_says_what_to_do():
    with pytest.raises(KeyError, match="register_counter"):
        RuntimeMetrics().count("katib_trial_created_total")


def test_counting_with_other_labels_is_refused():
    metrics = RuntimeMetrics()
    metrics.register_counter("n_total", "n", ("namespace",))
    with pytest.raises(ValueError, match="label"):
        metrics.count("n_total", {"name": "a"})


def test_a_registry_takes_these_names_once():
    registry = CollectorRegistry()
    RuntimeMetrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        RuntimeMetrics(registry)


def test_the_process_shows_its_memory_and_its_python():
    found = text(RuntimeMetrics())
    assert "process_resident_memory_bytes" in found
    assert "python_info{" in found
