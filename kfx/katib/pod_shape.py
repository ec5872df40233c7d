"""The parts of a pod that injection looks at, and whether they are what Kubernetes would accept.

A pod that passed may be read as plain JSON without a thought for its types. Everything else in it is left to
the API server. Pure.
"""

from typing import Any

import msgspec

from kfx.kube.model import Model


class PodShapeError(Exception):
    """A field has a type that no pod has; the text names it by its path."""


class _FieldRef(Model):
    field_path: str | None = None


class _Source(Model):
    field_ref: _FieldRef | None = None


class _Variable(Model):
    name: str | None = None
    value_from: _Source | None = None


class _SecurityContext(Model):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None


class _Container(Model):
    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[_Variable, ...] | None = None
    volume_mounts: tuple[dict[str, Any], ...] | None = None
    security_context: _SecurityContext | None = None


class _Named(Model):
    name: str | None = None


class _Spec(Model):
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None
    volumes: tuple[dict[str, Any], ...] | None = None
    security_context: _SecurityContext | None = None
    service_account_name: str | None = None
    termination_grace_period_seconds: int | None = None
    image_pull_secrets: tuple[_Named, ...] | None = None
    node_selector: dict[str, str] | None = None


class _Owner(Model):
    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class _Metadata(Model):
    labels: dict[str, str] | None = None
    owner_references: tuple[_Owner, ...] | None = None


class _Pod(Model):
    metadata: _Metadata | None = None
    spec: _Spec | None = None


def check_pod(document: Any) -> None:
    """Raises :class:`PodShapeError` unless the value has a pod's types."""
    _check(document, _Pod)


def check_container(document: Any) -> None:
    """Raises :class:`PodShapeError` unless the value has a container's types."""
    _check(document, _Container)


def _check(document: Any, kind: type[Model]) -> None:
    try:
        msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        raise PodShapeError(str(error)) from None
