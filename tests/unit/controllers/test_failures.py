import pytest

from kfx.apis.experiment import Experiment
from kfx.controllers.failures import FailureReporter, is_namespace_ending
from kfx.katib.katib_config import KatibConfigError
from kfx.kube.errors import Conflict, Forbidden, Invalid, NotFound, TransportError
from kfx.runtime.plan import Note
from kfx.runtime.reconcile import Request, StaleRead, TerminalError
from kfx.store.errors import StoreError
from tests.katib_objects import trial, unreadable
from tests.unit.controllers.parts import KEY, Notes, store_of


def refused(kind: type[Invalid], message: str) -> Invalid:
    return kind(message, status=422, reason="Invalid", method="POST", path="/apis/x")


def told(error: Exception, key: Request = KEY) -> list[Note]:
    notes = Notes()
    FailureReporter(store_of(trial()), notes)(key, error)
    return notes.told


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TerminalError("Job ns/e-1 exists already"), "Job ns/e-1 exists already"),
        (refused(Invalid, "bad field"), "POST /apis/x: 422 Invalid: bad field"),
        (StoreError("the disk is full"), "the disk is full"),
        (KatibConfigError("add an entry"), "add an entry"),
        (KeyError("token-abc"), "unforeseen KeyError, see the log"),
        (
            ExceptionGroup("two", [TerminalError("one"), refused(Conflict, "old"), TerminalError("two")]),
            "one; two",
        ),
    ],
)
def test_a_failure_is_told_in_katibs_words(error: Exception, text: str) -> None:
    assert told(error) == [Note("Warning", "ReconcileError", f"Failed to reconcile: {text}")]


@pytest.mark.parametrize(
    "error",
    [
        StaleRead("old"),
        refused(Conflict, "old"),
        TransportError("connection refused"),
        refused(Forbidden, "unable to create new content in namespace ns because it is being terminated"),
    ],
)
def test_what_passes_by_itself_is_not_told(error: Exception) -> None:
    assert told(error) == []


def test_the_suggestions_failures_stand_without_a_prefix() -> None:
    notes = Notes()
    FailureReporter(store_of(trial()), notes, prefix="")(KEY, TerminalError("x"))
    assert notes.told == [Note("Warning", "ReconcileError", "x")]


def test_one_that_does_not_decode_is_told_too() -> None:
    notes = Notes()
    stand_in = unreadable(Experiment, "spec is wrong")
    FailureReporter(store_of(stand_in), notes)(Request("ns", "e"), TerminalError("x"))
    assert notes.told == [Note("Warning", "ReconcileError", "Failed to reconcile: x")]


def test_nobody_is_told_of_an_object_that_is_gone() -> None:
    assert told(TerminalError("x"), Request("ns", "gone")) == []


TERMINATING = "unable to create new content in namespace x because it is being terminated"


@pytest.mark.parametrize(
    ("error", "yes"),
    [
        (Forbidden(TERMINATING, status=403), True),
        (NotFound('namespaces "x" not found', status=404), True),
        (Forbidden("exceeded quota", status=403), False),
        (NotFound("the server could not find the requested resource", status=404), False),
        (ValueError(TERMINATING), False),
    ],
)
def test_a_namespace_that_goes_is_told_from_other_refusals(error: Exception, yes: bool) -> None:
    """O4."""
    assert is_namespace_ending(error) is yes
