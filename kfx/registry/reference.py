"""An image's name, taken apart as container runtimes do."""

import ipaddress
import re
from dataclasses import dataclass

from yarl import URL

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_HOST = "registry-1.docker.io"
LONGEST = 1024

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[-.A-Za-z0-9]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry`` is ``host[:port]``. A ``digest``, where there is one, says more than the ``tag``."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def host(self) -> str:
        """``host[:port]`` to be dialled; the Docker Hub answers under another name than its own."""
        return _HUB_HOST if self.registry == DOCKER_HUB else self.registry

    @property
    def version(self) -> str:
        """What a manifest is asked for by."""
        return self.digest or self.tag


def parse_reference(text: str) -> ImageReference:
    """An image as a pod names it; without registry it is the Docker Hub's, without tag ``latest``.

    Raises ValueError.
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise ValueError("has a digest that is not sha256 and 64 hexadecimal digits")
    name, tag = _split_tag(rest)
    registry, repository = _split_registry(name)
    if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(repository) or not _TAG.fullmatch(tag):
        raise ValueError("is not of the form registry/repository:tag")
    try:
        host = URL(f"https://{registry}/").host
        if registry.startswith("["):
            ipaddress.IPv6Address(host or "")
    except ValueError:
        raise ValueError(f"has a registry that is no host and port: {registry}") from None
    return ImageReference(registry, repository, tag, digest)


def is_digest(text: str) -> bool:
    """Whether the text is a digest that can be verified here."""
    return _DIGEST.fullmatch(text) is not None


def canonical_registry(host: str) -> str:
    """One name for the Docker Hub, any other registry's own."""
    return DOCKER_HUB if host in _HUB_NAMES else host


def _split_tag(text: str) -> tuple[str, str]:
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, "latest")


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = DOCKER_HUB, name
    registry = canonical_registry(first)
    if registry == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return registry, rest
