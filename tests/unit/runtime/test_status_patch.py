"""Patches that a server would turn into what is wanted."""

from collections.abc import Mapping
from typing import Any

import jsonpatch
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kfx.kube.model import ConditionsOnly, Model, to_builtins
from kfx.runtime.status_patch import APPENDED_FROM, status_patch


class Part(Model, kw_only=True):
    name: str = ""
    size: int | None = None


class Status(Model, kw_only=True):
    phase: str = ""
    ready_parts: int = 0
    best: Part | None = None
    parts: tuple[Part, ...] = ()
    names: tuple[str, ...] = ()
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


def parts(count: int) -> tuple[Part, ...]:
    return tuple(Part(name=f"p{i}") for i in range(count))


def merged(old: Any, patch: Any) -> Any:
    """As RFC 7386 says."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def applied(old: Status, new: Status) -> Any:
    document = {"metadata": {"resourceVersion": "7"}, "status": msgspec.json.decode(msgspec.json.encode(old))}
    patch = msgspec.json.decode(msgspec.json.encode(status_patch(old, new, "7")))
    if patch is None:
        return document["status"]
    if isinstance(patch, list):
        return jsonpatch.apply_patch(document, patch)["status"]
    return merged(document, patch)["status"]


STATUSES = st.builds(
    Status,
    phase=st.sampled_from(["", "A"]),
    ready_parts=st.integers(0, 2),
    best=st.none() | st.builds(Part, name=st.sampled_from(["", "b"]), size=st.none() | st.integers(0, 2)),
    parts=st.sampled_from([0, 1, APPENDED_FROM, APPENDED_FROM + 2]).map(parts),
    names=st.sampled_from([(), ("a",), ("a",) * 60, ("a",) * 61, ("b",) * 62]),
    labels=st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
)


@given(STATUSES, STATUSES)
def test_either_patch_turns_the_old_status_into_the_new(old: Status, new: Status) -> None:
    assert applied(old, new) == msgspec.json.decode(msgspec.json.encode(new))


def test_nothing_is_sent_where_nothing_differs() -> None:
    assert status_patch(Status(parts=parts(99)), Status(parts=parts(99)), "7") is None
    assert status_patch(Status(best=Part(size=None)), Status(best=Part()), "7") is None


def test_of_a_long_list_only_what_is_new_is_sent() -> None:
    found = status_patch(Status(parts=parts(60)), Status(parts=parts(61), ready_parts=61), "7")
    assert found == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/status/readyParts", "value": 61},
        {"op": "add", "path": "/status/parts/-", "value": {"name": "p60"}},
    ]


def test_a_short_list_is_sent_whole_in_a_merge_patch() -> None:
    found = status_patch(Status(parts=parts(1)), Status(parts=parts(2)), "7")
    whole = {"parts": ({"name": "p0"}, {"name": "p1"})}
    assert found == {"metadata": {"resourceVersion": "7"}, "status": whole}


def test_a_status_that_could_not_be_read_whole_keeps_what_is_not_said() -> None:
    found = status_patch(ConditionsOnly(), Status(phase="Failed"), "7")
    assert found == {"metadata": {"resourceVersion": "7"}, "status": to_builtins(Status(phase="Failed"))}
