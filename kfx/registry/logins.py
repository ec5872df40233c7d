"""Logins from the Secrets that Kubernetes pulls images with, and from files in the same form."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from kfx.registry.reference import ImageReference, canonical_registry

_KEYS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password, or a token that another one is given for; none of them is ever shown."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str
    path: str
    login: Login


class Logins:
    """Which login goes to which registry. What cannot be read in a Secret is left out, as kubelets do."""

    def __init__(self, secrets: Iterable[Mapping[str, Any]] = ()) -> None:
        self._entries = [entry for secret in secrets for entry in _read_secret(secret)]

    @classmethod
    def of_file(cls, content: Mapping[str, Any]) -> "Logins":
        """Those of a Docker configuration file."""
        found = cls()
        found._entries = list(_read_places(content.get("auths")))
        return found

    def find(self, image: ImageReference) -> Login | None:
        """The login whose place is described most closely; the first of equals."""
        suitable = [entry for entry in self._entries if _suits(entry, image)]
        return max(suitable, key=_closeness).login if suitable else None


def _closeness(entry: _Entry) -> tuple[int, int]:
    return len(entry.path), -entry.host.count("*")


def _suits(entry: _Entry, image: ImageReference) -> bool:
    """Kubernetes ``credentialprovider.URLsMatchStr``: a star stands for (part of) one label of the host."""
    if entry.path and not f"{image.repository}/".startswith(f"{entry.path}/"):
        return False
    wanted, _, wanted_port = entry.host.partition(":")
    host, _, port = image.registry.partition(":")
    wanted_labels, labels = wanted.split("."), host.split(".")
    return (
        wanted_port == port
        and len(wanted_labels) == len(labels)
        and all(map(fnmatchcase, labels, wanted_labels))
    )


def _read_secret(secret: Mapping[str, Any]) -> Iterable[_Entry]:
    key = _KEYS.get(str(secret.get("type")), "")
    data = secret.get("data")
    text = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(text, str):
        return
    try:
        found = msgspec.json.decode(base64.b64decode(text))
    except (ValueError, RecursionError):
        return
    yield from _read_places(found.get("auths") if _is_new(key, found) else found)


def _is_new(key: str, content: Any) -> bool:
    return key == ".dockerconfigjson" and isinstance(content, dict)


def _read_places(places: Any) -> Iterable[_Entry]:
    for place, entry in (places if isinstance(places, dict) else {}).items():
        login = _read_login(entry)
        if login is not None:
            yield _Entry(*_read_place(place), login)


def _read_place(text: str) -> tuple[str, str]:
    """Host and path of ``[https://]host[:port][/path]``; the API's version, as in ``/v1/``, is no path."""
    rest = text.removeprefix("https://").removeprefix("http://")
    host, _, path = rest.partition("/")
    path = path.strip("/")
    return canonical_registry(host), "" if path in {"v1", "v2"} else path


def _read_login(entry: Any) -> Login | None:
    if not isinstance(entry, dict):
        return None
    name, password, token = entry.get("username"), entry.get("password"), entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login("", "", identity_token=token)
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            name, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
    return Login(name, password) if isinstance(name, str) and isinstance(password, str) and name else None
