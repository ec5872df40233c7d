"""``docs/swagger.json`` has Katib's names, and describes the objects that there are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from hack.generate.openapi import KINDS, document
from kfx.kube.model import KubeObject
from tests.katib_objects import experiment, suggestion, trial
from tests.swagger import problems

ROOT = Path(__file__).parents[4]
SAMPLES = [*ROOT.glob("config/samples/*.yaml"), ROOT / "tests" / "golden" / "validator" / "base.yaml"]
KATIBS = [
    "AlgorithmSetting", "AlgorithmSpec", "CollectorSpec", "ConfigMapSource", "EarlyStoppingRule",
    "EarlyStoppingSpec", "Experiment", "ExperimentCondition", "ExperimentList", "ExperimentSpec",
    "ExperimentStatus", "FeasibleSpace", "FileSystemPath", "FilterSpec", "GraphConfig", "Metric",
    "MetricStrategy", "MetricsCollectorSpec", "NasConfig", "ObjectiveSpec", "Observation",
    "Operation", "OptimalTrial", "ParameterAssignment", "ParameterSpec", "SourceSpec", "Suggestion",
    "SuggestionCondition", "SuggestionList", "SuggestionSpec", "SuggestionStatus", "Trial",
    "TrialAssignment", "TrialCondition", "TrialList", "TrialParameterSpec", "TrialSpec",
    "TrialStatus", "TrialTemplate",
]  # fmt: skip
"""Katib's types but two: EarlyStoppingSetting is an AlgorithmSetting here, TrialSource is inlined."""


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_definitions_have_the_names_that_katibs_file_has() -> None:
    assert {f"v1beta1.{name}" for name in KATIBS} <= document()["definitions"].keys()


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    definitions = document()["definitions"]
    used = {each.removeprefix("#/definitions/") for each in references(definitions)}
    lists = {f"v1beta1.{kind.__name__}List" for kind in KINDS}
    assert used | lists == definitions.keys()


def test_each_kind_says_under_which_group_and_version_it_is_served() -> None:
    for kind in KINDS:
        (of_kind,) = document()["definitions"][f"v1beta1.{kind.__name__}"]["x-kubernetes-group-version-kind"]
        resource = kind.resource
        assert of_kind == {"group": resource.group, "version": resource.version, "kind": resource.kind}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_as_described(path: Path) -> None:
    (sample,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    assert problems(sample, "v1beta1.Experiment") == []


@pytest.mark.parametrize(
    "found",
    [
        experiment("Created", "Running", labels={"team": "a"}),
        suggestion("Created", requests=2, names=("e-1", "e-2")),
        trial("Created", "Running", value="0.1"),
    ],
    ids=str,
)
def test_what_the_controllers_write_is_as_described(found: KubeObject) -> None:
    written = json.loads(msgspec.json.encode(found))
    assert problems(written, f"v1beta1.{found.resource.kind}") == []


def test_what_is_not_as_described_is_found() -> None:
    wrong = {
        "metadata": {"name": "t", "generateName": "kept by Kubernetes, unknown to kfx"},
        "spec": {"retainRun": "yes", "labels": {"a": 1}, "unheardOf": 1, "runSpec": {"any": "thing"}},
        "status": {"conditions": [{"type": "Created"}]},
    }
    assert problems(wrong, "v1beta1.Trial") == [
        "Trial.spec.retainRun is 'yes': expected boolean",
        "Trial.spec.labels.a is 1: expected string",
        "Trial.spec.unheardOf is not described",
        "Trial.status.conditions[0].status is missing",
    ]
