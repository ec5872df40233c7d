"""Which login goes to which registry."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.registry.logins import Login, Logins
from kfx.registry.reference import parse_reference


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(auths: Any) -> dict[str, Any]:
    data = {".dockerconfigjson": encoded(json.dumps({"auths": auths}))}
    return {"type": "kubernetes.io/dockerconfigjson", "data": data}


def auths(*places: str) -> dict[str, Any]:
    return {place: {"username": place, "password": "p"} for place in places}


@pytest.mark.parametrize(
    ("places", "image", "chosen"),
    [
        (["r.io"], "r.io/a", "r.io"),
        (["https://r.io"], "r.io/a", "https://r.io"),
        (["https://index.docker.io/v1/"], "python", "https://index.docker.io/v1/"),
        (["r.io/team", "r.io"], "r.io/team/a", "r.io/team"),
        (["r.io/team", "r.io"], "r.io/teamwork", "r.io"),
        (["r.io/team/a"], "r.io/team/a:1", "r.io/team/a"),
        (["*.r.io"], "eu.r.io/a", "*.r.io"),
        (["*.r.io", "eu.r.io"], "eu.r.io/a", "eu.r.io"),
        (["e*.r.io"], "eu.r.io/a", "e*.r.io"),
        (["*u.r.io"], "eu.r.io/a", "*u.r.io"),
        (["*e*u*.r.io"], "eu.r.io/a", "*e*u*.r.io"),
        (["*a.r.io"], "eu.r.io/a", None),
        (["*.r.io"], "a.eu.r.io/a", None),
        (["*.r.io"], "r.io/a", None),
        (["r.io"], "evil-r.io/a", None),
        (["r.io"], "r.io.evil.com/a", None),
        (["rxio"], "r.io/a", None),
        (["r.io:5000"], "r.io/a", None),
        (["r.io"], "r.io:5000/a", None),
        (["r.io:5000"], "r.io:5000/a", "r.io:5000"),
    ],
)
def test_the_closest_place_wins_and_no_other_registry_gets_the_login(
    places: list[str], image: str, chosen: str | None
) -> None:
    found = Logins([secret(auths(*places))]).find(parse_reference(image))
    assert found == (Login(chosen, "p") if chosen else None)


def test_both_types_of_secrets_are_read_and_both_forms_of_a_login() -> None:
    old = {
        "type": "kubernetes.io/dockercfg",
        "data": {".dockercfg": encoded(json.dumps({"old.io": {"auth": encoded("a:b:c")}}))},
    }
    logins = Logins([old, secret(auths("new.io"))])
    assert logins.find(parse_reference("old.io/x")) == Login("a", "b:c")
    assert logins.find(parse_reference("new.io/x")) == Login("new.io", "p")


def test_an_identity_token_stands_above_name_and_password() -> None:
    entry = {"auth": encoded("00000000-0000-0000-0000-000000000000:"), "identitytoken": "id"}
    found = Logins([secret({"r.io": entry})]).find(parse_reference("r.io/a"))
    assert found == Login("", "", identity_token="id")
    assert "id" not in repr(found).replace("identity", "").replace("Login()", "")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "Opaque", "data": {".dockerconfigjson": encoded('{"auths": {"r.io": {"auth": "YTpi"}}}')}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "%"}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("[1]")}},
        {"type": "kubernetes.io/dockerconfigjson", "data": []},
        secret([]),
        secret({"r.io": 1}),
        secret({"r.io": {"auth": "%%%"}}),
        secret({"r.io": {"auth": base64.b64encode(b"\xff:\xff").decode()}}),
        secret({"r.io": {"username": 1, "password": "p"}}),
        secret({"r.io": {}}),
    ],
)
def test_what_cannot_be_read_is_left_out(broken: dict[str, Any]) -> None:
    assert Logins([broken]).find(parse_reference("r.io/a")) is None


def test_a_login_does_not_show_itself() -> None:
    assert "hunter2" not in repr(Login("me", "hunter2"))
    assert Login("me", "p").basic() == "Basic bWU6cA=="


SECRETS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["auths", "auth", "username", "password", "r.io"]), inner)
    ),
    max_leaves=10,
)


@given(SECRETS, st.sampled_from(["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"]))
def test_whatever_a_secret_holds_it_gives_a_login_or_none(content: Any, kind: str) -> None:
    data = {".dockerconfigjson": encoded(json.dumps(content)), ".dockercfg": encoded(json.dumps(content))}
    found = Logins([{"type": kind, "data": data}]).find(parse_reference("r.io/a"))
    assert found is None or isinstance(found, Login)
    if isinstance(content, dict):
        of_file = Logins.of_file(content).find(parse_reference("r.io/a"))
        assert of_file is None or isinstance(of_file, Login)
