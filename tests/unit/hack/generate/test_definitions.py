"""Wire types as schemas: shapes from the types, texts and names from their source."""

from hack.generate.definitions import describe, short_name
from kfx.apis.experiment import Experiment
from kfx.apis.katib_config import RuntimeSection
from kfx.apis.trial import Trial

DEFINITIONS = describe(Experiment, Trial)


def of(name: str, field: str) -> dict[str, object]:
    found: dict[str, object] = DEFINITIONS[f"v1beta1.{name}"]["properties"][field]
    return {key: value for key, value in found.items() if key != "description"}


def test_fields_have_their_names_in_json_and_their_types() -> None:
    assert of("TrialSpec", "retainRun") == {"type": "boolean"}
    assert of("ObjectiveSpec", "goal") == {"type": "number", "format": "double"}
    assert of("ExperimentSpec", "maxTrialCount") == {"type": "integer", "format": "int32"}
    assert of("ExperimentStatus", "startTime") == {"type": "string", "format": "date-time"}
    assert of("FeasibleSpace", "list") == {"type": "array", "items": {"type": "string"}}
    assert of("TrialSpec", "labels") == {"type": "object", "additionalProperties": {"type": "string"}}


def test_what_kfx_keeps_as_it_came_may_be_any_object() -> None:
    any_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert of("TrialSpec", "runSpec") == any_object
    assert of("TrialTemplate", "trialSpec") == any_object
    assert of("CollectorSpec", "customCollector") == any_object


def test_a_number_that_may_be_text_has_the_form_of_kubernetes() -> None:
    port = DEFINITIONS["v1.HTTPGetAction"]["properties"]["port"]
    assert (port["type"], port["format"]) == ("string", "int-or-string")
    limits = describe(RuntimeSection)["v1beta1.ResourceRequirements"]["properties"]["limits"]
    assert limits["additionalProperties"] == {"type": "string", "format": "quantity"}


def test_one_type_under_several_names_is_described_under_each_with_its_own_text() -> None:
    same = ["ParameterAssignment", "AlgorithmSetting", "MetricStrategy"]
    found = [DEFINITIONS[f"v1beta1.{name}"] for name in same]
    assert len({each["description"] for each in found}) == len(same)
    assert all(each["properties"] == found[0]["properties"] for each in found)
    assert of("ExperimentStatus", "conditions")["items"] == {
        "$ref": "#/definitions/v1beta1.ExperimentCondition"
    }
    assert of("TrialStatus", "conditions")["items"] == {"$ref": "#/definitions/v1beta1.TrialCondition"}


def test_only_what_the_type_cannot_do_without_is_required() -> None:
    assert DEFINITIONS["v1beta1.TrialCondition"]["required"] == ["type", "status"]
    assert "required" not in DEFINITIONS["v1beta1.ExperimentSpec"]


def test_a_text_is_for_users_of_the_api() -> None:
    """Of a docstring the first paragraph, with the fields' names in JSON."""
    assert DEFINITIONS["v1beta1.TrialSpec"]["description"] == "One run with fixed parameters."
    assert "`trialSpec`, `configMap`" in DEFINITIONS["v1beta1.TrialTemplate"]["description"]
    assert DEFINITIONS["v1beta1.Experiment"]["properties"]["metadata"]["description"]


def test_the_short_name_is_the_same_for_a_type_and_a_reference_to_it() -> None:
    assert short_name("v1beta1.Trial") == short_name("#/definitions/v1beta1.Trial") == "Trial"
