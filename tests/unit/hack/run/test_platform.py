"""Manifests are filled in for the machine they meet."""

from typing import Any

from hack.run.platform import lead_to_host, replace_image


def _slice(**ports: int) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()],
    }


def test_endpoint_slices_lead_to_the_host_at_the_ports_that_it_uses() -> None:
    service = {"kind": "Service", "spec": {"ports": [{"name": "webhook", "port": 443}]}}
    found = lead_to_host(
        [service, _slice(webhook=8443, healthz=18080)], address="10.77.1.1", ports={"webhook": 9443}
    )
    assert found[0] is service
    assert found[1]["endpoints"] == [{"addresses": ["10.77.1.1"], "conditions": {"ready": True}}]
    assert [port["port"] for port in found[1]["ports"]] == [9443, 18080]


def test_an_image_is_replaced_wherever_it_stands_alone() -> None:
    document = {"image": "old", "env": [{"value": "old"}], "args": ["--image=old"]}
    assert replace_image([document], "old", "new") == [
        {"image": "new", "env": [{"value": "new"}], "args": ["--image=old"]}
    ]
    assert document["image"] == "old"
