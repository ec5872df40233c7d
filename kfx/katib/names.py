"""Labels, finalizers and derived names. Other parts of Katib, its SDK and its UI rely on every one."""

import hashlib
from collections.abc import Container, Mapping
from typing import Any

from kfx.kube.model import KubeObject, OwnerReference

LABEL_EXPERIMENT = "katib.kubeflow.org/experiment"
LABEL_SUGGESTION = "katib.kubeflow.org/suggestion"
LABEL_TRIAL = "katib.kubeflow.org/trial"
LABEL_DEPLOYMENT = "katib.kubeflow.org/deployment"
LABEL_COMPONENT = "katib.kubeflow.org/component"
LABEL_INJECTION = "katib.kubeflow.org/metrics-collector-injection"
"""On a namespace, with the value ``enabled``: its trials' pods are given collectors."""

SERVICE = "katib-controller"
"""Also the name of the controller's Deployment."""
WEBHOOK_CONFIGURATION = "katib.kubeflow.org"
CERTIFICATE_SECRET = "katib-webhook-cert"  # noqa: S105 — a name

EXPERIMENT_FINALIZER = "update-prometheus-metrics"
TRIAL_FINALIZER = "clean-metrics-in-db"

SUFFIX_LENGTH = 8
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and no look-alikes (Kubernetes ``rand.String``)."""


def suffix(randomness: bytes) -> str:
    """Eight characters of the alphabet, a function of ``randomness`` (8 bytes or more) alone."""
    number = int.from_bytes(randomness, "big")
    found = []
    for _ in range(SUFFIX_LENGTH):
        number, index = divmod(number, len(SUFFIX_ALPHABET))
        found.append(SUFFIX_ALPHABET[index])
    return "".join(found)


def trial_name(experiment: str, *, seed: str, index: int, taken: Container[str]) -> str:
    """``<experiment>-<suffix>``: the same for the same ``seed`` and ``index``, but never one of ``taken``.

    An ask that is repeated, because its answer was not stored, so names its trials as before.
    """
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{seed}/{index}/{attempt}".encode()).digest()
        name = f"{experiment}-{suffix(digest)}"
        if name not in taken:
            return name
        attempt += 1


def controller_reference(owner: KubeObject) -> dict[str, Any]:
    """The entry of ``ownerReferences`` that makes ``owner`` the controller."""
    return {
        "apiVersion": owner.resource.api_version,
        "kind": owner.resource.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(controller: OwnerReference | None, owner: KubeObject) -> bool:
    """Whether ``controller`` is exactly this ``owner``, not a namesake that lived before it."""
    return controller is not None and controller.uid == owner.metadata.uid


def merge_labels(*labels: Mapping[str, str] | None) -> dict[str, str]:
    """All labels together; later ones win."""
    found: dict[str, str] = {}
    for some in labels:
        found.update(some or {})
    return found
