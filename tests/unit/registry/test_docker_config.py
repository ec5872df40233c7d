"""The Docker configuration of kfx's own, and programs that give logins."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kfx.registry import docker_config
from kfx.registry.docker_config import DockerConfig, ask_helper, docker_config_path
from kfx.registry.errors import RegistryError
from kfx.registry.logins import Login
from kfx.registry.reference import parse_reference

pytestmark = pytest.mark.real_time

CANARY = "s3cret-canary"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """A program on the PATH that runs the shell's ``script``."""
    place = folder / "helpers" / f"docker-credential-{name}"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place.parent}:{os.environ['PATH']}")


def install_helper(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, **answer: str) -> None:
    """A helper that knows one login, and notes what it is asked in ``asked``."""
    note = f'[ "$1" = get ] || exit 3\ncat >> {folder}/asked; echo >> {folder}/asked'
    install(folder, monkeypatch, name, f"{note}\ncat <<'END'\n{json.dumps(answer)}\nEND")


def runs(pid: int) -> bool:
    """Whether a process is more than an entry that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Machine:
    """A folder with a Docker configuration, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self._config = DockerConfig(folder / "config.json", clock=lambda: self.now)

    def write(self, **content: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps(content))

    async def find(self, image: str = "r.io/a") -> Login | None:
        return await self._config.find(parse_reference(image))

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"DOCKER_CONFIG": "/etc/docker", "HOME": "/x"}, "/etc/docker/config.json"),
        ({"HOME": "/h"}, "/h/.docker/config.json"),
        ({}, "/.docker/config.json"),
    ],
)
def test_the_file_is_where_docker_has_it(environ: dict[str, str], path: str) -> None:
    assert docker_config_path(environ) == Path(path)


async def test_a_machine_without_the_file_has_no_logins(machine: Machine) -> None:
    assert await machine.find() is None


async def test_a_login_stands_in_the_file_itself_and_a_changed_file_counts_at_once(machine: Machine) -> None:
    machine.write(auths={"r.io": {"username": "me", "password": "old"}})
    assert await machine.find() == Login("me", "old")
    machine.write(auths={"https://r.io/v2/": {"identitytoken": "new"}})
    assert await machine.find() == Login("", "", identity_token="new")
    assert await machine.find("other.io/a") is None


async def test_a_registrys_own_helper_is_asked_before_the_file_and_the_store(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_helper(machine.folder, monkeypatch, "cloud", Username="AWS", Secret="token")
    install_helper(machine.folder, monkeypatch, "store", Username="stored", Secret="p")
    machine.write(
        auths={"r.io": {"username": "me", "password": "p"}, "file.io": {"username": "me", "password": "p"}},
        credHelpers={"r.io": "cloud"},
        credsStore="store",
    )
    assert await machine.find() == Login("AWS", "token")
    assert await machine.find("file.io/a") == Login("me", "p")
    assert await machine.find("other.io/a") == Login("stored", "p")
    assert machine.asked == ["r.io", "other.io"]


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
async def test_the_docker_hub_has_a_name_of_its_own(
    machine: Machine, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_helper(machine.folder, monkeypatch, "hub", Username="me", Secret="p")
    machine.write(credHelpers={key: "hub"})
    assert await machine.find("python") == Login("me", "p")
    assert machine.asked == ["https://index.docker.io/v1/"]


async def test_a_helpers_login_is_good_for_a_minute(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_helper(machine.folder, monkeypatch, "cloud", Username="AWS", Secret="token")
    machine.write(credHelpers={"r.io": "cloud"})
    for machine.now in (0.0, 59.0, 60.0):
        assert await machine.find() == Login("AWS", "token")
    assert len(machine.asked) == 2


async def test_a_helper_gives_an_identity_token_under_a_name_of_its_own(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_helper(machine.folder, monkeypatch, "acr-env", Username="<token>", Secret="refresh")
    assert await ask_helper("acr-env", "r.azurecr.io") == Login("", "", identity_token="refresh")


async def test_a_helper_without_a_login_for_the_server_is_no_trouble(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine.folder, monkeypatch, "empty", "echo credentials not found in native keychain; exit 1")
    assert await ask_helper("empty", "r.io") is None
    install_helper(machine.folder, monkeypatch, "nameless", Username="", Secret="")
    assert await ask_helper("nameless", "r.io") is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo {CANARY}; echo {CANARY} >&2; exit 7", "docker-credential-bad ended with status 7; try it"),
        (f"echo {CANARY}", "docker-credential-bad gave no login that can be read"),
        ("exec 0<&-; echo '[]'", "gave no login that can be read"),
        ("kill -9 $$", "ended with status -9"),
        ("sleep 60; true", "gave no answer within 0.5 s"),
    ],
)
async def test_a_helper_that_cannot_be_used_is_named_and_not_quoted(
    machine: Machine, script: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_config, "HELPER_SECONDS", 0.5)
    install(machine.folder, monkeypatch, "bad", script)
    with pytest.raises(RegistryError) as caught:
        await ask_helper("bad", "r.io")
    assert message in str(caught.value)
    assert str(caught.value).endswith("echo r.io | docker-credential-bad get")
    assert CANARY not in repr(caught.value)


async def test_a_helper_that_is_waited_for_no_more_does_not_go_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine.folder, monkeypatch, "slow", f"sleep 20 & echo $! > {machine.folder}/pid; wait")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await ask_helper("slow", "r.io")
    left = int((machine.folder / "pid").read_text())
    async with asyncio.timeout(5):
        while runs(left):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["not-there", "../../bin/sh", "", "a b", "x" * 200])
async def test_a_helper_that_is_not_there_is_told_with_the_remedy(name: str) -> None:
    with pytest.raises(RegistryError, match=r"is not on kfx's PATH: add it to the container$"):
        await ask_helper(name, "r.io")


async def test_a_helper_that_does_not_start_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(machine.folder, monkeypatch, "odd", "")
    (machine.folder / "helpers" / "docker-credential-odd").write_text("#!/no/such/shell\n")
    with pytest.raises(RegistryError, match="docker-credential-odd does not start: No such file"):
        await ask_helper("odd", "r.io")


@pytest.mark.parametrize("text", ["{", "[]", "\xff", "[" * 100_000])
async def test_a_file_that_is_no_configuration_is_named(machine: Machine, text: str) -> None:
    (machine.folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(RegistryError, match=r"config\.json is no Docker configuration in JSON"):
        await machine.find()


@pytest.mark.parametrize(
    "content", [{"auths": []}, {"credHelpers": []}, {"credHelpers": {"r.io": ""}}, {"credsStore": ""}, {}]
)
async def test_odd_parts_of_a_configuration_give_no_login(machine: Machine, content: dict[str, Any]) -> None:
    machine.write(**content)
    assert await machine.find() is None


async def test_a_configuration_that_cannot_be_read_is_named(machine: Machine) -> None:
    (machine.folder / "config.json").mkdir()
    with pytest.raises(RegistryError, match=r"config\.json cannot be read: Is a directory"):
        await machine.find()
