"""Certificates as values."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kfx.runtime.pki import SKEW, CertificateError, Pair, issue, names_of, read_authorities, read_pair
from kfx.runtime.tls import load_pair
from tests.serving import new_pair

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def leaf_of(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert_pem)


def test_an_issued_pair_reads_back_as_itself() -> None:
    pair = new_pair("a.svc", "b.svc", now=NOW)
    assert read_pair(pair.cert_pem, pair.key_pem, pair.bundle, now=NOW) == pair
    assert names_of(pair) == {"a.svc", "b.svc", "127.0.0.1"}


def test_an_issued_pair_is_what_a_webhook_needs() -> None:
    pair = new_pair("a.svc", now=NOW)
    leaf, authority = leaf_of(pair), x509.load_pem_x509_certificate(pair.authorities[0])
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    assert leaf.not_valid_before_utc == NOW - SKEW
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)
    assert authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "test-ca"
    assert authority.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "test"
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_name_too_long_for_the_subject_still_counts() -> None:
    name = f"webhook.{'n' * 63}.svc"
    pair = new_pair(name, now=NOW)
    assert name in names_of(pair)
    assert leaf_of(pair).subject.rfc4514_string() == ""
    assert leaf_of(pair).extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_no_two_authorities_are_the_same() -> None:
    first, second = new_pair(now=NOW), new_pair(now=NOW)
    assert first.authorities != second.authorities
    with pytest.raises(CertificateError, match="no valid authority"):
        read_pair(first.cert_pem, first.key_pem, second.bundle, now=NOW)


def test_the_signer_comes_first_whatever_the_order_of_the_bundle() -> None:
    pair, other = new_pair(now=NOW), new_pair(now=NOW)
    read = read_pair(pair.cert_pem, pair.key_pem, other.bundle + pair.bundle, now=NOW)
    assert read.authorities == (*pair.authorities, *other.authorities)


def test_a_pair_is_renewed_at_two_thirds_of_its_life() -> None:
    pair = issue(["a"], now=NOW, common_name="c", organization="o", lifetime=timedelta(hours=29))
    assert pair.renew_at == NOW - SKEW + timedelta(hours=20)


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        ("whole", "other", "does not belong"),
        ("half", "whole", "is not PEM, or is cut short"),
        ("whole", "half", "cannot be read"),
        ("empty", "whole", "is not PEM"),
        ("whole", "empty", "cannot be read"),
        ("garbage", "whole", "is not PEM"),
    ],
)
def test_what_is_no_pair_is_refused(cert: str, key: str, reason: str) -> None:
    pair, other = new_pair(now=NOW), new_pair(now=NOW)
    certs = {"whole": pair.cert_pem, "half": pair.cert_pem[:300], "empty": b"", "garbage": b"\x00\xff"}
    keys = {"whole": pair.key_pem, "half": pair.key_pem[:90], "empty": b"", "other": other.key_pem}
    with pytest.raises(CertificateError, match=reason):
        read_pair(certs[cert], keys[key], None, now=NOW)


@pytest.mark.parametrize(
    ("days", "reason"), [(366, "expired at 2027-05-01"), (-2, "valid only from 2026-05-01")]
)
def test_the_time_must_be_right(days: int, reason: str) -> None:
    pair = new_pair(now=NOW)
    with pytest.raises(CertificateError, match=reason):
        read_pair(pair.cert_pem, pair.key_pem, None, now=NOW + timedelta(days=days))


def test_a_clock_an_hour_behind_still_accepts() -> None:
    pair = new_pair(now=NOW)
    assert read_pair(pair.cert_pem, pair.key_pem, None, now=NOW - 2 * SKEW)


def test_a_server_certificate_is_no_authority() -> None:
    pair, other = new_pair(now=NOW), new_pair(now=NOW)
    with pytest.raises(CertificateError, match="no valid authority"):
        read_pair(pair.cert_pem, pair.key_pem, pair.cert_pem + other.cert_pem, now=NOW)


def test_expired_authorities_are_left_out() -> None:
    old, new = new_pair(now=NOW - timedelta(days=400)), new_pair(now=NOW)
    assert read_authorities(old.bundle + new.bundle, now=NOW) == new.authorities


def test_no_text_about_a_pair_holds_its_key() -> None:
    pair = new_pair(now=NOW)
    secret = pair.key_pem.decode().splitlines()[1]
    assert secret not in repr(pair)
    with pytest.raises(CertificateError) as caught:
        load_pair(replace(pair, cert_pem=new_pair(now=NOW).cert_pem))
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_loaded_pair_offers_nothing_old() -> None:
    context = load_pair(new_pair())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    ciphers = {each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"}
    assert ciphers
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in ciphers)
