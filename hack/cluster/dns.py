"""What CoreDNS needs in the API: the right to read names, and a Service of its own."""

from typing import Any

from hack.cluster.api import Api
from hack.cluster.layout import Layout

_PORTS = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
_SYSTEM = "/namespaces/kube-system"


def publish(layout: Layout, api: Api) -> None:
    """Create role, binding, Service and EndpointSlice; those that exist stay as they are."""
    for path, manifest in manifests(layout):
        api.create(path, manifest)


def manifests(layout: Layout) -> list[tuple[str, dict[str, Any]]]:
    """The collection's path and the object, in order of creation."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    role = {
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }
    binding = {
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
    }
    service = {
        "metadata": {"name": "kube-dns"},
        "spec": {"clusterIP": layout.dns_service_ip, "ports": _PORTS},
    }
    endpoints = {
        "metadata": {"name": "kube-dns-node", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": _PORTS,
        "endpoints": [{"addresses": [layout.node_ip]}],
    }
    return [
        (f"{rbac}/clusterroles", role),
        (f"{rbac}/clusterrolebindings", binding),
        (f"/api/v1{_SYSTEM}/services", service),
        (f"/apis/discovery.k8s.io/v1{_SYSTEM}/endpointslices", endpoints),
    ]
