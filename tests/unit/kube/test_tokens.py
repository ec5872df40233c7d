"""Where tokens come from, when they are fetched anew, and that no error shows one."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kfx.kube.tls import CredentialsError
from kfx.kube.tokens import EXPIRY_MARGIN, PLUGIN_LIFE, TOKEN_LIFE, PluginToken, StaticToken, TokenFile

pytestmark = pytest.mark.real_time  # files are read in threads, plugins are processes

NOON = 1_767_268_800.0
NOON_TEXT = "2026-01-01T12:00:00Z"
SECRET = "s3cret"


class Hand:
    """A clock that is moved by hand."""

    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text("one\n")
    return found


async def test_a_static_token_never_changes() -> None:
    source = StaticToken("one")
    source.expire()
    assert await source.token() == "one"


async def test_a_token_file_is_read_again_after_a_while(file: Path, hand: Hand) -> None:
    source = TokenFile(file, origin="o", now=hand)
    assert await source.token() == "one"
    file.write_text("  two  ")
    hand.now += TOKEN_LIFE - 1
    assert await source.token() == "one"
    hand.now += 1
    assert await source.token() == "two"


async def test_a_refused_token_is_read_again_at_once(file: Path, hand: Hand) -> None:
    source = TokenFile(file, origin="o", now=hand)
    assert await source.token() == "one"
    file.write_text("two")
    source.expire()
    assert await source.token() == "two"


@pytest.mark.parametrize(
    "ruin", [Path.unlink, lambda path: path.write_bytes(b"\xff"), lambda path: path.write_text("")]
)
async def test_a_token_stands_while_its_file_is_unusable(ruin: Any, file: Path, hand: Hand) -> None:
    source = TokenFile(file, origin="o", now=hand)
    assert await source.token() == "one"
    ruin(file)
    source.expire()
    assert await source.token() == "one"


async def test_a_token_file_that_never_held_one_is_an_error_until_it_does(file: Path, hand: Hand) -> None:
    file.write_text(" \n")
    source = TokenFile(file, origin="config: tokenFile", now=hand)
    for _ in range(2):
        with pytest.raises(CredentialsError) as caught:
            await source.token()
        assert str(caught.value) == f"config: tokenFile: {file} holds no token; check that it is mounted"
    file.write_text("one")
    assert await source.token() == "one"


async def test_who_asks_during_the_first_read_waits_for_it(file: Path) -> None:
    source = TokenFile(file, origin="o")
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(source.token()) for _ in range(5)]
    assert [task.result() for task in asked] == ["one"] * 5


async def test_a_read_that_was_given_up_is_made_again(file: Path, hand: Hand) -> None:
    source = TokenFile(file, origin="o", now=hand)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(source.token())
        await asyncio.sleep(0)
        first.cancel()
    assert await source.token() == "one"


def plugin(directory: Path, status: object, *, code: int = 0, hand: Hand | None = None) -> PluginToken:
    """A token source whose plugin prints ``status``, and a dot into ``calls`` each time."""
    text = json.dumps(
        {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    )
    (directory / "answer").write_text(text)
    program = (
        "import sys; open(sys.argv[2], 'a').write('.'); text = open(sys.argv[1]).read();"
        f"print(text); print(text, file=sys.stderr); sys.exit({code})"
    )
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", program, str(directory / "answer"), str(directory / "calls")],
    }
    return PluginToken({"exec": command}, origin="config: 'u': exec", now=hand or Hand())


def calls(directory: Path) -> int:
    return len((directory / "calls").read_text())


async def test_a_plugin_is_run_again_before_its_token_expires(tmp_path: Path, hand: Hand) -> None:
    hand.now = NOON - 600
    source = plugin(tmp_path, {"token": SECRET, "expirationTimestamp": NOON_TEXT}, hand=hand)
    assert [await source.token(), await source.token(), calls(tmp_path)] == [SECRET, SECRET, 1]
    hand.now = NOON - EXPIRY_MARGIN - 1
    assert [await source.token(), calls(tmp_path)] == [SECRET, 1]
    hand.now = NOON - EXPIRY_MARGIN
    assert [await source.token(), calls(tmp_path)] == [SECRET, 2]


async def test_a_plugin_that_names_no_expiry_is_run_again_after_a_while(tmp_path: Path, hand: Hand) -> None:
    source = plugin(tmp_path, {"token": SECRET}, hand=hand)
    await source.token()
    hand.now += PLUGIN_LIFE - 1
    await source.token()
    assert calls(tmp_path) == 1
    hand.now += 1
    await source.token()
    assert calls(tmp_path) == 2


async def test_a_plugin_is_run_again_once_its_token_is_refused(tmp_path: Path) -> None:
    source = plugin(tmp_path, {"token": SECRET})
    await source.token()
    source.expire()
    await source.token()
    assert calls(tmp_path) == 2


async def test_a_plugin_is_run_once_for_all_who_wait(tmp_path: Path) -> None:
    source = plugin(tmp_path, {"token": SECRET})
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(source.token()) for _ in range(4)]
    assert [task.result() for task in asked] == [SECRET] * 4
    assert calls(tmp_path) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param({"token": SECRET}, 1, id="fails"),
        pytest.param({"token": SECRET, "expirationTimestamp": "soon"}, 0, id="no-time"),
        pytest.param({"token": SECRET, "expirationTimestamp": 7}, 0, id="a-number-as-time"),
        pytest.param(None, 0, id="no-status"),
    ],
)
async def test_a_plugin_that_fails_is_named_and_its_words_are_not(
    status: Any, code: int, tmp_path: Path
) -> None:
    with pytest.raises(CredentialsError) as caught:
        await plugin(tmp_path, status, code=code).token()
    assert str(caught.value).startswith("config: 'u': exec: the plugin gave no token (")
    assert "run kubectl with this kubeconfig to see why" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_plugin_that_gives_a_certificate_is_refused(tmp_path: Path) -> None:
    status = {"clientCertificateData": "crt", "clientKeyData": SECRET}
    with pytest.raises(
        CredentialsError, match="answered without a token; only tokens are supported"
    ) as caught:
        await plugin(tmp_path, status).token()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param({"apiVersion": "v1", "command": "kfx-no-such-plugin"}, id="not-installed"),
        pytest.param({"apiVersion": "v1"}, id="no-command"),
        pytest.param(
            {"apiVersion": "v1", "command": "true", "env": [{"name": "A", "value": 1}]}, id="number"
        ),
        pytest.param("aws", id="text"),
    ],
)
async def test_a_plugin_that_cannot_be_run_is_named(command: Any) -> None:
    with pytest.raises(CredentialsError, match="config: 'u': exec: the plugin gave no token"):
        await PluginToken({"exec": command}, origin="config: 'u': exec").token()


def oidc(expires: int) -> tuple[str, dict[str, Any]]:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).decode().rstrip("=")
    token = f"head.{claims}.{SECRET}"
    return token, {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")
async def test_a_provider_gives_the_token_it_has(hand: Hand) -> None:
    token, user = oidc(4_000_000_000)
    assert await PluginToken(user, origin="o", now=hand).token() == token


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")
async def test_a_provider_that_cannot_refresh_is_named_without_its_token() -> None:
    _, user = oidc(1_000_000_000)
    with pytest.raises(CredentialsError, match="auth-provider: the plugin gave no token") as caught:
        await PluginToken(user, origin="config: auth-provider").token()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("provider", [{"name": "azure"}, {}, "oidc", 7])
async def test_an_unknown_provider_is_an_error(provider: Any) -> None:
    with pytest.raises(CredentialsError, match="auth-provider: the plugin gave no token"):
        await PluginToken({"auth-provider": provider}, origin="config: auth-provider").token()
