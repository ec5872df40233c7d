"""Images' names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from kfx.registry.reference import ImageReference, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", "latest", ""),
        ("python:3.11", "docker.io", "library/python", "3.11", ""),
        ("kubeflow/x:1", "docker.io", "kubeflow/x", "1", ""),
        ("docker.io/python:3.11", "docker.io", "library/python", "3.11", ""),
        ("index.docker.io/library/python:3.11", "docker.io", "library/python", "3.11", ""),
        ("ghcr.io/a/b", "ghcr.io", "a/b", "latest", ""),
        (f"r.io/a/b@{DIGEST}", "r.io", "a/b", "latest", DIGEST),
        (f"r.io/a/b:1@{DIGEST}", "r.io", "a/b", "1", DIGEST),
        ("localhost/x:1", "localhost", "x", "1", ""),
        ("localhost:5000/xy", "localhost:5000", "xy", "latest", ""),
        ("[::1]:5000/x/y-z__a.b:v_1", "[::1]:5000", "x/y-z__a.b", "v_1", ""),
    ],
)
def test_a_name_is_taken_apart_with_the_usual_defaults(
    text: str, registry: str, repository: str, tag: str, digest: str
) -> None:
    found = parse_reference(text)
    assert found == ImageReference(registry, repository, tag, digest)
    assert found.version == (digest or tag)


def test_the_docker_hub_is_dialled_by_another_name() -> None:
    assert parse_reference("python").host == "registry-1.docker.io"
    assert parse_reference("r.io:80/python").host == "r.io:80"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "r.io/",
        "r.io/A/b",
        "r.io/a/../b",
        "r.io/a//b",
        "r.io/a b",
        "r.io/a:b/c",
        "r.io/a?x=1",
        "r.io/a#x",
        "me@r.io/a",
        "r.io/a:-1",
        "r.io:port/a",
        "r.io:99999/a",
        "[:::]/a",
        "[1.2.3]:1/a",
        f"r.io/a@{DIGEST}0",
        "r.io/a@md5:00",
        "r.io/" + "a" * 1024,
        "https://r.io/a",
        "r.io/a:1\n",
    ],
)
def test_what_could_mean_something_else_in_a_url_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|is longer|has a"):
        parse_reference(text)


@given(st.text() | st.text(alphabet="ar.io:/@-_1A[]%"))
def test_any_text_is_a_name_that_is_safe_in_a_url_or_none(text: str) -> None:
    try:
        found = parse_reference(text)
    except ValueError:
        return
    url = URL(f"https://{found.host}/v2/{found.repository}/manifests/{found.version}")
    assert url.path == f"/v2/{found.repository}/manifests/{found.version}"
    assert (url.user, url.query_string, url.fragment) == (None, "", "")
