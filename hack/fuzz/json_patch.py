"""The defaulter's patch: applied to what was sent, it gives the defaulted Experiment, and that is settled."""

import copy
from typing import Any

import jsonpatch

from hack.fuzz.inputs import experiments
from hack.fuzz.target import Target
from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.webhooks.experiment_defaulter import difference


def _act(document: dict[str, Any]) -> list[dict[str, Any]] | None:
    try:
        decode_experiment(document)
    except ExperimentDecodeError:
        return None
    return difference(document, default_experiment(document))


def _judge(document: dict[str, Any], operations: list[dict[str, Any]] | None) -> None:
    if operations is None:
        return
    defaulted = default_experiment(document)
    assert jsonpatch.apply_patch(copy.deepcopy(document), operations) == defaulted
    assert difference(defaulted, default_experiment(defaulted)) == []
    decode_experiment(defaulted)


TARGET = Target(name="json_patch", inputs=experiments(), act=_act, judge=_judge)
