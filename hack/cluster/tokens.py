"""Kubeconfigs of service accounts, with a token requested from the API server."""

from pathlib import Path

from hack.cluster.api import Api, ApiRefusal
from hack.cluster.certificates import write_kubeconfig
from hack.cluster.layout import Layout

SHORTEST_SECONDS = 600


def write_token_kubeconfig(
    layout: Layout, *, namespace: str, service_account: str, file: Path, seconds: int = 86_400
) -> None:
    """Write a kubeconfig that speaks as the service account for ``seconds`` (at least 600).

    Raises ApiRefusal, naming the service account where it does not exist.
    """
    if seconds < SHORTEST_SECONDS:
        raise ValueError(f"--duration: a token lives at least {SHORTEST_SECONDS} s, not {seconds} s")
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
    try:
        answer = Api.load(layout.kubeconfig).request("POST", path, {"spec": {"expirationSeconds": seconds}})
    except ApiRefusal as error:
        if error.status != 404:
            raise
        raise ApiRefusal(
            404, f"ServiceAccount {namespace}/{service_account} does not exist: create it first (config/rbac)"
        ) from None
    write_kubeconfig(
        file,
        server=layout.api_server,
        ca_file=layout.pki / "ca.crt",
        user={"token": answer["status"]["token"]},
        name=layout.name,
        namespace=namespace,
    )
