"""The collecting container by itself, against the contract's tables 8.8 and 8.9."""

from typing import Any

import msgspec
import pytest
import yaml

from kfx.apis.katib_config import MetricsCollectorEntry
from kfx.apis.trial import Trial
from kfx.collector.report import CALL_SECONDS, GIVE_UP_SECONDS
from kfx.katib.sidecar import NATIVE_GRACE, collector_args, collector_name
from tests.experiment_cases import expected
from tests.golden_files import FOLDER

ROWS = yaml.safe_load((FOLDER / "injection" / "collector_args.yaml").read_text(encoding="utf-8"))
COMMON = "-t test-trial -m accuracy -o-type maximize -s-db katib-db-manager.kubeflow:6789"


def trial(kind: str, source: Any = None, rules: Any = ()) -> Trial:
    collector: dict[str, Any] = {"kind": kind}
    if kind == "Custom":
        collector["customCollector"] = {"name": "mine"}
    document = {
        "metadata": {"name": "test-trial", "namespace": "kubeflow"},
        "spec": {
            "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
            "metricsCollector": {"collector": collector, **({"source": source} if source else {})},
            "earlyStoppingRules": list(rules),
        },
    }
    return msgspec.json.decode(msgspec.json.encode(document), type=Trial)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["id"]))
def test_the_collector_gets_katibs_arguments(row: dict[str, Any]) -> None:
    found = collector_args(
        trial(row["kind"], row.get("source"), row.get("rules", ())),
        MetricsCollectorEntry(kind=row["kind"], image="i", wait_all_processes=row.get("wait_all")),
        db_manager_address="katib-db-manager.kubeflow:6789",
        early_stopping_address="test-suggestion-random.kubeflow:6788",
    )
    assert " ".join(found) == f"{COMMON} {expected(row)}".strip()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("StdOut", "metrics-logger-and-collector", id="8.9 sidecar name StdOut"),
        pytest.param("TensorFlowEvent", "metrics-collector", id="8.9 sidecar name TensorFlowEvent"),
        ("File", "metrics-logger-and-collector"),
        ("PrometheusMetric", "metrics-collector"),
        ("Custom", "mine"),
    ],
)
def test_a_collector_is_named_by_its_kind(kind: str, name: str) -> None:
    assert collector_name(trial(kind)) == name


def test_a_native_sidecar_has_time_for_all_of_its_patience() -> None:
    assert NATIVE_GRACE >= GIVE_UP_SECONDS + CALL_SECONDS
