"""The webhooks' certificate issued once, by a Job at installation (Katib 0.13 to 0.15).

Needs what Katib's ClusterRole ``katib-cert-generator`` grants: get, create and delete on Secrets, get on
Services and Jobs, get and patch on webhook configurations. Nobody renews what it makes: a controller that
finds it in ``--cert-dir`` takes it as it is.
"""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, TransportError
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS, BundleInjector
from kfx.runtime.log import get_logger
from kfx.runtime.pki import Pair, issue
from kfx.webhooks.certificates import WEBHOOK_CONFIGURATION, webhook_identity

JOBS = Resource("batch", "v1", "jobs", "Job")
SERVICES = Resource("", "v1", "services", "Service")
SECRET = "katib-webhook-cert"  # noqa: S105 — a name
LIFETIME = timedelta(days=3650)
ATTEMPTS = 5

log = get_logger("cert-generator")


class CertGeneratorError(Exception):
    """The certificate is not in place; the text names the object and the remedy."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the certificate belongs: Secret ``katib-webhook-cert`` beside ``service``, owned by ``job``."""

    namespace: str
    service: str
    job: str


async def generate(client: Client, place: Place, *, now: datetime) -> Pair:
    """Issue a pair, store it, and tell the webhooks whom to trust. Raises :class:`CertGeneratorError`.

    A Secret that is there is replaced; it goes when the Job is deleted. Safe to repeat.
    """
    await _find(client, SERVICES, place.namespace, place.service, "create it, or name another: --serviceName")
    job = await _find(client, JOBS, place.namespace, place.job, "name the Job that runs this: --jobName")
    for resource in WEBHOOK_CONFIGURATIONS:
        await _find(client, resource, "", WEBHOOK_CONFIGURATION, "apply the manifests of the webhooks first")
    identity = webhook_identity(place.service, place.namespace)
    pair = issue(
        identity.dns_names,
        now=now,
        common_name=identity.common_name,
        organization=identity.organization,
        lifetime=LIFETIME,
    )
    await _replace_secret(client, place.namespace, _secret(pair, place, job))
    log.info("certificate stored", secret=f"{place.namespace}/{SECRET}", not_after=pair.not_after.isoformat())
    await _inject(client, pair.bundle)
    return pair


async def _find(client: Client, resource: Resource, namespace: str, name: str, remedy: str) -> dict[str, Any]:
    subject = f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
    try:
        return await client.get_document(resource, namespace, name)
    except NotFound:
        raise CertGeneratorError(f"{subject} is not there: {remedy}") from None
    except (ApiError, TransportError) as failed:
        raise CertGeneratorError(f"{subject} cannot be read: {failed}") from None


def _secret(pair: Pair, place: Place, job: dict[str, Any]) -> dict[str, Any]:
    owner = {"name": place.job, "uid": job["metadata"]["uid"], "controller": True}
    content = {"tls.key": pair.key_pem, "tls.crt": pair.cert_pem, "ca.crt": pair.bundle}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": SECRET,
            "namespace": place.namespace,
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", **owner}],
        },
        "data": {key: b64encode(value).decode("ascii") for key, value in content.items()},
    }


async def _replace_secret(client: Client, namespace: str, secret: dict[str, Any]) -> None:
    """Delete and create: a Secret of another type cannot be changed into this one."""
    subject = f"Secret {namespace}/{SECRET}"
    for _ in range(ATTEMPTS):
        try:
            await _delete(client, namespace)
            await client.create(SECRETS, secret)
        except AlreadyExists:
            continue
        except (ApiError, TransportError) as failed:
            raise CertGeneratorError(f"{subject} cannot be written: {failed}") from None
        return
    raise CertGeneratorError(f"{subject} is written by somebody else all the time: end that one")


async def _delete(client: Client, namespace: str) -> None:
    try:
        await client.delete(SECRETS, namespace, SECRET)
    except NotFound:
        return


async def _inject(client: Client, bundle: bytes) -> None:
    injector = BundleInjector(client, [WEBHOOK_CONFIGURATION])
    for _ in range(ATTEMPTS):
        try:
            changed = await injector.apply(bundle)
        except Conflict:
            continue
        except (ApiError, TransportError) as failed:
            raise CertGeneratorError(f"the caBundle cannot be written: {failed}") from None
        log.info("caBundle written", configurations=changed)
        return
    raise CertGeneratorError(
        f"the webhook configurations {WEBHOOK_CONFIGURATION} are written by somebody else all the time"
    )
