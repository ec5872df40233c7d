"""etcd, kube-apiserver, kube-controller-manager, kube-scheduler: ordinary processes of the host."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.cluster.api import Api, wait_until
from hack.cluster.certificates import Authority, certificate_user, write_kubeconfig, write_token_signer
from hack.cluster.layout import (
    API_PORT,
    CONTROLLER_MANAGER_PORT,
    ETCD_PEER_PORT,
    SCHEDULER_PORT,
    Layout,
)
from hack.cluster.process import recorded, start

AUDIT_POLICY = Path(__file__).resolve().parent / "audit-policy.yaml"
# file name, common name, group
IDENTITIES = (
    ("admin", "kfx-admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("dns", "system:coredns", ""),
)


class StartError(Exception):
    """A part of the cluster does not come up; the text names it and shows the end of its log."""


def write_identities(layout: Layout) -> None:
    """Issue all certificates, and a kubeconfig for everyone who speaks to the API server."""
    authority = Authority.create(layout.pki)
    write_token_signer(layout.pki)
    service = "kubernetes.default.svc"
    authority.issue(
        "server",
        "kube-apiserver",
        dns=("localhost", "kubernetes", "kubernetes.default", service, f"{service}.cluster.local"),
        ips=sorted({"127.0.0.1", layout.loopback, layout.host_ip, layout.api_service_ip}),
    )
    node = ("node", f"system:node:{layout.node_name}", "system:nodes")
    for file_name, common_name, group in (*IDENTITIES, node):
        authority.issue(file_name, common_name, group=group)
        target = layout.kubeconfig if file_name == "admin" else layout.pki / f"{file_name}.kubeconfig"
        write_kubeconfig(
            target,
            server=layout.api_server,
            ca_file=layout.pki / "ca.crt",
            user=certificate_user(layout.pki, file_name),
            name=layout.name,
        )


def start_storage_and_api(
    layout: Layout, binaries: Mapping[str, Path], *, audit: bool, extra: Sequence[str] = ()
) -> None:
    """Start etcd and kube-apiserver; the API server waits for etcd by itself."""
    start_etcd(layout, binaries)
    start_api_server(layout, binaries, audit=audit, extra=extra)


def start_etcd(layout: Layout, binaries: Mapping[str, Path]) -> None:
    """Start etcd on what is in its folder."""
    _start(layout, "etcd", [binaries["etcd"], *_etcd_flags(layout)])


def start_api_server(
    layout: Layout,
    binaries: Mapping[str, Path],
    *,
    audit: bool = False,
    extra: Sequence[str] = (),
    name: str = "kube-apiserver",
    etcd: str = "",
) -> None:
    """Start kube-apiserver, beside an etcd that runs or will; ``etcd`` is its URL if it is reached otherwise.

    Under another ``name`` it is one more; ``extra`` then gives it a port of its own.
    """
    flags = [
        *_api_server_flags(layout, etcd or layout.etcd),
        *(_audit_flags(layout) if audit else ()),
        *extra,
    ]
    _start(layout, name, [binaries["kube-apiserver"], *flags])


def start_controllers(layout: Layout, binaries: Mapping[str, Path]) -> None:
    """Start kube-controller-manager, and kube-scheduler where it is among the binaries."""
    _start(
        layout,
        "kube-controller-manager",
        [binaries["kube-controller-manager"], *_controller_manager_flags(layout)],
    )
    if "kube-scheduler" in binaries:
        _start(layout, "kube-scheduler", [binaries["kube-scheduler"], *_scheduler_flags(layout)])


def wait_for_api(layout: Layout, api: Api, *, timeout: float = 60) -> None:
    """Return when ``/readyz`` answers. Raises StartError with the log's end if it never does."""
    await_part(layout, "kube-apiserver", lambda: api.answers("/readyz"), timeout=timeout)


def wait_for_controllers(layout: Layout, api: Api, *, timeout: float = 60) -> None:
    """Return when the default ServiceAccount is there, without which no pod can be made."""
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    await_part(layout, "kube-controller-manager", lambda: api.answers(account), timeout=timeout)


def is_answering(layout: Layout) -> bool:
    """Whether the API server says that it is ready."""
    return layout.kubeconfig.exists() and Api.load(layout.kubeconfig).answers("/readyz")


def await_part(layout: Layout, name: str, condition: Callable[[], bool], *, timeout: float) -> None:
    """Wait for ``condition`` as long as the process ``name`` lives. Raises StartError."""
    ended = False

    def settled() -> bool:
        nonlocal ended
        if condition():
            return True
        ended = recorded(layout.records / name) is None
        return ended

    try:
        wait_until(settled, what=f"{name} ready", timeout=timeout)
    except TimeoutError as error:
        raise StartError(f"{error}\n{log_end(layout, name)}") from None
    if ended:
        raise StartError(f"{name} ended while starting\n{log_end(layout, name)}")


def log_end(layout: Layout, name: str, *, lines: int = 15) -> str:
    """The last lines of a part's log, under the log's path."""
    log = layout.logs / f"{name}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"{log} ends with:", *(f"  {line[:300]}" for line in text.splitlines()[-lines:])])


def _start(layout: Layout, name: str, command: Sequence[str | Path]) -> None:
    start(layout.records / name, command, log=layout.logs / f"{name}.log", env=_environment())


def _environment() -> dict[str, str]:
    """Without proxies: the parts speak to each other and to nobody else."""
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}


def _etcd_flags(layout: Layout) -> list[str]:
    peer = f"http://{layout.loopback}:{ETCD_PEER_PORT}"
    return [
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={layout.etcd}",
        f"--advertise-client-urls={layout.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server_flags(layout: Layout, etcd: str) -> list[str]:
    pki = layout.pki
    # a loopback address may not be an endpoint of the Service "kubernetes"
    endpoint = "lease" if layout.linked else "none"
    return [
        f"--etcd-servers={etcd}",
        f"--bind-address={layout.host_ip}",
        f"--advertise-address={layout.host_ip}",
        f"--endpoint-reconciler-type={endpoint}",
        f"--secure-port={API_PORT}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={layout.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # webhooks by Service are called at their endpoints, with no proxy of the node in between
        "--enable-aggregator-routing=true",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    ]


def _audit_flags(layout: Layout) -> list[str]:
    return [
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-mode=blocking-strict",
        "--audit-log-maxsize=4096",
    ]


def _controller_manager_flags(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.pki / 'controller-manager.kubeconfig'}",
        f"--service-account-private-key-file={layout.pki / 'sa.key'}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        "--use-service-account-credentials=true",
        # at the default of 20 requests per second its own start takes 4 s
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--leader-elect=false",
        f"--bind-address={layout.loopback}",
        f"--secure-port={CONTROLLER_MANAGER_PORT}",
    ]


def _scheduler_flags(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        f"--bind-address={layout.loopback}",
        f"--secure-port={SCHEDULER_PORT}",
    ]
