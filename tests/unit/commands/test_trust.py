from datetime import UTC, datetime, timedelta

from kfx.commands.trust import judge_bundle
from tests.serving import new_pair

NOW = datetime.now(UTC)


def test_the_authority_that_has_signed_is_trusted() -> None:
    pair = new_pair()
    assert judge_bundle(pair.bundle, pair.cert_pem, now=NOW) == ""


def test_a_certificate_that_is_its_own_authority_is_trusted() -> None:
    pair = new_pair()
    assert judge_bundle(pair.cert_pem, pair.cert_pem, now=NOW) == ""


def test_the_authority_of_another_certificate_is_not() -> None:
    assert "is not of the authority" in judge_bundle(new_pair().bundle, new_pair().cert_pem, now=NOW)


def test_one_of_several_authorities_is_enough() -> None:
    pair = new_pair()
    assert judge_bundle(new_pair().bundle + pair.bundle, pair.cert_pem, now=NOW) == ""


def test_what_is_empty_no_certificate_or_too_old_is_told_apart() -> None:
    assert judge_bundle(b"\n", b"", now=NOW) == "is empty"
    assert judge_bundle(b"Cg==", b"", now=NOW) == "holds no certificate in PEM form"
    late = NOW + timedelta(days=36500)
    assert judge_bundle(new_pair().bundle, b"", now=late).startswith("expired on 20")


def test_without_a_known_certificate_any_authority_in_time_will_do() -> None:
    assert judge_bundle(new_pair().bundle, b"", now=NOW) == ""
    assert judge_bundle(new_pair().bundle, b"no certificate", now=NOW) == ""
