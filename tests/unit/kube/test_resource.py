"""Kinds and their URLs."""

import pytest

from kfx.kube.resource import Resource, guess_resource


@pytest.mark.parametrize(
    ("api_version", "kind", "resource"),
    [
        ("v1", "Pod", Resource("", "v1", "pods", "Pod")),
        ("apps/v1", "ReplicaSet", Resource("apps", "v1", "replicasets", "ReplicaSet")),
        ("x.io/v1", "Policy", Resource("x.io", "v1", "policies", "Policy")),
        ("x.io/v1", "Class", Resource("x.io", "v1", "classes", "Class")),
        ("v1", "Endpoints", Resource("", "v1", "endpoints", "Endpoints")),
    ],
)
def test_a_plural_is_guessed_as_in_english(api_version: str, kind: str, resource: Resource) -> None:
    assert guess_resource(api_version, kind) == resource


@pytest.mark.parametrize(
    ("api_version", "kind"), [("", "Pod"), ("a/b/c", "Pod"), ("v1", ""), ("apps/", "Pod")]
)
def test_what_names_no_kind_is_an_error(api_version: str, kind: str) -> None:
    with pytest.raises(ValueError, match="names no kind"):
        guess_resource(api_version, kind)
