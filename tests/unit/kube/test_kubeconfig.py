"""Kubeconfigs: which file wins, which context is chosen, which fields are refused and how that is said."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfx.kube.kubeconfig import Selection, select_context
from kfx.kube.tls import CredentialsError

SECRET = "s3cret"


def document(
    cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **context: Any
) -> dict[str, Any]:
    """A kubeconfig of one context."""
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **context}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def write(file: Path, content: dict[str, Any] | str) -> Path:
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def select(config: Path, **parts: Any) -> Selection:
    return select_context([write(config, document(**parts))])


def test_the_current_context_names_cluster_user_and_namespace(config: Path) -> None:
    found = select(config, user={"token": SECRET}, namespace="team")
    assert (found.server(), found.namespace) == ("https://api:6443", "team")
    assert found.user is not None
    assert found.user.text("token") == SECRET


def test_a_context_may_do_without_user_and_namespace(config: Path) -> None:
    found = select(config, user=None, namespace=None)
    assert found.namespace == ""
    bare = document()
    del bare["contexts"][0]["context"]["user"]
    assert select_context([write(config, bare)]).user is None


def test_the_first_file_to_name_a_thing_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "first", {"current-context": "here", "clusters": document()["clusters"]})
    other = document({"server": "https://other"}, {"token": SECRET}, namespace="team")
    second = write(tmp_path / "second", {**other, "current-context": "elsewhere"})
    found = select_context([tmp_path / "absent", first, second])
    assert (found.server(), found.namespace) == ("https://api:6443", "team")
    assert [found.cluster.file, found.user.file if found.user else None] == [first, second]


def test_paths_are_relative_to_the_file_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far = document({"certificate-authority": "ca.crt"}, {"tokenFile": "/abs/token"})
    found = select_context([write(tmp_path / "far" / "config", far)])
    ca = found.tls().ca
    assert ca is not None
    assert ca.path == tmp_path / "far" / "ca.crt"
    assert found.user is not None
    assert found.user.path("tokenFile") == Path("/abs/token")


def test_inline_data_wins_over_a_path(config: Path) -> None:
    data = base64.b64encode(b"PEM").decode()
    ca = select(config, cluster={"certificate-authority-data": data, "certificate-authority": "x"}).tls().ca
    assert ca is not None
    assert (ca.path, ca.read()) == (None, b"PEM")
    assert ca.origin == f"{config}: 'c': certificate-authority-data"


@pytest.mark.parametrize(
    ("cluster", "user", "text"),
    [
        ({"server": ""}, {}, "'c': server: '' is no URL of an API server; write https://HOST:PORT"),
        ({"server": "api:6443"}, {}, "'c': server: 'api:6443' is no URL"),
        ({"server": "ftp://api"}, {}, "'c': server: 'ftp://api' is no URL"),
        ({"server": "https://"}, {}, "'c': server: 'https:' is no URL"),
        ({"server": "https://[::1"}, {}, "'c': server: 'https://[::1' is no URL"),
        ({"server": "https://api:PORT"}, {}, "'c': server: 'https://api:PORT' is no URL"),
        ({"server": "https://api:99999"}, {}, "'c': server: 'https://api:99999' is no URL"),
        ({"server": 7}, {}, "'c': server: must be a string; quote it"),
        ({"proxy-url": "http://p"}, {}, "'c': proxy-url: proxies are not supported"),
        ({"insecure-skip-tls-verify": "yes"}, {}, "'c': insecure-skip-tls-verify: must be true or false"),
        (
            {"insecure-skip-tls-verify": True, "certificate-authority": "x"},
            {},
            "'c': insecure-skip-tls-verify: contradicts certificate-authority; remove one of them",
        ),
        ({"certificate-authority-data": "a"}, {}, "'c': certificate-authority-data: not base64"),
        ({"certificate-authority-data": "ä"}, {}, "'c': certificate-authority-data: not base64"),
        ({"certificate-authority": "~no-such-user/x"}, {}, "'c': certificate-authority: '~no-such-user/x'"),
        ({}, {"client-key": "x"}, "'u': client-certificate: certificate and key come as a pair"),
        ({}, {"client-certificate": "x"}, "'u': client-certificate: certificate and key come as a pair"),
        ({}, {"client-key-data": SECRET + "ä"}, "'u': client-key-data: not base64"),
        ({}, {"username": "u"}, "'u': username: basic authentication no longer exists"),
        ({}, {"password": SECRET}, "'u': password: basic authentication no longer exists"),
        ({}, {"as": "root"}, "'u': as: impersonation is not supported"),
        ({}, {"as-groups": ["g"]}, "'u': as-groups: impersonation is not supported"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_with_its_remedy(
    cluster: dict[str, Any], user: dict[str, Any], text: str, config: Path
) -> None:
    found = select(config, cluster=cluster, user=user)
    with pytest.raises(CredentialsError) as caught:
        _ = found.server(), found.tls()
    assert str(caught.value).startswith(f"{config}: {text}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "server", [f"https://me:{SECRET}@api", f"me:{SECRET}@api", f"https://{SECRET}@api:x"]
)
def test_a_password_in_the_url_is_refused_and_not_shown(server: str, config: Path) -> None:
    with pytest.raises(CredentialsError, match="server: holds a user or password") as caught:
        select(config, cluster={"server": server}).server()
    assert SECRET not in str(caught.value)


def test_a_url_keeps_its_path_and_loses_its_last_slash(config: Path) -> None:
    found = select(config, cluster={"server": "https://[::1]:6443/k8s/clusters/a@b/"})
    assert found.server() == "https://[::1]:6443/k8s/clusters/a@b"


def test_tls_fields_are_passed_on(config: Path) -> None:
    tls = select(config, cluster={"insecure-skip-tls-verify": True, "tls-server-name": "api"}).tls()
    assert (tls.insecure, tls.server_name, tls.ca) == (True, "api", None)
    assert select(config).tls().server_name is None


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"current-context": "gone"}, "config: current-context: there is no 'gone' in contexts"),
        ({"clusters": None}, "config: 'here': cluster: there is no 'c' in clusters"),
        ({"users": []}, "config: 'here': user: there is no 'u' in users"),
        ({"current-context": None}, "config: current-context: not set; run kubectl config use-context NAME"),
        ({"clusters": ["c"]}, "config: clusters: every entry needs name and cluster"),
        ({"users": [{"name": "u", "user": SECRET}]}, "config: users: every entry needs name and user"),
        ({"contexts": 7}, "config: contexts: must be a list"),
        ({"users": {"u": {"token": SECRET}}}, "config: users: must be a list"),
    ],
)
def test_what_is_missing_or_misshapen_is_named(changed: dict[str, Any], text: str, config: Path) -> None:
    with pytest.raises(CredentialsError) as caught:
        select_context([write(config, {**document(), **changed})])
    assert str(caught.value).startswith(f"{config.parent}/{text}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(f"users:\n- token: '{SECRET}", "not YAML in line 2", id="open-quote"),
        pytest.param(f"token: {SECRET}: x", "not YAML in line 1", id="two-colons"),
        pytest.param(f"token: {SECRET}\x07", "not YAML", id="control-character"),
        pytest.param(f"token: {SECRET}\nwhen: 2026-99-99", "not YAML", id="no-such-day"),
        pytest.param("[" * 5_000, "not YAML", id="too-deep"),
        pytest.param(f"- {SECRET}", "not a kubeconfig; it must be a mapping", id="list"),
        pytest.param(SECRET, "not a kubeconfig; it must be a mapping", id="text"),
    ],
)
def test_what_is_no_kubeconfig_is_refused_without_quoting_it(content: str, text: str, config: Path) -> None:
    with pytest.raises(CredentialsError) as caught:
        select_context([write(config, content)])
    assert str(caught.value).startswith(f"{config}: {text}")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_empty_or_absent_file_counts_as_none_but_is_named(config: Path) -> None:
    for file in (config, write(config.with_name("empty"), "# nothing\n")):
        with pytest.raises(CredentialsError, match=f"^{re.escape(str(file))}: current-context: not set"):
            select_context([file])


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"cannot be read: Is a directory; name a file"):
        select_context([tmp_path])


def test_no_text_form_shows_what_a_user_holds(config: Path) -> None:
    found = select(config, user={"token": SECRET, "client-key-data": base64.b64encode(b"KEY").decode()})
    assert SECRET not in repr(found)
    assert found.user is not None
    assert "KEY" not in repr(found.user.material("client-key"))
