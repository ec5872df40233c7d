"""What the runtime counts, under the names dashboards made for controller-runtime and client-go expect.

Every other part is handed a bound group (:class:`ControllerMetrics`, :class:`QueueMetrics` …), so that
nothing looks up labels while it works. Figures that change with time alone are computed at the scrape.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from kfx.runtime.log_stream import LogStream

RECONCILE_RESULTS = ("success", "error", "requeue", "requeue_after")
# controller-runtime, pkg/internal/controller/metrics
RECONCILE_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60),
)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
QUEUE_BUCKETS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


class _DroppedLogLines(Collector):
    def collect(self) -> Iterable[Metric]:
        text = "Log lines that nobody took in time."
        yield CounterMetricFamily("kfx_log_lines_dropped", text, value=LogStream.dropped)


class Registry(CollectorRegistry):
    """Never shows the ``_created`` series that prometheus_client adds and client-go does not have."""

    def collect(self) -> Iterable[Metric]:
        for metric in super().collect():
            if metric.type in {"counter", "histogram", "summary"}:
                unwanted = f"{metric.name}_created"
                metric.samples = [sample for sample in metric.samples if sample.name != unwanted]
            yield metric


class Tally:
    """A counter of the hot path: a plain integer, which a scrape reads. Added to on the loop only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Tallies(Collector):
    """One counter family of :class:`Tally`, by labels."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self._described = (name, help_text, labels)
        self._tallies: dict[tuple[str, ...], Tally] = {}

    def labels(self, *values: str) -> Tally:
        """The one with these values; shown from now on, at first as 0."""
        found = self._tallies.get(values)
        if found is None:
            found = self._tallies[values] = Tally()
        return found

    def collect(self) -> Iterable[Metric]:
        name, help_text, labels = self._described
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, tally in self._tallies.items():
            family.add_metric(values, tally.value)
        yield family


class Timing:
    """A histogram of the hot path: plain integers, one for each bucket. Added to on the loop only."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * len(bounds)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Timings(Collector):
    """One histogram family of :class:`Timing`, by labels; the last of ``bounds`` is infinity."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._described = (name, help_text, labels)
        self._bounds = bounds
        self._timings: dict[tuple[str, ...], Timing] = {}

    def labels(self, *values: str) -> Timing:
        """The one with these values; shown from now on, at first without any."""
        found = self._timings.get(values)
        if found is None:
            found = self._timings[values] = Timing(self._bounds)
        return found

    def collect(self) -> Iterable[Metric]:
        name, help_text, labels = self._described
        family = HistogramMetricFamily(name, help_text, labels=labels)
        edges = [*map(str, self._bounds[:-1]), "+Inf"]
        for values, timing in self._timings.items():
            buckets = list(zip(edges, accumulate(timing.counts), strict=True))
            family.add_metric(values, buckets, timing.total)
        yield family


@dataclass(frozen=True, slots=True)
class ControllerMetrics:
    """One controller's figures. ``results`` has exactly the keys of ``RECONCILE_RESULTS``."""

    results: Mapping[str, Counter]
    errors: Counter
    terminal_errors: Counter
    panics: Counter
    timeouts: Counter
    conflicts: Counter
    seconds: Histogram
    active_workers: Gauge


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """One work queue's figures. ``depth`` is by priority; the gauges are meant for ``set_function``."""

    depth: Callable[[int], Gauge]
    adds: Tally
    retries: Counter
    waited: Histogram
    worked: Histogram
    unfinished: Gauge
    longest_running: Gauge


@dataclass(frozen=True, slots=True)
class WebhookMetrics:
    """One admission path's figures. ``in_flight`` is meant for ``set_function``."""

    requests: Callable[[int], Tally]
    latency: Timing
    in_flight: Gauge
    panics: Counter


@dataclass(frozen=True, slots=True)
class InformerMetrics:
    """One kind's figures. The gauges are meant for ``set_function``; reasons are few and fixed."""

    lists: Callable[[str], Counter]
    watch_restarts: Callable[[str], Counter]
    undecodable: Counter
    last_event_age: Gauge
    last_version: Gauge


class RuntimeMetrics:
    """All figures of one process, on one registry (an own :class:`Registry` where none is given).

    Raises ValueError if the registry has some of these names already.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else Registry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(_DroppedLogLines())
        self._counters: dict[str, Counter] = {}
        self._reconciles()
        self._queues()
        self._serving()
        self._informers()
        self._writes()
        self.loop_lag = self._histogram(
            "kfx_loop_lag_seconds", "How late the event loop woke a sleep of 100 ms.", (), LAG_BUCKETS
        )
        self.loop_lag_max = self._gauge("kfx_loop_lag_max_seconds", "The largest lag of the last 10 s.")
        self.register_counter("certwatcher_read_certificate_total", "Certificate reads.")
        self.register_counter("certwatcher_read_certificate_errors_total", "Certificate reads that failed.")

    def controller(self, name: str, workers: int) -> ControllerMetrics:
        """The figures of controller ``name``, all at 0."""
        self._max_concurrent.labels(name).set(workers)
        return ControllerMetrics(
            results={result: self._reconcile_total.labels(name, result) for result in RECONCILE_RESULTS},
            errors=self._reconcile_errors.labels(name),
            terminal_errors=self._terminal_errors.labels(name),
            panics=self._reconcile_panics.labels(name),
            timeouts=self._reconcile_timeouts.labels(name),
            conflicts=self._reconcile_conflicts.labels(name),
            seconds=self._reconcile_seconds.labels(name),
            active_workers=self._active_workers.labels(name),
        )

    def queue(self, name: str) -> QueueMetrics:
        """The figures of the work queue of controller ``name``."""
        return QueueMetrics(
            depth=lambda priority: self._queue_depth.labels(name, name, priority),
            adds=self._queue_adds.labels(name, name),
            retries=self._queue_retries.labels(name, name),
            waited=self._queue_waited.labels(name, name),
            worked=self._queue_worked.labels(name, name),
            unfinished=self._queue_unfinished.labels(name, name),
            longest_running=self._queue_longest.labels(name, name),
        )

    def webhook(self, path: str) -> WebhookMetrics:
        """The figures of the admission handler at ``path``; codes 200 and 500 start at 0."""
        for code in (200, 500):
            self._webhook_requests.labels(path, str(code))
        return WebhookMetrics(
            requests=lambda code: self._webhook_requests.labels(path, str(code)),
            latency=self._webhook_latency.labels(path),
            in_flight=self._webhook_in_flight.labels(path),
            panics=self._webhook_panics,
        )

    def informer(self, resource: str) -> InformerMetrics:
        """The figures of the informer of ``resource`` (``str(Resource)``)."""
        return InformerMetrics(
            lists=lambda reason: self._informer_lists.labels(resource, reason),
            watch_restarts=lambda reason: self._informer_restarts.labels(resource, reason),
            undecodable=self._informer_undecodable.labels(resource),
            last_event_age=self._informer_age.labels(resource),
            last_version=self._informer_version.labels(resource),
        )

    def leading(self, lease: str) -> Gauge:
        """1 while this process holds ``lease``; absent until asked for, as election off shows nothing."""
        return self._master.labels(lease)

    def lease_age(self, lease: str) -> Gauge:
        """Meant for ``set_function``; absent until asked for, as :meth:`leading`."""
        return self._lease_age.labels(lease)

    def observe_request(self, code: str, method: str, host: str) -> None:
        """One answer of the API server; ``code`` is ``<error>`` where none came (client-go's word)."""
        self._requests.labels(code, method, host).inc()

    def register_counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        """Make ``name`` known to :meth:`count`. Raises ValueError if it is taken."""
        self._counters[name] = self._counter(name, help_text, labels)

    def count(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Add 1 to a counter of :meth:`register_counter`.

        Raises KeyError for an unknown name and ValueError for labels other than those registered.
        """
        counter = self._counters.get(name)
        if counter is None:
            raise KeyError(f"counter {name!r} is unknown: call register_counter before it is counted")
        (counter.labels(**labels) if labels else counter).inc()

    def _reconciles(self) -> None:
        by_controller = ("controller",)
        prefix = "controller_runtime"
        self._reconcile_total = self._counter(
            f"{prefix}_reconcile_total", "Reconciles by result.", ("controller", "result")
        )
        self._reconcile_errors = self._counter(
            f"{prefix}_reconcile_errors_total", "Reconciles that failed.", by_controller
        )
        self._terminal_errors = self._counter(
            f"{prefix}_terminal_reconcile_errors_total", "Reconciles not worth repeating.", by_controller
        )
        self._reconcile_panics = self._counter(
            f"{prefix}_reconcile_panics_total", "Reconciles that failed in an unforeseen way.", by_controller
        )
        self._reconcile_timeouts = self._counter(
            f"{prefix}_reconcile_timeouts_total", "Reconciles cut by the time limit.", by_controller
        )
        self._reconcile_conflicts = self._counter(
            "kfx_reconcile_conflicts_total", "Reconciles that had read an old state.", by_controller
        )
        self._reconcile_seconds = self._histogram(
            f"{prefix}_reconcile_time_seconds", "Duration of reconciles.", by_controller, RECONCILE_BUCKETS
        )
        self._max_concurrent = self._gauge(
            f"{prefix}_max_concurrent_reconciles", "Workers of the controller.", by_controller
        )
        self._active_workers = self._gauge(
            f"{prefix}_active_workers", "Workers with a reconcile in hand.", by_controller
        )

    def _queues(self) -> None:
        labels = ("name", "controller")
        self._queue_depth = self._gauge("workqueue_depth", "Keys waiting.", (*labels, "priority"))
        self._queue_adds = self._tallies("workqueue_adds_total", "Keys queued.", labels)
        self._queue_retries = self._counter("workqueue_retries_total", "Keys queued with a delay.", labels)
        self._queue_waited = self._histogram(
            "workqueue_queue_duration_seconds", "Wait before work.", labels, QUEUE_BUCKETS
        )
        self._queue_worked = self._histogram(
            "workqueue_work_duration_seconds", "Work on a key.", labels, QUEUE_BUCKETS
        )
        self._queue_unfinished = self._gauge(
            "workqueue_unfinished_work_seconds", "Sum of the ages of work in hand.", labels
        )
        self._queue_longest = self._gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest work in hand.", labels
        )

    def _writes(self) -> None:
        self._requests = self._counter(
            "rest_client_requests_total", "Requests to the API server.", ("code", "method", "host")
        )
        self._master = self._gauge(
            "leader_election_master_status", "1 while this process leads, else 0.", ("name",)
        )
        self._lease_age = self._gauge(
            "kfx_lease_age_seconds", "Time since the lease was last seen to change; -1 before.", ("name",)
        )
        self.fenced_writes = self._counter(
            "kfx_fenced_writes_total", "Writes refused here because leadership was not certain."
        )
        self.register_counter(
            "kfx_stale_reads_total", "Plans put off until the cache has shown the last write to their object."
        )
        self.events_dropped = self._counter(
            "kfx_events_dropped_total", "Kubernetes events that were not posted.", ("reason",)
        )

    def _serving(self) -> None:
        prefix = "controller_runtime_webhook"
        self._webhook_requests = self._tallies(
            f"{prefix}_requests_total", "Admission requests by HTTP code.", ("webhook", "code")
        )
        self._webhook_latency = Timings(
            f"{prefix}_latency_seconds", "Time to answer.", ("webhook",), Histogram.DEFAULT_BUCKETS
        )
        self.registry.register(self._webhook_latency)
        self._webhook_in_flight = self._gauge(
            f"{prefix}_requests_in_flight", "Admission requests being answered.", ("webhook",)
        )
        self._webhook_panics = self._counter(
            f"{prefix}_panics_total", "Admission requests that failed in an unforeseen way."
        )
        # there is no conversion here; alerts made for controller-runtime find their series all the same
        self._counter("controller_runtime_conversion_webhook_panics_total", "Always 0.")

    def _informers(self) -> None:
        prefix, labels = "kfx_informer", ("resource",)
        self._informer_lists = self._counter(f"{prefix}_lists_total", "Lists by reason.", (*labels, "reason"))
        self._informer_restarts = self._counter(
            f"{prefix}_watch_restarts_total", "Watches opened again, by reason.", (*labels, "reason")
        )
        self._informer_undecodable = self._counter(
            f"{prefix}_undecodable_objects_total", "Objects skipped as unreadable.", labels
        )
        self._informer_age = self._gauge(
            f"{prefix}_last_event_age_seconds",
            "Time since the server was last heard of; the longest, where parts of a kind are followed apart.",
            labels,
        )
        self._informer_version = self._gauge(
            f"{prefix}_last_resource_version",
            "Up to where the kind is known; -1 before the first list.",
            labels,
        )

    def _counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _tallies(self, name: str, help_text: str, labels: Sequence[str]) -> Tallies:
        found = Tallies(name, help_text, labels)
        self.registry.register(found)
        return found

    def _gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)
