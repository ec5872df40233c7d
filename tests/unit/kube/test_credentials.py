"""Which credentials are found, when certificates are loaded anew, and that nothing shows a secret."""

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from kfx.kube.credentials import CERTIFICATE_LIFE, Credentials, CredentialsError, load_credentials
from kfx.kube.tls import Material, Tls
from kfx.kube.tokens import StaticToken
from tests.pki import authority

SECRET = "s3cret"
OURS = authority("ours")
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def kubeconfig(file: Path, server: str, *, cluster: Any = None, user: Any = None, **context: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **context}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """A service account's folder."""
    found = tmp_path / "serviceaccount"
    found.mkdir()
    for name, text in (("token", SECRET), ("namespace", "team\n"), ("ca.crt", OURS.pem.decode())):
        (found / name).write_text(text)
    return found


def load(tmp_path: Path, kubeconfig: str | None = None, **environ: str) -> Credentials:
    folder = tmp_path / "serviceaccount"
    return load_credentials(kubeconfig, environ=environ, service_account=folder, home=tmp_path / "home")


def test_the_first_that_is_there_is_used(tmp_path: Path, pod: Path) -> None:
    flag = str(kubeconfig(tmp_path / "flag", "https://flag"))
    listed = str(kubeconfig(tmp_path / "listed", "https://listed"))
    kubeconfig(tmp_path / "home" / ".kube" / "config", "https://home")
    assert load(tmp_path, flag, KUBECONFIG=listed, **POD).server == "https://flag"
    assert load(tmp_path, KUBECONFIG=listed, **POD).server == "https://listed"
    assert load(tmp_path, **POD).server == "https://10.0.0.1:6443"
    assert load(tmp_path).server == "https://home"
    (pod / "token").unlink()
    assert load(tmp_path, **POD).server == "https://home"


def test_a_persons_own_kubeconfig_comes_before_the_pods_where_a_person_asks(
    tmp_path: Path, pod: Path
) -> None:
    def asked() -> str:
        home = tmp_path / "home"
        return load_credentials(environ=POD, service_account=pod, home=home, home_first=True).server

    assert asked() == "https://10.0.0.1:6443"
    kubeconfig(tmp_path / "home" / ".kube" / "config", "https://home")
    assert asked() == "https://home"


def test_the_variable_may_list_several_files(tmp_path: Path) -> None:
    there = kubeconfig(tmp_path / "there", "https://there")
    assert load(tmp_path, KUBECONFIG=f"{tmp_path / 'absent'}::{there}").server == "https://there"


@pytest.mark.parametrize(
    ("flag", "environ", "text"),
    [
        ("no-such", {}, "no-such: there is no such kubeconfig; correct --kubeconfig"),
        (None, {"KUBECONFIG": "a:b"}, r"\$KUBECONFIG: a:b: there is no such file; correct or unset it"),
        (None, {}, "no API server known: .* give --kubeconfig FILE"),
    ],
)
def test_what_is_not_there_is_told_with_a_remedy(
    flag: str | None, environ: dict[str, str], text: str, tmp_path: Path
) -> None:
    with pytest.raises(CredentialsError, match=text):
        load(tmp_path, flag, **environ)


@pytest.mark.real_time
async def test_a_pod_uses_its_service_account(tmp_path: Path, pod: Path) -> None:
    found = load(tmp_path, KUBERNETES_SERVICE_HOST="fd00::1")
    assert (found.server, found.own_namespace(), await found.token()) == (
        "https://[fd00::1]:443",
        "team",
        SECRET,
    )
    context = await found.ssl_context()
    assert context is not None
    assert len(context.get_ca_certs()) == 1


def test_outside_a_pod_there_is_no_own_namespace(tmp_path: Path, pod: Path) -> None:
    (pod / "namespace").write_text(" \n")
    found = load(tmp_path, str(kubeconfig(tmp_path / "c", "https://x", namespace="chosen")))
    assert (found.namespace, found.own_namespace()) == ("chosen", None)
    (pod / "namespace").unlink()
    assert found.own_namespace() is None


@pytest.mark.real_time
async def test_a_token_file_wins_over_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file")
    user = {"token": "inline", "tokenFile": "token", "exec": {"command": "kfx-no-such-plugin"}}
    config = kubeconfig(tmp_path / "config", "https://x", user=user)
    assert await load(tmp_path, str(config)).token() == "from file"
    config = kubeconfig(tmp_path / "config", "https://x", user={**user, "tokenFile": None})
    assert await load(tmp_path, str(config)).token() == "inline"
    config = kubeconfig(tmp_path / "config", "https://x", user={"exec": user["exec"]})
    with pytest.raises(CredentialsError, match="'u': exec: the plugin gave no token"):
        await load(tmp_path, str(config)).token()


async def test_a_user_without_any_means_sends_no_token(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    found = load(tmp_path, str(config))
    assert (await found.token(), await found.token_after("")) == ("", "")


@pytest.mark.parametrize("user", [{"token": SECRET}, {"tokenFile": "x"}, {"exec": {"command": "x"}}])
def test_a_token_is_never_sent_unencrypted(user: dict[str, Any], tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1", user=user)
    with pytest.raises(
        CredentialsError, match="server: the token would be sent unencrypted; use https"
    ) as caught:
        load(tmp_path, str(config))
    assert SECRET not in str(caught.value)


def test_wrong_certificates_are_told_when_they_are_loaded(tmp_path: Path) -> None:
    data = base64.b64encode(b"nonsense").decode()
    config = kubeconfig(tmp_path / "config", "https://x", cluster={"certificate-authority-data": data})
    with pytest.raises(CredentialsError, match="certificate-authority-data: no PEM certificate in it"):
        load(tmp_path, str(config))


@pytest.mark.parametrize("insecure", [True, False])
def test_an_unchecked_certificate_is_warned_of(insecure: bool, tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": insecure}
    config = kubeconfig(tmp_path / "config", "https://x", cluster=cluster, user={"token": SECRET})
    with capture_logs() as lines:
        load(tmp_path, str(config))
    assert [line["log_level"] for line in lines] == ["warning"] * insecure
    assert SECRET not in str(lines)


def test_the_text_form_holds_no_secret() -> None:
    credentials = Credentials("https://x", tokens=StaticToken(SECRET))
    assert repr(credentials) == str(credentials) == "Credentials('https://x')"


class Once:
    """A source whose token changes when it expires, if there is another."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def token(self) -> str:
        return self.tokens[0]

    def expire(self) -> None:
        del self.tokens[: len(self.tokens) - 1]


async def test_after_a_refusal_only_another_token_is_tried() -> None:
    assert await Credentials("https://x", tokens=Once("a", "b")).token_after("a") == "b"
    assert await Credentials("https://x", tokens=Once("a")).token_after("a") == ""


async def test_plain_http_has_no_tls_context() -> None:
    assert await Credentials("http://x", tls=Tls(ca=Material("ca", data=b"nonsense"))).ssl_context() is None


class Certificates:
    """Credentials whose authority stands in a file, and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ca.crt"
        self.now = 0.0
        self.credentials = Credentials(
            "https://x", tls=Tls(ca=Material("config: ca", path=self.file)), now=lambda: self.now
        )

    async def later(self, seconds: float = CERTIFICATE_LIFE) -> ssl.SSLContext | None:
        self.now += seconds
        return await self.credentials.ssl_context()

    def replace(self, text: bytes) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(text)
        new.rename(self.file)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    found = Certificates(tmp_path)
    found.replace(OURS.pem)
    return found


@pytest.mark.real_time
async def test_a_context_is_made_anew_once_a_file_was_replaced(certificates: Certificates) -> None:
    first = await certificates.later(0)
    assert first is not None
    assert await certificates.later() is first
    certificates.replace(OURS.pem + authority("theirs").pem)
    assert await certificates.later(CERTIFICATE_LIFE - 1) is first
    second = await certificates.later(1)
    assert second is not None
    assert (len(first.get_ca_certs()), len(second.get_ca_certs())) == (1, 2)


@pytest.mark.real_time
async def test_the_old_context_stands_while_files_are_unusable(certificates: Certificates) -> None:
    first = await certificates.later(0)
    with capture_logs() as lines:
        certificates.replace(SECRET.encode())
        assert await certificates.later() is first
        certificates.file.unlink()
        assert await certificates.later() is first
    assert [line["log_level"] for line in lines] == ["warning"] * 2
    assert "config: ca: no PEM certificate in it" in lines[0]["error"]
    assert SECRET not in str(lines)
    certificates.replace(authority("theirs").pem)
    assert await certificates.later() is not first


@pytest.mark.real_time
async def test_unusable_files_are_an_error_at_first_and_tried_again(certificates: Certificates) -> None:
    certificates.file.unlink()
    for _ in range(2):
        with pytest.raises(CredentialsError, match="config: ca: cannot read"):
            await certificates.later(0)
    certificates.replace(OURS.pem)
    assert await certificates.later(0)
