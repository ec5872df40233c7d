"""What Katib's overlays ship as katib-config, read by both of its readers (W7.8)."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kfx.config import load_config
from kfx.katib.katib_config import RuntimeConfig, parse_runtime_config

ALGORITHMS = {
    "random": "hyperopt",
    "tpe": "hyperopt",
    "grid": "optuna",
    "multivariate-tpe": "optuna",
    "hyperband": "hyperband",
    "bayesianoptimization": "skopt",
    "cmaes": "goptuna",
    "sobol": "goptuna",
    "enas": "enas",
    "darts": "darts",
    "pbt": "pbt",
}
COMMON = [
    "Job.v1.batch",
    "TFJob.v1.kubeflow.org",
    "PyTorchJob.v1.kubeflow.org",
    "MPIJob.v1.kubeflow.org",
    "XGBoostJob.v1.kubeflow.org",
]
TRAIN_JOB = "TrainJob.v1alpha1.trainer.kubeflow.org"
OVERLAYS = {
    "standalone": (True, False, True),
    "cert-manager": (False, False, True),
    "external-db": (True, False, False),
    "standalone-postgres": (True, False, False),
    "leader-election": (True, True, False),
    "openshift": (False, False, False),
}
"""certGenerator, leader election, TrainJob."""


def image(name: str) -> str:
    return f"ghcr.io/kubeflow/katib/{name}:latest"


def suggestions() -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {
        name: {"algorithmName": name, "image": image(f"suggestion-{kind}")}
        for name, kind in ALGORITHMS.items()
    }
    entries["enas"]["resources"] = {"limits": {"memory": "400Mi"}}
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}
    entries["pbt"]["persistentVolumeClaimSpec"] = claim
    return list(entries.values())


def shipped(overlay: str) -> str:
    generator, election, train_job = OVERLAYS[overlay]
    controller: dict[str, Any] = {"webhookPort": 8443}
    controller["trialResources"] = [*([TRAIN_JOB] if train_job else []), *COMMON]
    if election:
        controller["enableLeaderElection"] = True
    init = {"controller": controller, **({"certGenerator": {"enable": True}} if generator else {})}
    collectors = [{"kind": kind, "image": image("file-metrics-collector")} for kind in ("StdOut", "File")]
    tensorflow = {"kind": "TensorFlowEvent", "image": image("tfevent-metrics-collector")}
    runtime = {
        "metricsCollectors": [*collectors, {**tensorflow, "resources": {"limits": {"memory": "1Gi"}}}],
        "suggestions": suggestions(),
        "earlyStoppings": [{"algorithmName": "medianstop", "image": image("earlystopping-medianstop")}],
    }
    head = {"apiVersion": "config.kubeflow.org/v1beta1", "kind": "KatibConfig"}
    return msgspec.yaml.encode({**head, "init": init, "runtime": runtime}).decode()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_init_part_of_every_overlay_is_taken_without_a_warning(tmp_path: Path, overlay: str) -> None:
    path = tmp_path / "katib-config.yaml"
    path.write_text("---\n" + shipped(overlay))
    config = load_config([f"--katib-config={path}"], {})
    generator, election, train_job = OVERLAYS[overlay]
    assert config.warnings == ()
    assert config.cert_generator.enabled is generator
    assert config.enable_leader_election is election
    assert config.trial_resources == (*([TRAIN_JOB] if train_job else []), *COMMON)
    assert config.webhook_port == 8443


def test_the_runtime_part_answers_for_all_that_it_names() -> None:
    config: RuntimeConfig = parse_runtime_config({"katib-config.yaml": shipped("standalone")})
    for name, kind in ALGORITHMS.items():
        assert config.suggestion(name).image == image(f"suggestion-{kind}")
    assert (config.suggestion("enas").resources.limits or {})["memory"] == "400Mi"
    assert (config.suggestion("pbt").persistent_volume_claim_spec or {})["accessModes"] == ["ReadWriteMany"]
    assert config.early_stopping("medianstop").image == image("earlystopping-medianstop")
    assert config.metrics_collector("File").image == image("file-metrics-collector")
    assert (config.metrics_collector("TensorFlowEvent").resources.limits or {})["memory"] == "1Gi"
