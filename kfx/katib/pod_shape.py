"""The parts of a pod that injection looks at, read as what Kubernetes would accept.

Everything else in a pod is skipped unread and left to the API server. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from kfx.kube.model import Model

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_NOTHING = msgspec.Raw(b"")


class PodShapeError(Exception):
    """A field has a type that no pod has; the text names it by its path."""


class FieldRef(Model):
    """A field of the pod itself."""

    field_path: str | None = None


class Source(Model):
    """Where a variable's value comes from."""

    field_ref: FieldRef | None = None


class Variable(Model):
    """One of a container's environment."""

    name: str | None = None
    value_from: Source | None = None


class SecurityContext(Model):
    """Of a pod or a container; its three fields that both have."""

    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None


class Something(Model):
    """An object of which only the presence matters."""


class Container(Model):
    """``security_context`` is as it stands in the pod, for :func:`read_security_context` or a copy."""

    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[Variable, ...] | None = None
    volume_mounts: tuple[Something, ...] | None = None
    security_context: msgspec.Raw = _NOTHING


class Named(Model):
    """A reference to something of the same namespace."""

    name: str | None = None


class PodSpec(Model):
    """``security_context`` as in :class:`Container`."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Something, ...] | None = None
    volumes: tuple[Something, ...] | None = None
    security_context: msgspec.Raw = _NOTHING
    service_account_name: str | None = None
    termination_grace_period_seconds: Int64 | None = None
    image_pull_secrets: tuple[Named, ...] | None = None
    node_selector: dict[str, str] | None = None


class Owner(Model):
    """An owner reference; in a pod that the API server has not checked yet anything may be missing."""

    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class PodMetadata(Model):
    """As much of a pod's as says whose it is."""

    labels: dict[str, str] | None = None
    owner_references: tuple[Owner, ...] | None = None


class Pod(Model):
    """Made by ``POD``."""

    metadata: PodMetadata | None = None
    spec: PodSpec | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Empty where there are none."""
        return (self.metadata and self.metadata.labels) or {}

    @property
    def owners(self) -> Sequence[Owner]:
        """Empty where there are none."""
        return (self.metadata and self.metadata.owner_references) or ()


POD = msgspec.json.Decoder(Pod)
_CONTAINER = msgspec.json.Decoder(Container)
_CONTEXT = msgspec.json.Decoder(SecurityContext)
_OWNERS = tuple[Owner, ...] | None


def _is_stated(text: msgspec.Raw) -> bool:
    """Whether the field is there and not ``null``."""
    return memoryview(text).nbytes > 0 and bytes(text) != b"null"


def read_security_context(text: msgspec.Raw) -> SecurityContext | None:
    """``None`` where there is none. Raises :class:`PodShapeError`."""
    if not _is_stated(text):
        return None
    try:
        return _CONTEXT.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PodShapeError(f"securityContext: {error}") from None


def read_owners(metadata: Mapping[str, Any]) -> Sequence[Owner]:
    """The owner references of an object that the API server gave. Raises :class:`PodShapeError`."""
    try:
        return msgspec.convert(metadata.get("ownerReferences"), _OWNERS) or ()
    except msgspec.ValidationError as error:
        raise PodShapeError(f"metadata.ownerReferences: {error}") from None


def check_container(document: Any) -> None:
    """Raises :class:`PodShapeError` unless the value has a container's types."""
    try:
        read_security_context(_CONTAINER.decode(msgspec.json.encode(document)).security_context)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PodShapeError(str(error)) from None
