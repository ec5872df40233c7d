"""Which answer becomes which error."""

import json

import pytest

from kfx.kube import errors
from kfx.kube.errors import error_from_event, error_from_status


def status(reason: str, message: str = "no", code: int = 0) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "code": code}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Gone", errors.Expired),
        (410, "Expired", errors.Expired),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (504, "Timeout", errors.ServerError),
        pytest.param(409, "NeverHeardOf", errors.Conflict, id="unknown-reason-goes-by-code"),
        pytest.param(503, "", errors.ServerError, id="no-reason-goes-by-code"),
        pytest.param(415, "UnsupportedMediaType", errors.ApiError, id="no-class-of-its-own"),
    ],
)
def test_reason_and_code_choose_the_error(code, reason, expected):
    found = error_from_status(code, status(reason), method="GET", path="/x")
    assert type(found) is expected
    assert (found.status, found.reason, found.message) == (code, reason, "no")


@pytest.mark.parametrize(
    "body", [b"", b"<html>gone</html>", b"[]", b'{"kind":"Pod"}', b"[" * 100_000, b"\xff"]
)
def test_an_answer_that_is_no_status_goes_by_its_code(body):
    found = error_from_status(404, body, method="GET", path="/x")
    assert isinstance(found, errors.NotFound)
    assert found.message


def test_a_long_message_is_cut_at_one_kibibyte():
    found = error_from_status(500, status("InternalError", "ä" * 5000), method="GET", path="/x")
    assert len(found.message.encode()) <= 1024 + 2


def test_the_text_names_method_path_code_and_reason():
    found = error_from_status(403, status("Forbidden", "you may not"), method="POST", path="/api/v1/pods")
    assert str(found) == "POST /api/v1/pods: 403 Forbidden: you may not"


def test_retry_after_is_kept():
    found = error_from_status(429, b"", method="GET", path="/x", retry_after=3.0)
    assert found.retry_after == 3.0


def test_an_error_event_goes_by_its_own_code():
    assert isinstance(error_from_event(status("Expired", code=410), path="/x"), errors.Expired)
    assert isinstance(error_from_event(b"{}", path="/x"), errors.ServerError)


def test_an_interrupted_answer_is_a_transport_error():
    assert issubclass(errors.Interrupted, errors.TransportError)
