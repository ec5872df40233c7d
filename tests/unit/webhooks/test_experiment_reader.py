"""Large Experiments as people have them: none may be refused for its size."""

import base64
import json
from typing import Any

import jsonpatch
import pytest

from hack.fuzz.inputs import EXPERIMENT
from hack.fuzz.review import answer, check_answer, frame, handlers, run
from kfx.katib.long_lists import LIMIT
from kfx.runtime.admission import InvalidRequest
from kfx.webhooks.experiment_reader import read_experiment, read_stored_experiment
from tests.experiment_cases import change
from tests.unit.webhooks.documents import request

UNUSED = ("/spec/nasConfig", "/spec/trialTemplate/configMap", "/spec/earlyStopping", "/status")
PLAIN = change(EXPERIMENT, {}, UNUSED)
DEFAULTER, VALIDATOR = handlers()
CATEGORIES = {"parameterType": "categorical", "feasibleSpace": {"list": [f"value-{i}" for i in range(5_000)]}}
DOUBLE = {"parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "0.05", "step": "0.01"}}
TRIALS = {
    "trials": 20_000,
    "trialsSucceeded": 20_000,
    "succeededTrialList": [f"{'experiment' * 3}-{i:08x}" for i in range(20_000)],
    "conditions": [{"type": "Running", "status": "True", "reason": "r", "message": "m" * 500}],
    "currentOptimalTrial": {"observation": {"metrics": [{"name": "loss", "latest": "0.1"}]}},
}


def searched(*parameters: dict[str, Any]) -> dict[str, Any]:
    """An Experiment over these parameters, each used in the trial's command."""
    names = [f"p{index}" for index in range(len(parameters))]
    arguments = [f"--{name}=${{trialParameters.{name}}}" for name in names]
    container = "/spec/trialTemplate/trialSpec/spec/template/spec/containers/0/command"
    values = {
        "/spec/parameters": [{"name": name, **each} for name, each in zip(names, parameters, strict=True)],
        "/spec/trialTemplate/trialParameters": [{"name": name, "reference": name} for name in names],
        container: ["python3", "train.py", *arguments],
    }
    return change(PLAIN, values)  # type: ignore[no-any-return]


def judge(which: Any, new: dict[str, Any], old: dict[str, Any] | None = None) -> Any:
    before = json.dumps(old).encode() if old is not None else b""
    return check_answer(run(answer(frame(json.dumps(new).encode(), before), which)))


def defaulted(new: dict[str, Any]) -> dict[str, Any]:
    """As it is stored."""
    response = judge(DEFAULTER, new)
    assert response["allowed"], response
    found: dict[str, Any] = jsonpatch.apply_patch(new, json.loads(base64.b64decode(response["patch"])))
    return found


LARGE = {
    "a list of 5,000 values": searched(CATEGORIES),
    "200 parameters": searched(*[DOUBLE] * 200),
    "200 parameters, one with 5,000 values": searched(CATEGORIES, *[DOUBLE] * 199),
    "500 environment variables": change(
        PLAIN,
        {
            "/spec/trialTemplate/trialSpec/spec/template/spec/containers/0/env": [
                {"name": f"A{i}", "value": "x" * 1_000} for i in range(500)
            ]
        },
    ),
    "250 KiB of annotations": change(PLAIN, {"/metadata/annotations": {"notes": "é" * 128_000}}),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_experiment_is_created_and_changed(name: str) -> None:
    new = defaulted(LARGE[name])
    created = judge(VALIDATOR, new)
    assert created["allowed"], created
    stored = change(new, {"/status": TRIALS, "/metadata/managedFields": [{"fieldsV1": {"f:spec": {}}}]})
    changed = change(stored, {"/spec/maxTrialCount": 30_000})
    for which in (DEFAULTER, VALIDATOR):
        response = judge(which, changed, stored)
        assert response["allowed"], response
        assert "patch" not in response


def test_status_with_the_longest_lists_that_kfx_keeps_does_not_count() -> None:
    names = [f"a-{number:08x}" for number in range(LIMIT // 13)]
    full = {"trials": len(names), "succeededTrialList": names, "failedTrialList": names}
    stored = change(defaulted(PLAIN), {"/status": full})
    changed = change(stored, {"/spec/maxTrialCount": 200_000})
    assert judge(VALIDATOR, changed, stored)["allowed"]
    assert not judge(VALIDATOR, change(stored, {"/spec/maxTrialCount": 20_000}), stored)["allowed"]


def test_how_far_the_stored_experiment_had_come_is_read_and_the_names_of_its_trials_are_not() -> None:
    old = {"metadata": {"name": "a"}, "spec": {"x": 1}, "status": TRIALS}
    found = read_stored_experiment(request({}, old))
    assert found == {"spec": {"x": 1}, "status": {"trials": 20_000, "conditions": TRIALS["conditions"]}}
    assert read_stored_experiment(request({})) is None


def test_of_the_new_experiment_metadata_and_spec_are_read() -> None:
    new = {"kind": "Experiment", "metadata": {"name": "a"}, "spec": {"x": 1}, "status": TRIALS}
    assert read_experiment(request(new)) == {"metadata": {"name": "a"}, "spec": {"x": 1}}


def test_an_experiment_that_is_too_large_is_refused_unless_it_is_being_deleted() -> None:
    spec = {"x": [0] * 30_000}
    with pytest.raises(
        InvalidRequest, match=r"request\.object \(metadata, spec\) has more than 15000 values"
    ):
        read_experiment(request({"metadata": {}, "spec": spec}))
    with pytest.raises(InvalidRequest, match="more than 15000 values"):
        read_experiment(request({"spec": spec}))
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}
    assert read_experiment(request(going)) is None
