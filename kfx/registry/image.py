"""From an image's name to the command it was built with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from kfx.kube.model import Model
from kfx.registry.client import Repository
from kfx.registry.errors import RegistryError
from kfx.registry.reference import is_digest

T = TypeVar("T")

COMMAND_LIMIT = 16 * 1024
"""Characters of an image's command: it is kept in memory, and becomes part of a pod."""


@dataclass(frozen=True, slots=True)
class ImageCommand:
    """``ENTRYPOINT`` and ``CMD`` as lists of words; both may be empty."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()

    def before(self, args: Sequence[str]) -> tuple[str, ...]:
        """What stands before a container's own arguments, which replace ``CMD``."""
        return self.entrypoint if args else self.entrypoint + self.cmd


@dataclass(frozen=True, slots=True)
class Platform:
    """As image indexes write it, such as ``linux`` and ``amd64``."""

    os: str
    architecture: str


class _Platform(Model):
    os: str = ""
    architecture: str = ""


class _Descriptor(Model):
    digest: str
    platform: _Platform | None = None


class _Manifest(Model):
    """Either an image's, with a configuration, or an index with one manifest for each platform."""

    config: _Descriptor | None = None
    manifests: tuple[_Descriptor, ...] | None = None


class _RunConfig(msgspec.Struct, frozen=True, rename="pascal"):
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None


class _Image(Model):
    config: _RunConfig | None = None


async def read_command(
    repository: Repository,
    version: str,
    platforms: Sequence[Platform],
    known: Callable[[str], ImageCommand | None],
) -> tuple[str, ImageCommand]:
    """The digest of the image's configuration, and the command in it.

    ``platforms``: of an index the first of these that it has, else its first for Linux. ``known`` is asked
    before a configuration is fetched. Raises :class:`RegistryError`.
    """
    manifest = _decode(await repository.manifest(version), _Manifest, "manifest")
    if manifest.manifests is not None:
        digest = _choose(manifest.manifests, platforms)
        manifest = _decode(await repository.manifest(digest), _Manifest, "manifest")
    if manifest.config is None or not is_digest(manifest.config.digest):
        raise RegistryError("its manifest is of a kind that kfx does not read")
    digest = manifest.config.digest
    found = known(digest)
    if found is None:
        config = _decode(await repository.blob(digest), _Image, "configuration").config or _RunConfig()
        found = ImageCommand(config.entrypoint or (), config.cmd or ())
        if sum(map(len, found.entrypoint + found.cmd)) > COMMAND_LIMIT:
            raise RegistryError(f"its command has more than {COMMAND_LIMIT} characters")
    return digest, found


def _choose(entries: Sequence[_Descriptor], platforms: Sequence[Platform]) -> str:
    by_platform: dict[Platform, str] = {}
    for entry in entries:
        if entry.platform is not None and is_digest(entry.digest):
            platform = Platform(entry.platform.os, entry.platform.architecture)
            by_platform.setdefault(platform, entry.digest)
    for platform in platforms:
        if platform in by_platform:
            return by_platform[platform]
    linux = [digest for platform, digest in by_platform.items() if platform.os == "linux"]
    if not linux:
        raise RegistryError("its index has no image for Linux")
    return linux[0]


def _decode(content: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (ValueError, RecursionError):
        raise RegistryError(f"its {what} is not what an image has") from None
