"""The Trials that the memory benchmark makes."""

import json

import pytest

from hack.bench.memory import SERVER_ADDS, SIZE, trial
from kfx.apis.trial import Trial
from kfx.katib.trial import is_completed
from kfx.kube.decode import decoder_for


@pytest.mark.parametrize("number", [0, 7, 99_999])
def test_every_trial_is_ended_and_of_the_size_that_the_note_names(number: int) -> None:
    text = json.dumps(trial(number), separators=(",", ":"))
    assert abs(len(text) + SERVER_ADDS - SIZE) <= 10
    assert is_completed(decoder_for(Trial)(text.encode()))
