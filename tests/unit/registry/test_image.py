"""From a name to a command."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kfx.registry.client import RegistryClient
from kfx.registry.errors import RegistryError
from kfx.registry.image import COMMAND_LIMIT, ImageCommand, Platform, read_command
from kfx.registry.reference import ImageReference
from tests.oci_registry import MANIFEST, Registry, serving

pytestmark = pytest.mark.real_time

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Reading:
    """A registry and somebody who reads from it."""

    def __init__(self, registry: Registry, client: RegistryClient) -> None:
        self.registry = registry
        self._client = client
        self.known: dict[str, ImageCommand] = {}

    async def read(self, *platforms: Platform, version: str = "1") -> ImageCommand:
        repository = self._client.repository(ImageReference(self.registry.host, "a", "1"), None)
        digest, command = await read_command(repository, version, platforms or (AMD64,), self.known.get)
        self.known[digest] = command
        return command


@pytest.fixture
async def reading() -> AsyncIterator[Reading]:
    client = RegistryClient(user_agent="test")
    async with serving(Registry()) as registry, client.running():
        yield Reading(registry, client)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "command"),
    [
        (["app"], ["--x"], ImageCommand(("app",), ("--x",))),
        (None, ["python3"], ImageCommand((), ("python3",))),
        (["app"], None, ImageCommand(("app",), ())),
        (None, None, ImageCommand()),
    ],
)
async def test_the_command_is_the_configurations(
    reading: Reading, entrypoint: Any, cmd: Any, command: ImageCommand
) -> None:
    reading.registry.image("a", "1", entrypoint=entrypoint, cmd=cmd)
    assert await reading.read() == command


def test_arguments_of_a_container_stand_for_cmd() -> None:
    command = ImageCommand(("app",), ("--x",))
    assert (command.before([]), command.before(["--y"])) == (("app", "--x"), ("app",))


@pytest.mark.parametrize(
    ("has", "wanted", "chosen"),
    [
        (["amd64", "arm64"], [AMD64], "amd64"),
        (["amd64", "arm64"], [ARM64, AMD64], "arm64"),
        (["amd64", "s390x"], [ARM64, AMD64], "amd64"),
        (["s390x"], [AMD64], "s390x"),
    ],
)
async def test_of_an_index_the_platform_is_chosen(
    reading: Reading, has: list[str], wanted: list[Platform], chosen: str
) -> None:
    images = [("linux", each, reading.registry.image("a", entrypoint=[each])) for each in has]
    attestation = ("unknown", "unknown", reading.registry.image("a", entrypoint=["attestation"]))
    windows = ("windows", "amd64", reading.registry.image("a", entrypoint=["app.exe"]))
    reading.registry.index("a", "1", [attestation, windows, *images])
    assert (await reading.read(*wanted)).entrypoint == (chosen,)


async def test_a_configuration_that_is_known_is_not_fetched(reading: Reading) -> None:
    digest = reading.registry.image("a", "1", entrypoint=["app"])
    await reading.read()
    await reading.read(version=digest)
    assert sum("/blobs/" in path for path in reading.registry.paths) == 1


async def test_an_index_without_an_image_for_linux_is_told(reading: Reading) -> None:
    reading.registry.index("a", "1", [("windows", "amd64", reading.registry.image("a"))])
    with pytest.raises(RegistryError, match="no image for Linux"):
        await reading.read()


async def test_an_index_of_indexes_is_not_followed_for_ever(reading: Reading) -> None:
    inner = reading.registry.index("a", "inner", [("linux", "amd64", reading.registry.image("a"))])
    reading.registry.index("a", "1", [("linux", "amd64", inner)])
    with pytest.raises(RegistryError, match="of a kind that kfx does not read"):
        await reading.read()


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"<html>",
        b"[" * 5000,
        b"{}",
        json.dumps({"mediaType": MANIFEST, "config": {"digest": "../../x"}}).encode(),
        json.dumps({"schemaVersion": 1, "history": []}).encode(),
        json.dumps({"manifests": [{"digest": 1}]}).encode(),
    ],
)
async def test_what_is_no_manifest_is_told(reading: Reading, manifest: bytes) -> None:
    reading.registry.content["/v2/a/manifests/1"] = (MANIFEST, manifest)
    with pytest.raises(RegistryError, match="its manifest is "):
        await reading.read()


@pytest.mark.parametrize("entrypoint", ["app", [1], {"a": 1}])
async def test_what_is_no_configuration_is_told(reading: Reading, entrypoint: Any) -> None:
    reading.registry.image("a", "1", entrypoint=entrypoint)
    with pytest.raises(RegistryError, match="its configuration is not what an image has"):
        await reading.read()


async def test_a_command_that_is_too_long_to_be_remembered_is_refused(reading: Reading) -> None:
    reading.registry.image("a", "1", cmd=["x" * (COMMAND_LIMIT + 1)])
    with pytest.raises(RegistryError, match=f"more than {COMMAND_LIMIT} characters"):
        await reading.read()
