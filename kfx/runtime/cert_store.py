"""The certificate's two places in the cluster: a Secret that replicas share, and the webhooks' caBundle."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, Conflict, Forbidden, NotFound
from kfx.kube.resource import Resource
from kfx.runtime.pki import CertificateError, Pair, names_of, read_authorities, read_pair
from kfx.runtime.tls import load_pair

SECRETS = Resource("", "v1", "secrets", "Secret")
WEBHOOK_CONFIGURATIONS = tuple(
    Resource("admissionregistration.k8s.io", "v1", kind.lower() + "s", kind, namespaced=False)
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
)
_VERBS = 'verbs: ["get", "patch"]'
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


class Unwritable(Exception):
    """RBAC forbids the Secret: the pair lives in memory only. The text names the right that is missing."""


class Outrun(Exception):
    """Another replica wrote the Secret first: read it again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A Secret as read. ``resource_version`` is ``""`` if there is none, ``pair`` None without a good one.

    ``authorities``: those in it that are still in time, even if the pair is of no use here.
    """

    resource_version: str = ""
    pair: Pair | None = None
    authorities: tuple[bytes, ...] = ()
    problem: str = "there is none"


class SecretStore:
    """One pair in one Secret. Raises ApiError and TransportError where nothing else is said."""

    def __init__(self, client: Client, *, namespace: str, name: str, names: Sequence[str]) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._names = names

    async def read(self, *, now: datetime) -> Stored:
        """The Secret as it stands; where it may not be read, as if it were not there. Raises Unwritable."""
        try:
            secret = await self._client.get_document(SECRETS, self._namespace, self._name)
        except NotFound:
            return Stored()
        except Forbidden:
            raise self._forbidden("get") from None
        version = secret["metadata"]["resourceVersion"]
        try:
            pair = pair_of(secret, self._names, now=now)
        except CertificateError as failed:
            return Stored(version, None, authorities_of(secret, now=now), str(failed))
        return Stored(version, pair, pair.authorities, "")

    async def write(self, pair: Pair, over: Stored) -> None:
        """Store ``pair`` in place of what was read. Raises Outrun or Unwritable."""
        data = {
            "ca.crt": _text(pair.bundle),
            "tls.crt": _text(pair.cert_pem),
            "tls.key": _text(pair.key_pem),
        }
        try:
            if over.resource_version:
                # the authority's key of another controller would outlive its purpose
                changes = {
                    "metadata": {"resourceVersion": over.resource_version},
                    "data": {**data, "ca.key": None},
                }
                await self._client.patch(SECRETS, self._namespace, self._name, changes)
            else:
                metadata = {"name": self._name, "namespace": self._namespace}
                manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
                await self._client.create(SECRETS, {**manifest, "type": "Opaque"}, namespace=self._namespace)
        except (Conflict, AlreadyExists, NotFound):
            raise Outrun from None
        except Forbidden:
            raise self._forbidden("patch" if over.resource_version else "create") from None

    def _forbidden(self, verb: str) -> Unwritable:
        """With the whole rule: a Secret of another name than the role's is the usual cause."""
        # a name cannot limit create: it is not known before the write
        rest = 'verbs: ["create"]' if verb == "create" else f'resourceNames: ["{self._name}"], {_VERBS}'
        return Unwritable(
            f"the role grants no {verb} on Secret {self._namespace}/{self._name}; in namespace "
            f'{self._namespace} grant the rule {{apiGroups: [""], resources: ["secrets"], {rest}}}'
        )


def pair_of(secret: Mapping[str, Any], names: Sequence[str], *, now: datetime) -> Pair:
    """The pair in a Secret; raises CertificateError unless it is whole, in time and speaks for ``names``."""
    ca, cert, key = (_content(secret, each) for each in ("ca.crt", "tls.crt", "tls.key"))
    if not (ca and cert and key):
        raise CertificateError("ca.crt, tls.crt or tls.key is empty")
    pair = read_pair(cert, key, ca, now=now)
    missing = set(names) - names_of(pair)
    if missing:
        raise CertificateError(f"the certificate does not speak for {', '.join(sorted(missing))}")
    load_pair(pair)
    return pair


def authorities_of(secret: Mapping[str, Any], *, now: datetime) -> tuple[bytes, ...]:
    """The authorities in a Secret that are in time; none where they cannot be read."""
    try:
        return read_authorities(_content(secret, "ca.crt"), now=now)
    except CertificateError:
        return ()


def _content(secret: Mapping[str, Any], key: str) -> bytes:
    try:
        return b64decode((secret.get("data") or {}).get(key) or "")
    except (NotBase64, TypeError):
        raise CertificateError(f"{key} is not base64") from None


class BundleInjector:
    """Keeps one caBundle in every webhook of the configurations named, as far as they exist."""

    def __init__(self, client: Client, names: Sequence[str]) -> None:
        self._client = client
        self._names = names

    async def apply(self, bundle: bytes) -> list[str]:
        """The configurations that had to be changed. Raises ApiError or TransportError."""
        return [
            f"{resource.kind} {name}"
            for resource in WEBHOOK_CONFIGURATIONS
            for name in self._names
            if await self._apply_to(resource, name, bundle)
        ]

    async def _apply_to(self, resource: Resource, name: str, bundle: bytes) -> bool:
        try:
            configuration = await self._client.get_document(resource, "", name)
            changes = bundle_patch(configuration, bundle)
            if changes is None:
                return False
            await self._client.patch(resource, "", name, changes, content_type=STRATEGIC_MERGE_PATCH)
        except NotFound:
            return False
        return True


def bundle_patch(configuration: Mapping[str, Any], bundle: bytes) -> dict[str, Any] | None:
    """The strategic merge patch that gives every webhook ``bundle``; None if all have it.

    It carries the resourceVersion: a webhook removed meanwhile must not come back as a fragment.
    """
    text = _text(bundle)
    wrong = [
        {"name": each["name"], "clientConfig": {"caBundle": text}}
        for each in configuration.get("webhooks") or ()
        if (each.get("clientConfig") or {}).get("caBundle") != text
    ]
    if not wrong:
        return None
    return {
        "metadata": {"resourceVersion": configuration["metadata"]["resourceVersion"]},
        "webhooks": wrong,
    }


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")
