"""Katib's own table of cases for its manifest generator, row by row (contract 12.8)."""

import textwrap
from typing import Any

import pytest

from kfx.apis.common import NameValue
from kfx.apis.experiment import ConfigMapSource, TrialParameterSpec, TrialTemplate
from kfx.katib.trial_template import RenderError, render_trial, template_from_config_map
from tests.katib_objects import experiment

META = ("Name", "Kind", "APIVersion", "Namespace")
PARAMETERS = (
    TrialParameterSpec(name="learningRate", reference="lr"),
    TrialParameterSpec(name="momentum", reference="momentum"),
    *(TrialParameterSpec(name=f"trial{key}", reference=f"${{trialSpec.{key}}}") for key in META),
)
ASSIGNED = (NameValue(name="lr", value="0.05"), NameValue(name="momentum", value="0.9"))
ARGUMENTS = ["--lr=${trialParameters.learningRate}", "--momentum=${trialParameters.momentum}"]
ENVIRONMENT = [{"name": key, "value": f"${{trialParameters.trial{key}}}"} for key in META]
CONTAINER = {"name": "t", "command": ARGUMENTS, "env": ENVIRONMENT}
SPEC: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [CONTAINER]}}},
}
SOURCE = ConfigMapSource(config_map_name="c", config_map_namespace="ns", template_path="good")
TEXT = textwrap.dedent(
    """
    apiVersion: batch/v1
    kind: Job
    spec:
      template:
        spec:
          containers:
            - name: t
              command: [python3, "--lr=${trialParameters.learningRate}"]
              args:
                - --momentum=${trialParameters.momentum}
    """
)


def render(spec: Any, assigned: tuple[NameValue, ...] = ASSIGNED, text: str | None = None) -> Any:
    template = TrialTemplate(
        trial_spec=spec, config_map=None if spec else SOURCE, trial_parameters=PARAMETERS
    )
    found = render_trial(experiment(template=template), "e-1", assigned, text)
    return found, found["spec"]["template"]["spec"]["containers"][0]


def read(path: str, document: dict[str, Any] | None) -> str:
    source = ConfigMapSource(config_map_name="c", config_map_namespace="ns", template_path=path)
    return template_from_config_map(source, document, namespace="ns", core_namespace="kubeflow")


def test_12_8_1_parameters_and_metadata_are_filled_in() -> None:
    found, container = render(SPEC)
    assert container["command"] == ["--lr=0.05", "--momentum=0.9"]
    assert [each["value"] for each in container["env"]] == ["e-1", "Job", "batch/v1", "ns"]
    assert found["metadata"] == {"name": "e-1", "namespace": "ns"}


@pytest.mark.parametrize(
    ("spec", "assigned", "start"),
    [
        pytest.param(
            SPEC | {"x": float("nan")}, ASSIGNED, "failed to convert unstructured to string", id="12.8-2"
        ),
        pytest.param(
            SPEC,
            (NameValue(name="wrong", value="1"), ASSIGNED[1]),
            "unable to find non-meta parameter from TrialParameters in ParameterAssignment",
            id="12.8-3",
        ),
        pytest.param(
            SPEC,
            (*ASSIGNED, NameValue(name="extra", value="1")),
            "unable to find parameter from ParameterAssignment in TrialParameters",
            id="12.8-4",
        ),
    ],
)
def test_what_cannot_be_rendered_says_why(spec: Any, assigned: tuple[NameValue, ...], start: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(spec, assigned)
    assert str(caught.value).startswith(start)


def test_12_8_5_a_template_may_be_kept_in_a_config_map() -> None:
    text = read("good", {"metadata": {}, "data": {"good": TEXT}})
    found, container = render(None, text=text)
    assert container["command"] == ["python3", "--lr=0.05"]
    assert found["metadata"] == {"name": "e-1", "namespace": "ns"}


def test_12_8_6_a_config_map_that_is_not_there_is_named() -> None:
    with pytest.raises(RenderError, match=r"^configMap not found: ConfigMap ns/c"):
        read("good", None)


def test_12_8_7_a_path_that_is_not_in_it_is_named() -> None:
    with pytest.raises(RenderError, match=r"^unable to find trial template in ConfigMap: TemplatePath: bad"):
        read("bad", {"metadata": {}, "data": {"good": TEXT}})


def test_12_8_8_a_text_that_is_no_yaml_is_an_error() -> None:
    bad = TEXT.rstrip() + "\n            - --architecture={'num_layers': 2, 'input_sizes': [32, 32, 3]}\n"
    with pytest.raises(RenderError, match=r"^failed to convert string to unstructured"):
        render(None, text=bad)
