"""What the controllers say of an Experiment is what the webhook would have said."""

from typing import Any

import msgspec
import pytest

from kfx.apis.experiment import Experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.unreadable import explain_unreadable, plan_unreadable_experiment
from kfx.kube.decode import Undecodable, decoder_for
from kfx.kube.model import Unreadable
from tests.katib_objects import NOW, said


def stand_in(spec: Any, **more: Any) -> Unreadable:
    document = {"metadata": {"name": "e", "namespace": "ns", "uid": "u"}, "spec": spec, **more}
    with pytest.raises(Undecodable) as caught:
        decoder_for(Experiment)(msgspec.json.encode(document))
    return caught.value.stand_in


@pytest.mark.parametrize(
    "spec",
    [
        {"maxTrialCount": "12"},
        {"maxTrialCount": 1.5},
        {"objective": {"goal": "0.9"}},
        {"parameters": {"name": "x"}},
        {"parameters": [{"name": 1}]},
        {"algorithm": {"algorithmSettings": [{"name": "a", "value": 3}]}},
        {"trialTemplate": {"trialSpec": "text"}},
        {"trialTemplate": {"retain": "yes"}},
        {"parallelTrialCount": 2**40},
    ],
)
def test_the_text_is_the_webhooks(spec: dict[str, Any]) -> None:
    with pytest.raises(ExperimentDecodeError) as refused:
        decode_experiment({"spec": spec})
    status = plan_unreadable_experiment(stand_in(spec), NOW).status
    assert status is not None
    assert said(status.conditions) == ["Created", "Failed"]
    assert status.conditions[-1].message == str(refused.value)


def test_a_status_that_is_wrong_does_not_undo_the_end() -> None:
    ended = {"trials": "many", "conditions": [{"type": "Succeeded", "status": "True"}]}
    found = plan_unreadable_experiment(stand_in({}, status=ended), NOW)
    assert (found.status, found.notes) == (None, ())


def test_the_remedy_is_to_correct_or_to_delete_it() -> None:
    assert explain_unreadable(stand_in([])) == (
        "Experiment ns/e cannot be read: spec: expected object, found array; "
        "correct the type of the field, or delete the object"
    )
