"""R 3.4 D5: replies of an algorithm are not trusted."""

import msgspec
import pytest

from kfx.apis.common import NameValue, ParameterSpec
from kfx.apis.suggestion import TrialAssignment
from kfx.katib.reply_check import find_problem
from tests.katib_objects import experiment

PLAIN = experiment("Created")
PARAMETERS = (
    ParameterSpec(name="lr", parameter_type="double"),
    ParameterSpec(name="layers", parameter_type="int"),
    ParameterSpec(name="mode", parameter_type="categorical"),
)
OF = msgspec.structs.replace(PLAIN, spec=msgspec.structs.replace(PLAIN.spec, parameters=PARAMETERS))


def named(*names: str) -> list[TrialAssignment]:
    return [TrialAssignment(name=name) for name in names]


@pytest.mark.parametrize("name", ["Upper", "a_b", "-a", "a-", "a/b", "../a", "a b", "é", "a" * 64, "a\n"])
def test_a_name_that_no_object_can_have_is_refused(name: str) -> None:
    problem = find_problem(OF, named("e-1", name), ())
    assert "can name no trial (RFC 1123, at most 63 characters)" in problem
    assert len(problem) < 200


def test_a_name_is_given_once_and_to_no_trial_there_is() -> None:
    assert find_problem(OF, named("e-3", "e-3"), ("e-1",)) == "the trial name 'e-3' is taken already"
    assert find_problem(OF, named("e-3", "e-1"), ("e-1",)) == "the trial name 'e-1' is taken already"


def test_names_may_be_left_to_kfx_or_be_good_ones() -> None:
    assert find_problem(OF, named("", "", "e-3", "e.4", "a" * 63), ("e-1", "")) == ""


@pytest.mark.parametrize("value", ["NaN", "inf", "-Infinity", "", "x", "1e999"])
@pytest.mark.parametrize("parameter", ["lr", "layers"])
def test_a_number_must_be_one(parameter: str, value: str) -> None:
    given = TrialAssignment(parameter_assignments=(NameValue(name=parameter, value=value),))
    assert f"which parameter '{parameter}' needs" in find_problem(OF, [given], ())


def test_other_values_are_texts() -> None:
    values = {"lr": "1e-3", "layers": "3", "mode": "NaN", "architecture": "[[1], [2, 0]]"}
    given = tuple(NameValue(name=name, value=value) for name, value in values.items())
    assert find_problem(OF, [TrialAssignment(parameter_assignments=given)], ()) == ""
