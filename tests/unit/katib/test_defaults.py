"""What an Experiment means where it says nothing: D1 to D21."""

import copy
from typing import Any

import pytest

from kfx.katib.defaults import default_experiment
from tests.experiment_cases import change, load

BATCH = 'status.conditions.#(type=="Complete")#|#(status=="True")#'
OPERATOR = 'status.conditions.#(type=="Succeeded")#|#(status=="True")#'
FAILURE = 'status.conditions.#(type=="Failed")#|#(status=="True")#'


ROWS = load("../defaulter/rows.yaml")


def at(document: Any, pointer: str) -> Any:
    """What stands there, None for nothing."""
    for part in pointer.lstrip("/").split("/") if pointer else ():
        key = part.replace("~1", "/")
        document = document[int(key)] if isinstance(document, list) else document.get(key)
        if document is None:
            return None
    return document


@pytest.mark.parametrize("case", ROWS, ids=lambda case: str(case["id"]))
def test_each_row_of_the_table_of_defaults_holds(case: dict[str, Any]) -> None:
    found = default_experiment(change(load("base.yaml"), case.get("set", {}), case.get("remove", ())))
    assert ("kfx" in case) == ("row" in case), "a difference to Katib needs the row that justifies it"
    for pointer, value in case.get("kfx", case["gives"]).items():
        assert at(found, pointer) == value, pointer


def spec_of(values: dict[str, Any] | None = None, remove: tuple[str, ...] = ()) -> Any:
    return default_experiment(change(load("base.yaml"), values or {}, remove))["spec"]


@pytest.mark.parametrize(("most", "parallel"), [(12, 3), (3, 3), (2, 2), (1, 1), (0, 3), (-1, 3), (None, 3)])
def test_no_more_trials_run_at_a_time_than_there_are_in_all(most: int | None, parallel: int) -> None:
    assert spec_of({"/spec/maxTrialCount": most})["parallelTrialCount"] == parallel


def test_a_given_number_stays_even_if_it_is_too_large() -> None:
    assert spec_of({"/spec/maxTrialCount": 2, "/spec/parallelTrialCount": 9})["parallelTrialCount"] == 9


@pytest.mark.parametrize("given", [None, ""])
def test_an_experiment_is_not_resumed_unless_it_says_so(given: str | None) -> None:
    assert spec_of({"/spec/resumePolicy": given})["resumePolicy"] == "Never"


@pytest.mark.parametrize(
    ("objective", "strategies"),
    [
        ({"type": "minimize", "additionalMetricNames": ["acc"]}, ["loss min", "acc min"]),
        (
            {
                "type": "maximize",
                "additionalMetricNames": ["acc"],
                "metricStrategies": [{"name": "acc", "value": "latest"}],
            },
            ["acc latest", "loss max"],
        ),
        ({"additionalMetricNames": ["acc"]}, ["loss latest", "acc latest"]),
        ({"type": "minimize", "additionalMetricNames": ["loss"]}, ["loss min", "loss min"]),
        ({"type": "minimize", "additionalMetricNames": ["a", "a"]}, ["loss min", "a min", "a min"]),
        ({"type": "minimize", "metricStrategies": [{"name": "loss", "value": "median"}]}, ["loss median"]),
        ({"type": "minimize", "objectiveMetricName": ""}, [" min"]),
    ],
)
def test_metrics_without_a_strategy_follow_the_objective(
    objective: dict[str, Any], strategies: list[str]
) -> None:
    given = {"objectiveMetricName": "loss", **objective}
    found = spec_of({"/spec/objective": given})["objective"]["metricStrategies"]
    assert [f"{item.get('name', '')} {item['value']}" for item in found] == strategies


def test_an_objective_that_is_not_there_stays_away() -> None:
    assert "objective" not in spec_of(remove=("/spec/objective",))
    assert spec_of({"/spec/objective": None})["objective"] is None


@pytest.mark.parametrize(
    ("kind", "success"),
    [
        ("Job", BATCH),
        ("TrainJob", BATCH),
        ("TFJob", OPERATOR),
        ("PyTorchJob", OPERATOR),
        ("XGBoostJob", OPERATOR),
        ("MPIJob", OPERATOR),
    ],
)
def test_conditions_follow_the_kind_whatever_its_group(kind: str, success: str) -> None:
    template = spec_of(
        {"/spec/trialTemplate/trialSpec/kind": kind, "/spec/trialTemplate/trialSpec/apiVersion": "any/v9"}
    )["trialTemplate"]
    assert template["successCondition"] == success
    assert template["failureCondition"] == FAILURE


def test_the_two_conditions_are_independent() -> None:
    template = spec_of({"/spec/trialTemplate/failureCondition": "mine"})["trialTemplate"]
    assert (template["successCondition"], template["failureCondition"]) == (BATCH, "mine")


@pytest.mark.parametrize("kind", ["MXJob", "Workflow", "Pod"])
def test_other_kinds_have_no_conditions(kind: str) -> None:
    template = spec_of({"/spec/trialTemplate/trialSpec/kind": kind})["trialTemplate"]
    assert "successCondition" not in template
    assert "primaryPodLabels" not in template


def test_a_template_in_a_config_map_has_no_conditions() -> None:
    assert "successCondition" not in spec_of(remove=("/spec/trialTemplate/trialSpec",))["trialTemplate"]


@pytest.mark.parametrize("given", [None, {}])
@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("PyTorchJob", {"training.kubeflow.org/job-role": "master"}),
        (
            "TrainJob",
            {
                "jobset.sigs.k8s.io/replicatedjob-name": "node",
                "batch.kubernetes.io/job-completion-index": "0",
            },
        ),
    ],
)
def test_the_primary_pod_of_a_distributed_job_is_its_first(kind: str, labels: Any, given: Any) -> None:
    values = {
        "/spec/trialTemplate/trialSpec/kind": kind,
        "/spec/trialTemplate/primaryPodLabels": given,
    }
    assert spec_of(values)["trialTemplate"]["primaryPodLabels"] == labels


def test_labels_of_the_user_stay_alone() -> None:
    values = {
        "/spec/trialTemplate/trialSpec/kind": "MPIJob",
        "/spec/trialTemplate/primaryPodLabels": {"a": "b"},
    }
    assert spec_of(values)["trialTemplate"]["primaryPodLabels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"collector": {"kind": "StdOut"}}),
        ({}, {"collector": {"kind": "StdOut"}}),
        ({"collector": {}}, {"collector": {}}),
        ({"collector": {"kind": "Push"}}, {"collector": {"kind": "Push"}}),
        (
            {"collector": {"kind": "File"}},
            {
                "collector": {"kind": "File"},
                "source": {
                    "fileSystemPath": {
                        "kind": "File",
                        "path": "/var/log/katib/metrics.log",
                        "format": "TEXT",
                    }
                },
            },
        ),
        (
            {"collector": {"kind": "TensorFlowEvent"}, "source": None},
            {
                "collector": {"kind": "TensorFlowEvent"},
                "source": {"fileSystemPath": {"kind": "Directory", "path": "/var/log/katib/tfevent/"}},
            },
        ),
    ],
)
def test_collectors_have_their_places(given: Any, expected: Any) -> None:
    assert spec_of({"/spec/metricsCollectorSpec": given})["metricsCollectorSpec"] == expected


@pytest.mark.parametrize(("given", "port"), [(None, 8080), (0, 8080), ("0", 8080), (1, 1), ("web", "web")])
def test_a_port_that_reads_as_nothing_is_8080(given: Any, port: Any) -> None:
    collectors = {"collector": {"kind": "PrometheusMetric"}, "source": {"httpGet": {"port": given}}}
    found = spec_of({"/spec/metricsCollectorSpec": collectors})["metricsCollectorSpec"]
    assert found["source"]["httpGet"] == {"path": "/metrics", "port": port}


@pytest.mark.parametrize("kind", ["double", "int", "categorical", "discrete", ""])
def test_every_parameter_is_uniform_unless_it_says_so(kind: str) -> None:
    spec = spec_of(
        {
            "/spec/parameters/0/parameterType": kind,
            "/spec/parameters/1/feasibleSpace/distribution": "normal",
        }
    )
    found = [parameter["feasibleSpace"]["distribution"] for parameter in spec["parameters"]]
    assert found == ["uniform", "normal"]


def test_parameters_of_operations_stay_as_they_are() -> None:
    operation = {"operationType": "o", "parameters": [{"name": "p"}]}
    assert spec_of({"/spec/nasConfig": {"operations": [operation]}})["nasConfig"]["operations"] == [operation]


def test_what_no_type_knows_stays() -> None:
    spec = spec_of({"/spec/foo": {"bar": [1]}, "/spec/trialTemplate/finalizers": []})
    assert spec["foo"] == {"bar": [1]}
    assert spec["trialTemplate"]["finalizers"] == []


def test_defaults_are_settled_after_one_pass() -> None:
    once = default_experiment(load("base.yaml"))
    assert default_experiment(once) == once


def test_the_document_that_was_given_is_not_changed() -> None:
    given = load("base.yaml")
    before = copy.deepcopy(given)
    default_experiment(given)
    assert given == before
