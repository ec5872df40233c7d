"""The complete type of an Experiment."""

import json

from hack.fuzz.inputs import EXPERIMENT
from kfx.apis.experiment import Experiment, ExperimentStatus
from kfx.katib.experiment_document import decode_experiment
from kfx.kube.model import to_builtins
from tests.experiment_cases import change


def test_every_field_of_a_complete_experiment_survives_decoding() -> None:
    """2.3: names and types, and nothing that is written gets lost."""
    headers = {"/spec/metricsCollectorSpec/source/httpGet/httpHeaders": [{"name": "a", "value": "b"}]}
    document = change(EXPERIMENT, headers, ["/spec/earlyStopping/algorithmSettings"])
    found = json.loads(json.dumps(to_builtins(decode_experiment(document))))
    assert found["spec"] == document["spec"]
    assert found["metadata"] == document["metadata"]


def test_counts_and_lists_of_the_status_are_named_as_katib_names_them() -> None:
    """2.3, K26: one of them is singular, and the SDK reads it so."""
    states = ("Failed", "Killed", "Pending", "Running", "Succeeded", "EarlyStopped")
    wanted = {"trials", "trialMetricsUnavailable", "metricsUnavailableTrialList"}
    wanted |= {f"trials{state}" for state in states}
    wanted |= {f"{state[0].lower()}{state[1:]}TrialList" for state in states}
    names = set(ExperimentStatus.__struct_encode_fields__)
    others = {"startTime", "completionTime", "lastReconcileTime", "conditions", "currentOptimalTrial"}
    assert names == wanted | others
    assert Experiment.resource.plural == "experiments"
