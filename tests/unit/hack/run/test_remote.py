"""When kfx inside a cluster counts as installed."""

from typing import Any

import pytest

from hack.run.remote import unavailability


def _deployment(**status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}


AVAILABLE = [{"type": "Available", "status": "True"}]
MISSING = [{"type": "Available", "status": "False", "message": "no pod yet"}]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "its last change is not seen yet"),
        ({"observedGeneration": 1, "conditions": AVAILABLE}, "its last change is not seen yet"),
        ({"observedGeneration": 2, "conditions": AVAILABLE}, "its pod is not made yet"),
        ({"observedGeneration": 2, "updatedReplicas": 1}, "its pod is not ready"),
        ({"observedGeneration": 2, "updatedReplicas": 1, "conditions": MISSING}, "no pod yet"),
        ({"observedGeneration": 2, "updatedReplicas": 1, "conditions": AVAILABLE}, ""),
    ],
)
def test_a_deployment_serves_once_its_latest_pod_is_available(status: dict[str, Any], why: str) -> None:
    assert unavailability(_deployment(**status)) == why
