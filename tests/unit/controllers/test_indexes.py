from kfx.apis.core import Pod
from kfx.controllers.indexes import BY_NAME, BY_TRIAL, TRIAL_PODS, trial_of_pod
from kfx.kube.model import ObjectMeta
from kfx.runtime.reconcile import Request
from tests.katib_objects import trial
from tests.unit.controllers.parts import pods_of, trials_of

POD = Pod(metadata=ObjectMeta(name="p", namespace="ns", labels={"katib.kubeflow.org/trial": "e-1"}))
PLAIN = Pod(metadata=ObjectMeta(name="q", namespace="ns"))


def test_trials_are_found_by_name_in_any_namespace() -> None:
    trials = trials_of(trial(name="a"), trial(name="b"))
    assert [t.metadata.name for t in trials.by_index(BY_NAME, "b")] == ["b"]


def test_pods_are_found_by_their_trial() -> None:
    assert pods_of(POD, PLAIN).by_index(BY_TRIAL, "ns/e-1") == [POD]


def test_a_pod_wakes_its_trial_and_no_other() -> None:
    assert tuple(trial_of_pod(POD)) == (Request("ns", "e-1"),)
    assert tuple(trial_of_pod(PLAIN)) == ()


def test_only_labelled_pods_are_followed() -> None:
    assert TRIAL_PODS == "katib.kubeflow.org/trial"
