import pytest

from kfx.apis.experiment import Experiment
from kfx.commands.session import Session, attempt, present
from kfx.katib.explanation import Unread
from kfx.kube.decode import Undecodable, decoder_for
from kfx.kube.errors import Forbidden, NotFound, ServerError, TransportError


async def read(outcome: Exception | int) -> int:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Forbidden("no", status=403), "forbidden"),
        (ServerError("no", status=503, reason="ServiceUnavailable"), "503 ServiceUnavailable"),
        (TransportError("no"), "no answer"),
    ],
)
async def test_what_cannot_be_read_is_said_and_is_no_failure(outcome: Exception, why: str) -> None:
    found = await attempt("pods", read(outcome))
    assert found == Unread("pods", why)
    assert str(found) == f"could not check pods ({why})"


async def test_an_object_that_cannot_be_decoded_is_said_too() -> None:
    with pytest.raises(Undecodable) as failed:
        decoder_for(Experiment)(b'{"metadata":{"name":"e","namespace":"ns"},"spec":1}')
    found = await attempt("trials", read(failed.value))
    assert found == Unread("trials", str(failed.value))
    assert "Experiment ns/e cannot be read" in str(found)


async def test_what_is_not_there_is_none_and_may_be_given_a_value() -> None:
    assert await attempt("pods", read(NotFound("no", status=404))) is None
    assert await attempt("pods", read(3)) == 3
    assert present(None, 7) == 7
    assert present(3, 7) == 3


def test_a_missing_kind_and_a_missing_object_have_different_remedies() -> None:
    session = Session(client=None, namespace="ns")  # type: ignore[arg-type]
    kind = session.not_found(Experiment.resource, "e", NotFound("404 page not found", status=404))
    assert "kubectl apply -k config/crd" in str(kind)
    gone = session.not_found(Experiment.resource, "e", NotFound("no", status=404, reason="NotFound"))
    assert str(gone) == "there is no Experiment e in namespace ns; kfx get experiments -A lists all"
