import pytest

from kfx.apis.common import CollectorSpec, FileSystemPath, MetricsCollectorSpec, SourceSpec
from kfx.katib.metrics_remedy import explain_missing_metrics
from tests.katib_objects import observed, trial


def _collector(kind: str, path: str = "") -> MetricsCollectorSpec:
    source = SourceSpec(file_system_path=FileSystemPath(path=path)) if path else None
    return MetricsCollectorSpec(source=source, collector=CollectorSpec(kind=kind))


@pytest.mark.parametrize(
    ("kind", "path", "remedy"),
    [
        ("", "", "'loss=<number>'"),
        ("StdOut", "", "'loss=<number>'"),
        ("File", "/var/log/m.log", "/var/log/m.log"),
        ("TensorFlowEvent", "/train", "tag loss under /train"),
        ("Push", "", "report_metrics"),
        ("PrometheusMetric", "", "PrometheusMetric collector reports loss"),
    ],
)
def test_the_remedy_fits_the_collector(kind: str, path: str, remedy: str) -> None:
    found = explain_missing_metrics(trial(metrics_collector=_collector(kind, path)), observed("unavailable"))
    assert "'loss'" in found
    assert remedy in found


def test_where_nothing_at_all_was_reported_the_collector_is_suspected() -> None:
    found = explain_missing_metrics(trial(), None)
    assert "katib.kubeflow.org/metrics-collector-injection=enabled" in found
    assert "loss=<number>" in found


def test_training_that_pushes_has_no_collector_to_suspect() -> None:
    assert "label" not in explain_missing_metrics(trial(metrics_collector=_collector("Push")), None)
