"""An Experiment is read as strictly as Go reads it."""

from typing import Any

import pytest

from kfx.katib.experiment_document import (
    ExperimentDecodeError,
    decode_experiment,
    drop_nulls,
    is_being_deleted,
)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"maxTrialCount": "3"},
            "spec.maxTrialCount: expected int, found str; write the value without quotes",
        ),
        (
            {"maxTrialCount": True},
            "spec.maxTrialCount: expected int, found bool; correct the type of the field",
        ),
        (
            {"maxTrialCount": 1.5},
            "spec.maxTrialCount: expected int, found float; correct the type of the field",
        ),
        ({"maxTrialCount": 2**31}, "spec.maxTrialCount: expected `int` <= 2147483647; correct the field"),
        (
            {"parameters": [{}, {"feasibleSpace": {"min": 0.1}}]},
            "spec.parameters[1].feasibleSpace.min: expected str, found float; put the value in quotes",
        ),
        (
            {"nasConfig": {"graphConfig": {"inputSizes": [None]}}},
            "spec.nasConfig.graphConfig.inputSizes[0]: expected int, found null; "
            "correct the type of the field",
        ),
        ({"objective": "x"}, "spec.objective: expected object, found str; correct the type of the field"),
        (
            {"trialTemplate": {"trialSpec": {"kind": ""}}},
            "spec.trialTemplate.trialSpec: Object 'Kind' is missing; set kind, for example Job",
        ),
    ],
)
def test_a_wrong_type_is_named_with_its_remedy(spec: dict[str, Any], text: str) -> None:
    """2.2, 10.1.4: Go's types, int32, no bool for a number."""
    with pytest.raises(ExperimentDecodeError) as caught:
        decode_experiment({"metadata": {"name": "e"}, "spec": spec})
    assert str(caught.value) == text


def test_null_is_absence_but_not_inside_the_template() -> None:
    """2.2, 10.1.4: null is absence."""
    template = {"trialSpec": {"kind": "Job", "metadata": None}, "retain": None}
    found = decode_experiment({"spec": {"maxTrialCount": None, "trialTemplate": template}, "status": None})
    assert found.spec.max_trial_count is None
    assert found.spec.trial_template is not None
    assert found.spec.trial_template.trial_spec == {"kind": "Job", "metadata": None}


def test_unknown_fields_are_no_matter() -> None:
    """2.2, 10.1.4: and case counts."""
    assert decode_experiment({"metadata": {"name": "e"}, "foo": 1, "spec": {"bar": []}}).metadata.name == "e"


def test_nulls_go_at_every_level() -> None:
    assert drop_nulls({"a": None, "b": [{"c": None, "d": 1}]}) == {"b": [{"d": 1}]}


def test_an_object_that_is_going_is_told_by_its_metadata() -> None:
    assert is_being_deleted({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert not is_being_deleted({"metadata": {"deletionTimestamp": None}})
    assert not is_being_deleted({"metadata": "x"})
