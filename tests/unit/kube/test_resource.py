"""Kinds and their URLs."""

import pytest

from kfx.kube.resource import Resource, guess_resource, target_of


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
    ("api_version", "kind"),
    [
        ("", "Pod"),
        ("a/b/c", "Pod"),
        ("v1", ""),
        ("apps/", "Pod"),
        ("v1", "x/../../kube-system/secret"),
        ("v1", "pods?watch=true&x="),
        ("v1", "Po%64"),
        ("../v1", "Pod"),
        ("apps/v1?", "Pod"),
        ("apps#/v1", "Pod"),
    ],
)
def test_what_names_no_kind_is_an_error(api_version: str, kind: str) -> None:
    with pytest.raises(ValueError, match="names no kind"):
        guess_resource(api_version, kind)


@pytest.mark.parametrize("group", ["", "example.org"])
@pytest.mark.parametrize(
    ("namespace", "name", "subresource"),
    [
        ("", "", ""),
        ("ns", "", ""),
        ("ns", "a", ""),
        ("ns", "a", "status"),
        ("", "a", "scale"),
        ("ns", "a/b%", ""),
    ],
)
def test_a_path_tells_what_it_was_made_of(group: str, namespace: str, name: str, subresource: str) -> None:
    resource = Resource(group, "v1", "things", "Thing")
    found = target_of(resource.path(namespace, name, subresource))
    assert found == (str(resource), namespace, name, subresource)


def test_a_namespace_is_an_object_too() -> None:
    namespaces = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
    for subresource in ("", "status", "finalize"):
        found = target_of(namespaces.path("", "a", subresource))
        assert found == ("namespaces", "", "a", subresource)
    assert target_of(namespaces.path()) == ("namespaces", "", "", "")


@pytest.mark.parametrize("path", ["/version", "/", "", "/api", "/api/v1", "/apis", "/apis/a/v1", "/readyz"])
def test_a_path_of_no_resource_leads_to_none(path: str) -> None:
    assert target_of(path) == ("", "", "", "")
