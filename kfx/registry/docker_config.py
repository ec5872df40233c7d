"""Logins from a Docker configuration file, and from the credential helpers that it names.

The helpers are how Amazon's, Google's and Azure's registries are opened: each cloud maintains its own.
"""

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from kfx.registry.errors import RegistryError
from kfx.registry.logins import Login, Logins
from kfx.registry.reference import DOCKER_HUB, ImageReference, canonical_registry
from kfx.runtime.memory import Expiring

FILE_LIMIT = 1024 * 1024  # bytes
HELPER_SECONDS = 4.0
"""For one call; a look-up as a whole has 5."""
REMEMBER_SECONDS = 60.0
"""Of a helper's login: clouds' tokens are good for minutes at least when they are handed out."""
REMEMBERED = 256

_HUB_KEY = "https://index.docker.io/v1/"
_NAMELESS = "<token>"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = b"credentials not found in native keychain"


def docker_config_path(environ: Mapping[str, str]) -> Path:
    """``config.json`` in ``DOCKER_CONFIG``, else in ``.docker`` of the home directory, as Docker has it."""
    folder = environ.get("DOCKER_CONFIG", "")
    return (Path(folder) if folder else Path(environ.get("HOME") or "/") / ".docker") / "config.json"


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str = ""
    secret: str = ""


class DockerConfig:
    """One file, read anew for each question: a mounted Secret may change. It need not be there.

    ``clock`` counts seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._given: Expiring[tuple[str, str], Login | None] = Expiring(clock, REMEMBERED)

    async def find(self, image: ImageReference) -> Login | None:
        """The login for an image: of the helper named for its registry, of the file, of the file's store.

        Raises :class:`RegistryError` where the file or its helper cannot be used.
        """
        content = await asyncio.to_thread(self._read)
        helpers = content.get("credHelpers")
        for place, name in (helpers if isinstance(helpers, dict) else {}).items():
            host = place.removeprefix("https://").removeprefix("http://").partition("/")[0]
            if canonical_registry(host) == image.registry and name:
                return await self._ask(str(name), image.registry)
        found = Logins.of_file(content).find(image)
        store = content.get("credsStore")
        if found is not None or not store:
            return found
        return await self._ask(str(store), image.registry)

    def _read(self) -> dict[str, Any]:
        try:
            with self._path.open("rb") as file:
                text = file.read(FILE_LIMIT)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise RegistryError(f"{self._path} cannot be read: {error.strerror}") from None
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except (ValueError, RecursionError):
            raise RegistryError(f"{self._path} is no Docker configuration in JSON") from None

    async def _ask(self, name: str, registry: str) -> Login | None:
        key = (name, registry)
        known = self._given.get(key)
        if known is None:
            known = await ask_helper(name, _HUB_KEY if registry == DOCKER_HUB else registry)
            self._given.put(key, known, REMEMBER_SECONDS)
        return known


async def ask_helper(name: str, server: str) -> Login | None:
    """``docker-credential-NAME get``, with the server on its standard input.

    The protocol is docker/docker-credential-helpers'. ``None`` where it has no login for the server. Raises
    :class:`RegistryError`; no text holds anything that the helper wrote.
    """
    program = f"docker-credential-{name}"
    path = shutil.which(program) if _NAME.fullmatch(name) else None
    if path is None:
        raise RegistryError(
            f"credential helper {program[:80]!r} of the Docker configuration is not on kfx's PATH: add it to "
            "the container"
        )
    remedy = f"try it in kfx's container: echo {server} | {program} get"
    try:
        async with asyncio.timeout(HELPER_SECONDS), _running(path) as process:
            output, _ = await process.communicate(server.encode())
    except TimeoutError:
        raise RegistryError(f"{program} gave no answer within {HELPER_SECONDS:g} s; {remedy}") from None
    except OSError as error:
        raise RegistryError(f"{program} does not start: {error.strerror}; {remedy}") from None
    if process.returncode:
        if output.strip() == _NOT_FOUND:
            return None
        raise RegistryError(f"{program} ended with status {process.returncode}; {remedy}")
    try:
        found = msgspec.json.decode(output, type=_Answer)
    except (ValueError, RecursionError):
        raise RegistryError(f"{program} gave no login that can be read; {remedy}") from None
    if found.username == _NAMELESS:
        return Login("", "", identity_token=found.secret)
    return Login(found.username, found.secret) if found.username else None


@asynccontextmanager
async def _running(path: str) -> AsyncIterator[Process]:
    """The helper's process, which ends with the block, and all that it started."""
    process = await asyncio.create_subprocess_exec(
        path, "get", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
