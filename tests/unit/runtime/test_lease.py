"""What a stored Lease may hold. How it is read and written: tests/cluster."""

import pytest

from kfx.runtime.leader import Lease
from kfx.runtime.lease import parse


def test_a_lease_is_read_as_it_is_stored():
    document = {
        "metadata": {"resourceVersion": "7", "name": "lock"},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000000Z",
            "renewTime": "2026-01-02T03:04:07.000000Z",
            "leaseTransitions": 2,
        },
    }
    found = parse(document)
    assert found == Lease(
        holder="a",
        duration=15,
        acquired="2026-01-02T03:04:05.000000Z",
        renewed="2026-01-02T03:04:07.000000Z",
        transitions=2,
    )
    assert (found.version, found.document) == ("7", document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": None, "spec": None},
        {"spec": {}},
        {"spec": {"holderIdentity": None, "leaseDurationSeconds": None, "leaseTransitions": None}},
        {"spec": {"holderIdentity": 5, "renewTime": 7, "leaseDurationSeconds": "15"}},
        {"metadata": [], "spec": "none"},
    ],
)
def test_nothing_in_a_lease_makes_reading_fail(document):
    assert parse(document) == Lease()


def test_two_stored_versions_of_one_record_are_the_same_record():
    spec = {"holderIdentity": "a"}
    first = parse({"metadata": {"resourceVersion": "1"}, "spec": spec})
    second = parse({"metadata": {"resourceVersion": "2", "annotations": {"a": "b"}}, "spec": spec})
    assert first == second
