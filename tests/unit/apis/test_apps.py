import msgspec
import pytest

from kfx.apis.apps import Deployment, Service


@pytest.mark.parametrize(
    ("spec", "address"), [({"clusterIP": "10.0.0.1"}, "10.0.0.1"), ({}, ""), ({"clusterIP": "None"}, "None")]
)
def test_a_service_says_where_it_is_reached(spec: dict[str, str], address: str) -> None:
    document = {"metadata": {"name": "s"}, "spec": {**spec, "ports": [{"port": 6789}]}}
    assert msgspec.convert(document, Service).spec.cluster_ip == address


def test_a_deployment_says_whether_it_is_available() -> None:
    condition = {"type": "Available", "status": "True", "lastUpdateTime": "2026-01-02T03:04:05Z"}
    document = {"metadata": {"name": "d"}, "spec": {"replicas": 1}, "status": {"conditions": [condition]}}
    (found,) = msgspec.convert(document, Deployment).status.conditions
    assert (found.type, found.status) == ("Available", "True")
