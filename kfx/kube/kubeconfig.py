"""Kubeconfig files: merged, one context chosen, its fields checked.

Follows client-go's ``clientcmd``: of several files the first to name a thing wins, relative paths are
relative to the file that holds them.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kfx.kube.tls import CredentialsError, Material, Tls

_REFUSED_CLUSTER_FIELDS = {
    "proxy-url": "proxies are not supported; remove it and make the API server reachable directly",
}
_REFUSED_USER_FIELDS = {
    "username": "basic authentication no longer exists in Kubernetes; use a token or a client certificate",
    "password": "basic authentication no longer exists in Kubernetes; use a token or a client certificate",
    "as": "impersonation is not supported; use a user with the rights of its own",
    "as-uid": "impersonation is not supported; use a user with the rights of its own",
    "as-groups": "impersonation is not supported; use a user with the rights of its own",
    "as-user-extra": "impersonation is not supported; use a user with the rights of its own",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One named cluster, user or context, and the file it stands in."""

    file: Path
    name: str
    fields: Mapping[str, Any] = field(repr=False)

    def origin(self, key: str) -> str:
        """How error texts call one field."""
        return f"{self.file}: {self.name!r}: {key}"

    def text(self, key: str) -> str:
        """A field that must be text; ``""`` when absent."""
        value = self.fields.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise CredentialsError(f"{self.origin(key)}: must be a string; quote it")
        return value

    def flag(self, key: str) -> bool:
        """A field that must be true or false; false when absent."""
        value = self.fields.get(key) or False
        if not isinstance(value, bool):
            raise CredentialsError(f"{self.origin(key)}: must be true or false")
        return value

    def path(self, key: str) -> Path | None:
        """A field that names a file, relative to the kubeconfig's folder."""
        value = self.text(key)
        try:
            return self.file.parent / Path(value).expanduser() if value else None
        except RuntimeError:
            raise CredentialsError(f"{self.origin(key)}: {value!r}: no such home; write it out") from None

    def material(self, key: str) -> Material | None:
        """``key-data`` (base64) or ``key`` (a path); the data wins, as in client-go."""
        data_key = f"{key}-data"
        if data := self.text(data_key):
            try:
                return Material(self.origin(data_key), data=base64.b64decode(data, validate=False))
            except ValueError:
                raise CredentialsError(f"{self.origin(data_key)}: not base64; encode the PEM text") from None
        path = self.path(key)
        return Material(self.origin(key), path=path) if path else None

    def refuse(self, fields: Mapping[str, str]) -> None:
        """Raises for the first of ``fields`` that is set, with its remedy."""
        for key, remedy in fields.items():
            if self.fields.get(key):
                raise CredentialsError(f"{self.origin(key)}: {remedy}")


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen context: its cluster, its user (``None`` for nobody) and namespace (``""`` if unset)."""

    cluster: Entry
    user: Entry | None
    namespace: str

    def server(self) -> str:
        """The API server's URL without a trailing slash."""
        url, origin = self.cluster.text("server").rstrip("/"), self.cluster.origin("server")
        if "@" in (url.partition("//")[2] or url).partition("/")[0]:
            raise CredentialsError(f"{origin}: holds a user or password; use a token or a client certificate")
        if not _is_http(url):
            raise CredentialsError(f"{origin}: {url!r} is no URL of an API server; write https://HOST:PORT")
        return url

    def tls(self) -> Tls:
        """The TLS fields of cluster and user."""
        self.cluster.refuse(_REFUSED_CLUSTER_FIELDS)
        insecure, ca = (
            self.cluster.flag("insecure-skip-tls-verify"),
            self.cluster.material("certificate-authority"),
        )
        if insecure and ca:
            raise CredentialsError(
                f"{self.cluster.origin('insecure-skip-tls-verify')}: contradicts certificate-authority; "
                "remove one of them"
            )
        certificate, key = None, None
        if self.user is not None:
            self.user.refuse(_REFUSED_USER_FIELDS)
            certificate, key = self.user.material("client-certificate"), self.user.material("client-key")
            if (certificate is None) != (key is None):
                raise CredentialsError(
                    f"{self.user.origin('client-certificate')}: certificate and key come as a pair; "
                    "set client-certificate and client-key"
                )
        return Tls(
            ca=ca,
            certificate=certificate,
            key=key,
            insecure=insecure,
            server_name=self.cluster.text("tls-server-name") or None,
        )


def select_context(files: Iterable[Path]) -> Selection:
    """The current context of the merged files; raises :class:`CredentialsError`."""
    merged = _Merged()
    read = {str(file): merged.add(file) for file in files}
    # where all are empty, all are named
    where = ", ".join([file for file, holds in read.items() if holds] or read) or "no kubeconfig file"
    if merged.current is None:
        raise CredentialsError(f"{where}: current-context: not set; run kubectl config use-context NAME")
    context = merged.find("contexts", merged.current.name, f"{merged.current.file}: current-context")
    cluster = merged.find("clusters", context.text("cluster"), context.origin("cluster"))
    user = context.text("user")
    return Selection(
        cluster=cluster,
        user=merged.find("users", user, context.origin("user")) if user else None,
        namespace=context.text("namespace"),
    )


class _Merged:
    def __init__(self) -> None:
        self.current: Entry | None = None
        self._entries: dict[tuple[str, str], Entry] = {}

    def add(self, file: Path) -> bool:
        """Take over what earlier files left open; False for an absent or empty file."""
        document = _read(file)
        if not document:
            return False
        if self.current is None and (name := document.get("current-context")):
            self.current = Entry(file, str(name), {})
        for section, inner in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            entries = document.get(section) or []
            if not isinstance(entries, list):
                raise CredentialsError(f"{file}: {section}: must be a list")
            for item in entries:
                if not isinstance(item, Mapping) or not isinstance(item.get(inner) or {}, Mapping):
                    raise CredentialsError(f"{file}: {section}: every entry needs name and {inner}")
                name = str(item.get("name", ""))
                self._entries.setdefault((section, name), Entry(file, name, item.get(inner) or {}))
        return True

    def find(self, section: str, name: str, origin: str) -> Entry:
        found = self._entries.get((section, name))
        if found is None:
            raise CredentialsError(f"{origin}: there is no {name!r} in {section}; run kubectl config view")
        return found


def _is_http(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in {"https", "http"} and bool(split.hostname) and split.port != 0
    except ValueError:  # brackets without an IPv6 address, a port that is no number
        return False


def _read(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as failed:
        raise CredentialsError(
            f"{file}: cannot be read: {failed.strerror}; name a file, and let this user read it"
        ) from None
    try:
        document = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as failed:
        # the text of a YAML error quotes the line, which may hold a token
        mark = getattr(failed, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise CredentialsError(f"{file}: not YAML{line}; it must be a kubeconfig") from None
    if not isinstance(document, Mapping):
        raise CredentialsError(f"{file}: not a kubeconfig; it must be a mapping with clusters and contexts")
    return document
