"""Whose certificate the webhooks present: somebody's files, or one that kfx issues for their Service."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from kfx.config import Config
from kfx.kube.client import Client
from kfx.runtime.certs import CertificateSource, FileCertificates, Identity, SelfSigned
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reconcile import Request

WEBHOOK_CONFIGURATION = "katib.kubeflow.org"

log = get_logger("certificates")


def certificate_source(
    config: Config,
    client: Client,
    *,
    metrics: RuntimeMetrics,
    user_agent: str,
    permitted: Callable[[], Awaitable[None]] | None = None,
) -> CertificateSource:
    """Complete files in ``--cert-dir`` win unless certGenerator is enabled; else kfx issues its own.

    ``permitted`` returns once the Secret and the webhook configurations may be written.
    """
    folder, generator = Path(config.cert_dir), config.cert_generator
    sizes = {name: _size(folder / name) for name in ("tls.crt", "tls.key")}
    if not generator.enabled and all(sizes.values()):
        return FileCertificates(folder, metrics=metrics)
    if not generator.enabled and any(sizes.values()):
        missing = next(name for name, size in sizes.items() if not size)
        log.warning("half a pair is not used, a certificate is issued instead", missing=str(folder / missing))
    return SelfSigned(
        client,
        secret=Request(config.core_namespace, generator.secret_name),
        identity=webhook_identity(generator.service_name, config.core_namespace),
        webhook_configurations=(WEBHOOK_CONFIGURATION,),
        user_agent=user_agent,
        permitted=permitted,
    )


def webhook_identity(service: str, namespace: str) -> Identity:
    """Who the webhooks' server is: each name that ``service`` can be called by.

    The API server calls it by the first. A stored certificate for that one is kept, so that kfx and Katib,
    whose certificate has no other name, do not replace each other's where one takes over from the other.
    """
    host = f"{service}.{namespace}"
    names = (f"{host}.svc", f"{host}.svc.cluster.local", host, service)
    return Identity(common_name="katib-ca", organization="katib", dns_names=names, required=names[:1])


def _size(path: Path) -> int:
    """In bytes; 0 for what is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
