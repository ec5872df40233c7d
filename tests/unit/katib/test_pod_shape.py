"""What is read of a pod, and what is refused by its path."""

from typing import Any

import msgspec
import pytest

from kfx.katib.pod_shape import (
    POD,
    Owner,
    PodShapeError,
    SecurityContext,
    check_container,
    read_owners,
    read_security_context,
)
from tests.katib_objects import as_pod


def test_what_injection_does_not_look_at_is_skipped_whatever_it_is() -> None:
    odd = {
        "hostPID": "maybe",
        "containers": [{"name": "a", "lifecycle": 7, "resources": []}],
        "volumes": [{}],
    }
    found = as_pod({"metadata": {"annotations": 1, "labels": {"a": "b"}}, "spec": odd, "status": []})
    assert found.spec is not None
    assert [container.name for container in found.spec.containers or ()] == ["a"]
    assert (found.labels, found.owners) == ({"a": "b"}, ())


@pytest.mark.parametrize("document", [{}, {"metadata": None, "spec": None}, {"metadata": {"labels": None}}])
def test_what_is_missing_is_empty(document: dict[str, Any]) -> None:
    found = as_pod(document)
    assert (dict(found.labels), tuple(found.owners), found.spec) == ({}, (), None)


@pytest.mark.parametrize("seconds", [2**63, -(2**63) - 1, "30", 1.5])
def test_a_number_that_no_pod_has_is_refused_by_its_path(seconds: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.terminationGracePeriodSeconds"):
        as_pod({"spec": {"terminationGracePeriodSeconds": seconds}})


def test_a_security_context_is_kept_to_the_letter_and_read_where_it_is_needed() -> None:
    text = b'{"spec":{"securityContext":{"runAsUser": 5, "seLinuxOptions":{"level":"s0"}},"containers":[{}]}}'
    spec = POD.decode(text).spec
    assert spec is not None
    assert bytes(spec.security_context) == b'{"runAsUser": 5, "seLinuxOptions":{"level":"s0"}}'
    assert read_security_context(spec.security_context) == SecurityContext(run_as_user=5)
    (container,) = spec.containers or ()
    for absent in (container.security_context, msgspec.Raw(b"null")):
        assert read_security_context(absent) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"runAsUser":"root"}',
        b"[]",
        b'{"runAsUser":9223372036854775808}',
        b'{"x":%s1%s}' % (b"[" * 990, b"]" * 990),
    ],
)
def test_a_security_context_of_another_type_is_refused(text: bytes) -> None:
    with pytest.raises(PodShapeError, match=r"^securityContext: "):
        read_security_context(msgspec.Raw(text))


def test_owner_references_of_a_document_are_read() -> None:
    given = {"apiVersion": "v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}
    assert read_owners({"ownerReferences": [given]}) == (
        Owner(api_version="v1", kind="Job", name="j", uid="u"),
    )
    assert read_owners({}) == ()
    with pytest.raises(PodShapeError, match=r"^metadata\.ownerReferences: "):
        read_owners({"ownerReferences": [7]})


@pytest.mark.parametrize(
    "document",
    [{"name": 7}, {"args": "x"}, {"env": [1]}, {"securityContext": {"runAsUser": "root"}}, "main", 2**70],
)
def test_what_is_no_container_is_refused(document: Any) -> None:
    with pytest.raises(PodShapeError):
        check_container(document)
    check_container({"name": "mine", "command": ["a"], "securityContext": None, "ports": "any"})
