"""What counts as a write, and in which order writes are seen."""

import json
from typing import Any

import pytest

from hack.verify.audit import Write, in_stored_order, read_writes
from tests.unit.hack.verify.audit_log import USER, Log, Story


def entry(**changes: Any) -> dict[str, Any]:
    log = Log()
    log.create("experiments", "e", by=USER)
    found: dict[str, Any] = json.loads(log.lines[0])
    return found | changes


def read(*entries: dict[str, Any]) -> list[Write]:
    return list(read_writes((json.dumps(each) + "\n").encode() for each in entries))


def test_an_accepted_write_is_read_with_its_object() -> None:
    (write,) = read(entry())
    assert (write.verb, write.object, write.agent) == ("create", "experiments.kubeflow.org ns/e", USER)
    assert (write.version, write.uid, write.id) == (101, "uid-1", "request-0")
    assert write.answered - write.received == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": "get"},
        {"stage": "RequestReceived"},
        {"responseStatus": {"code": 409}},
        {"responseStatus": None},
        {"requestURI": "/apis/experiments?dryRun=All"},
    ],
    ids=["a-read", "a-request-on-its-way", "a-refusal", "no-answer", "a-dry-run"],
)
def test_everything_else_is_left_out(changes: dict[str, Any]) -> None:
    assert read(entry(**changes)) == []


def test_a_collection_is_deleted_one_by_one() -> None:
    metadata = {"uid": "u", "resourceVersion": "7"}
    items = [{"metadata": {"name": name, **metadata}} for name in ("a", "b")]
    reference = {"resource": "trials", "apiGroup": "kubeflow.org", "namespace": "ns"}
    collection = entry(verb="deletecollection", objectRef=reference, responseObject={"items": items})
    assert [(w.verb, w.name) for w in read(collection)] == [("delete", "a"), ("delete", "b")]


def test_a_line_that_is_still_being_written_does_not_count() -> None:
    line = json.dumps(entry()).encode()
    assert len(list(read_writes([line + b"\n", line]))) == 1


def test_a_line_that_is_no_entry_is_named() -> None:
    with pytest.raises(ValueError, match="line 2 is no entry"):
        list(read_writes([json.dumps(entry()).encode() + b"\n", b"<html>\n"]))


def numbered(version: int, *, received: float = 0.0, answered: float = 0.0, verb: str = "patch") -> Write:
    return Write(
        id=f"{verb}-{version}", agent="", verb=verb, resource="", namespace="", name="", document={},
        version=version, received=received, answered=answered,
    )  # fmt: skip


def test_writes_come_in_the_order_in_which_they_were_stored() -> None:
    found = in_stored_order(map(numbered, (1, 3, 2, 5, 4)), window=2)
    assert [write.version for write in found] == [1, 2, 3, 4, 5]


def test_a_deletion_comes_as_early_as_it_may_have_happened() -> None:
    gone = numbered(0, received=1.5, answered=4.0, verb="delete")
    seen = (numbered(1, answered=1.0), numbered(2, answered=2.0), numbered(3, answered=3.0), gone)
    assert [write.id for write in in_stored_order(seen)] == ["patch-1", "delete-0", "patch-2", "patch-3"]


def test_a_job_made_again_before_the_deletion_is_told_is_no_second_one() -> None:
    log = Story().begin().suggest(a="1").trial("a", "1").job("a")
    log.delete("jobs", "a", by=USER)
    log.job("a")
    log.lines[-2:] = reversed(log.lines[-2:])
    assert log.found() == []


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    log = Story().begin(most=5, parallel=1).suggest(a="1", b="2").trial("a", "1")
    log.patch("trials", "a", by=USER, spec={"note": "x"})
    late = log.lines.pop()
    log.delete("trials", "a", by=USER)
    log.release("trials", "a")
    log.lines.append(late)
    assert log.trial("b", "2").found() == []
