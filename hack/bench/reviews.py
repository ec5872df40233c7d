"""What is put before the webhooks, and what kfx's have in their caches then."""

import json
from typing import Any

import yaml

from hack.bench import memory
from hack.bench.contender import ROOT
from kfx.katib.defaults import default_experiment

BODY_SIZE, NAMESPACE = 4800, "team"
TRIAL, TRIAL_UID, JOB_UID = (
    "trial-1",
    "b7ad1c52-0c5e-4b1c-9c0a-6f1c5a1f8a10",
    "11f1fd8f-4d29-4d6c-8c51-3a2f2d7b6f37",
)
KATIB = "kubeflow.org/v1beta1"


def pod_review() -> bytes:
    """A Pod's, as the API server sends one, filled up to size with an annotation."""
    found = pod()
    found["metadata"]["annotations"]["filling"] = "x" * (BODY_SIZE - len(review("", "v1", "Pod", found)))
    return review("", "v1", "Pod", found)


def experiment_review(*, defaulted: bool) -> bytes:
    """That of the sample Experiment for random search."""
    text = (ROOT / "config" / "samples" / "random.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    found["metadata"] = {"name": "random", "namespace": NAMESPACE}
    return review("kubeflow.org", "v1beta1", "Experiment", default_experiment(found) if defaulted else found)


def review(group: str, version: str, kind: str, document: dict[str, Any]) -> bytes:
    """The creation of an object."""
    user = {
        "username": "system:serviceaccount:kube-system:job-controller",
        "groups": ["system:authenticated"],
    }
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": f"{kind.lower()}s"},
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": user,
        "object": document,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(whole).encode()


def pod() -> dict[str, Any]:
    """A Job's Pod."""
    variables = [{"name": f"HYPERPARAMETER_{n}", "value": f"{n / 7:.5f}"} for n in range(24)]
    container = {
        "name": "training-container",
        "image": "example.org/team/trainer:v1",
        "command": ["python3", "/opt/train.py", "--batch-size=64", "--lr=0.0125", "--momentum=0.61"],
        "env": variables,
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
        "volumeMounts": [{"name": "token", "readOnly": True, "mountPath": "/var/run/secrets/service"}],
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "IfNotPresent",
    }
    owner = {
        "apiVersion": "batch/v1", "kind": "Job", "name": "trial-1", "controller": True,
        "uid": "11f1fd8f-4d29-4d6c-8c51-3a2f2d7b6f37", "blockOwnerDeletion": True,
    }  # fmt: skip
    metadata = {
        "generateName": "trial-1-", "namespace": "team", "ownerReferences": [owner],
        "labels": {"batch.kubernetes.io/job-name": "trial-1"}, "annotations": {"filling": ""},
    }  # fmt: skip
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "volumes": [
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
        ],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
    }
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}


def job() -> dict[str, Any]:
    """The Pod's owner."""
    found = memory.job(TRIAL, {})
    owner = {"apiVersion": KATIB, "kind": "Trial", "name": TRIAL, "uid": TRIAL_UID, "controller": True}
    found["metadata"] |= {"namespace": NAMESPACE, "uid": JOB_UID, "ownerReferences": [owner]}
    return found


def trial() -> dict[str, Any]:
    """The Job's owner, at work."""
    found = memory.trial(0)
    del found["status"]
    found["metadata"] |= {"name": TRIAL, "namespace": NAMESPACE, "uid": TRIAL_UID}
    found["spec"]["primaryPodLabels"] = {"batch.kubernetes.io/job-name": TRIAL}
    return found


def suggestion() -> dict[str, Any]:
    """That of the Trial's Experiment."""
    name = trial()["metadata"]["labels"]["katib.kubeflow.org/experiment"]
    spec = {"algorithm": {"algorithmName": "random"}, "requests": 3}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": KATIB, "kind": "Suggestion", "metadata": metadata, "spec": spec}
