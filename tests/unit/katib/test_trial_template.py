"""The job of a trial, and why there is none (E0 to E6)."""

from typing import Any

import pytest

from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import ConfigMapSource, Experiment, TrialTemplate
from kfx.katib.experiment_document import decode_experiment
from kfx.katib.trial_template import (
    RenderError,
    is_meta_reference,
    render_trial,
    template_from_config_map,
    template_source,
)
from tests.experiment_cases import change, load

ASSIGNED = (ParameterAssignment(name="lr", value="0.02"), ParameterAssignment(name="momentum", value="0.7"))
COMMAND = "/spec/trialTemplate/trialSpec/spec/template/spec/containers/0/command"
REFERENCE = "/spec/trialTemplate/trialParameters/1/reference"
METADATA = "/spec/trialTemplate/trialSpec/metadata"


def experiment(values: dict[str, Any] | None = None, remove: tuple[str, ...] = ()) -> Experiment:
    return decode_experiment(change(load("base.yaml"), values or {}, remove))


def render(
    values: dict[str, Any] | None = None,
    assigned: tuple[ParameterAssignment, ...] = ASSIGNED,
    *,
    text: str | None = None,
    remove: tuple[str, ...] = (),
) -> dict[str, Any]:
    return render_trial(experiment(values, remove), "base-abc", assigned, text)


def command(found: dict[str, Any]) -> Any:
    return found["spec"]["template"]["spec"]["containers"][0]["command"]


def test_a_trial_gets_its_values_its_name_and_its_namespace() -> None:
    found = render()
    assert command(found) == ["python3", "train.py", "--lr=0.02", "--momentum=0.7"]
    assert found["metadata"] == {"name": "base-abc", "namespace": "user"}


def test_the_experiment_is_not_changed() -> None:
    given = experiment({METADATA: {"labels": {"a": "b"}}})
    before = experiment({METADATA: {"labels": {"a": "b"}}})
    render_trial(given, "base-abc", ASSIGNED, None)
    assert given == before


def test_metadata_stays_save_what_only_the_server_or_an_owner_may_write() -> None:
    given = {
        "generateName": "x-",
        "finalizers": ["f"],
        "ownerReferences": [{}],
        "managedFields": [],
        "resourceVersion": "1",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
    }
    assert render({METADATA: given})["metadata"] == {
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "name": "base-abc",
        "namespace": "user",
    }


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${trialSpec.Name}", "base-abc"),
        ("${trialSpec.Namespace}", "user"),
        ("${trialSpec.Kind}", "Job"),
        ("${trialSpec.APIVersion}", "batch/v1"),
        ("${trialSpec.Labels[a.b/c]}", "from-label"),
        ("${trialSpec.Annotations[note]}", "from-annotation"),
        ("pre-${trialSpec.Name}-post", "base-abc"),
        ("${trialSpec.Kind[x]}", "Job"),
        ("${trialSpec.Labels[a.b/c]extra}", "from-label"),
    ],
)
def test_a_parameter_may_be_the_trials_own_metadata(reference: str, value: str) -> None:
    metadata = {"labels": {"a.b/c": "from-label"}, "annotations": {"note": "from-annotation"}}
    found = render({REFERENCE: reference, METADATA: metadata}, ASSIGNED[:1])
    assert command(found)[3] == f"--momentum={value}"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("${trialSpec.name}", "illegal reference of trial metadata: ${trialSpec.name}; use one of Name"),
        (
            "${trialSpec.Labels[a]}",
            "illegal reference of trial metadata: ${trialSpec.Labels[a]}; failed to fetch Label: a; ",
        ),
        (
            "${trialSpec.Annotations[a]}",
            "illegal reference of trial metadata: ${trialSpec.Annotations[a]}; failed to fetch Annotation: a",
        ),
        (
            "${trialSpec.Labels}",
            "illegal reference of trial metadata: ${trialSpec.Labels}; failed to fetch Label: ;",
        ),
    ],
)
def test_metadata_that_is_not_there_is_an_error(reference: str, text: str) -> None:
    with pytest.raises(RenderError) as caught:
        render({REFERENCE: reference}, ASSIGNED[:1])
    assert str(caught.value).startswith(text)


def test_a_reference_without_an_assignment_is_an_error() -> None:
    with pytest.raises(RenderError) as caught:
        render({REFERENCE: "depth"})
    assert str(caught.value).startswith(
        "unable to find non-meta parameter from TrialParameters in ParameterAssignment: parameter: depth, "
        "parameter assignment: map[lr:0.02 momentum:0.7]; "
    )


def test_an_assignment_that_nothing_takes_is_an_error() -> None:
    with pytest.raises(RenderError) as caught:
        render(assigned=(*ASSIGNED, ParameterAssignment(name="depth", value="3")))
    assert str(caught.value).startswith(
        "unable to find parameter from ParameterAssignment in TrialParameters: parameter assignments: "
        "[{lr 0.02} {momentum 0.7} {depth 3}], non-meta trial parameter count: 2; "
    )


def test_a_long_list_of_assignments_is_cut() -> None:
    many = tuple(ParameterAssignment(name=f"p{i}", value="v" * 50) for i in range(100))
    with pytest.raises(RenderError) as caught:
        render(assigned=(*ASSIGNED, *many))
    assert len(str(caught.value)) < 1024


def test_a_value_with_quotes_is_text_all_the_same() -> None:
    assigned = (ParameterAssignment(name="lr", value='"],"x":["'), ASSIGNED[1])
    assert command(render(assigned=assigned))[2] == '--lr="],"x":["'


def test_a_template_of_a_config_map_may_hold_numbers() -> None:
    text = "kind: Job\nlr: ${trialParameters.learningRate}\nm: '${trialParameters.momentum}'"
    source = {"configMapName": "c", "configMapNamespace": "user", "templatePath": "t"}
    values = {"/spec/trialTemplate/configMap": source}
    found = render(values, text=text, remove=("/spec/trialTemplate/trialSpec",))
    assert (found["lr"], found["m"]) == (0.02, "0.7")
    assert found["metadata"] == {"name": "base-abc", "namespace": "user"}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (None, "configMap not found"),
        ("- a", "failed to convert string to unstructured: expected an object"),
        ("a: [${trialParameters.momentum}]", "failed to convert string to unstructured"),
        ("a: 1", "failed to convert string to unstructured: Object 'Kind' is missing"),
    ],
)
def test_a_text_that_gives_no_job_is_an_error(text: str | None, start: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(text=text, remove=("/spec/trialTemplate/trialSpec",))
    assert str(caught.value).startswith(start)


def test_a_number_that_json_cannot_write_is_an_error() -> None:
    with pytest.raises(RenderError, match="failed to convert unstructured to string"):
        render({f"{METADATA}": {"x": float("inf")}})


@pytest.mark.parametrize(
    ("reference", "meta"),
    [
        ("${trialSpec.Name}", True),
        ("x${trialSpec.Labels[a]}y", True),
        ("${trialSpec.Labels}", True),
        ("${trialSpec.Name[x]}", True),
        ("${trialSpec.Foo}", False),
        ("${trialSpec.name}", False),
        ("lr", False),
    ],
)
def test_meta_references_are_told_by_their_key(reference: str, meta: bool) -> None:
    assert is_meta_reference(reference) is meta


SOURCE = ConfigMapSource(config_map_name="c", config_map_namespace="shared", template_path="t")


def from_config_map(
    config_map: dict[str, Any] | None, *, namespace: str = "user", core: str = "kubeflow"
) -> str:
    return template_from_config_map(SOURCE, config_map, namespace=namespace, core_namespace=core)


LABELLED = {"labels": {"katib.kubeflow.org/component": "trial-templates"}}


@pytest.mark.parametrize(
    ("metadata", "namespace", "core"),
    [({}, "shared", "kubeflow"), ({}, "user", "shared"), (LABELLED, "user", "kubeflow")],
)
def test_a_template_is_read_from_home_from_the_platform_or_where_shared(
    metadata: dict[str, Any], namespace: str, core: str
) -> None:
    """K12: no other ConfigMap."""
    assert (
        from_config_map({"metadata": metadata, "data": {"t": "text"}}, namespace=namespace, core=core)
        == "text"
    )


@pytest.mark.parametrize("config_map", [None, {"data": {"t": "secret"}}])
def test_whether_a_strangers_config_map_exists_is_not_told(config_map: dict[str, Any] | None) -> None:
    with pytest.raises(RenderError) as caught:
        from_config_map(config_map)
    assert str(caught.value).startswith(
        "configMap not found: no template ConfigMap shared/c that namespace 'user'"
    )
    assert "secret" not in str(caught.value)


def test_a_config_map_that_is_not_there_is_an_error() -> None:
    with pytest.raises(RenderError, match="configMap not found: ConfigMap shared/c; create it"):
        from_config_map(None, namespace="shared")


def test_a_missing_key_is_named_and_the_content_is_not_repeated() -> None:
    """G40, K12: names only."""
    with pytest.raises(RenderError) as caught:
        from_config_map({"data": {"other": "secret"}}, namespace="shared")
    start = "unable to find trial template in ConfigMap: TemplatePath: t, ConfigMap shared/c; "
    assert str(caught.value).startswith(start)
    assert "secret" not in str(caught.value)


def test_a_template_longer_than_any_text_that_is_read_is_refused_before_it_is_written_out() -> None:
    template = TrialTemplate(trial_spec={"kind": "Job", "a": "x" * (1024 * 1024)})
    with pytest.raises(RenderError, match="trialSpec is longer than 1048576 bytes"):
        template_source(template, None)
