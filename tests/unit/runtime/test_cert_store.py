"""Reading a pair from a Secret, and the patch that tells webhooks whom to trust."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kfx.runtime.cert_store import authorities_of, bundle_patch, pair_of
from kfx.runtime.certs import trusted_now
from kfx.runtime.pki import CertificateError, Pair
from tests.serving import new_pair

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def secret_of(pair: Pair, **changed: bytes) -> dict[str, Any]:
    content = {"ca.crt": pair.bundle, "tls.crt": pair.cert_pem, "tls.key": pair.key_pem, **changed}
    return {"data": {key: b64encode(value).decode() for key, value in content.items()}}


def test_a_secret_gives_its_pair() -> None:
    pair = new_pair("a.svc", "b.svc", now=NOW)
    assert pair_of(secret_of(pair), ["a.svc"], now=NOW) == pair


@pytest.mark.parametrize("secret", [{}, {"data": None}, {"data": {}}, {"data": {"ca.crt": ""}}])
def test_an_empty_secret_has_no_pair(secret: dict[str, Any]) -> None:
    with pytest.raises(CertificateError, match="is empty"):
        pair_of(secret, ["a.svc"], now=NOW)


def test_a_secret_for_other_names_is_refused_with_those_missing() -> None:
    with pytest.raises(CertificateError, match=r"does not speak for b\.svc, c\.svc"):
        pair_of(secret_of(new_pair("a.svc", now=NOW)), ["a.svc", "c.svc", "b.svc"], now=NOW)


@pytest.mark.parametrize("key", ["ca.crt", "tls.crt", "tls.key"])
def test_a_part_of_another_pair_is_refused(key: str) -> None:
    pair, other = new_pair("a.svc", now=NOW), new_pair("a.svc", now=NOW)
    foreign = {"ca.crt": other.bundle, "tls.crt": other.cert_pem, "tls.key": other.key_pem}
    with pytest.raises(CertificateError):
        pair_of(secret_of(pair, **{key: foreign[key]}), ["a.svc"], now=NOW)


def test_what_is_not_base64_is_refused() -> None:
    secret = secret_of(new_pair(now=NOW))
    secret["data"]["tls.key"] = "$$$"
    with pytest.raises(CertificateError):
        pair_of(secret, [], now=NOW)


def test_authorities_survive_a_broken_pair() -> None:
    pair = new_pair(now=NOW)
    assert authorities_of(secret_of(pair, **{"tls.key": b"half"}), now=NOW) == pair.authorities
    assert authorities_of({"data": {"ca.crt": "rubbish"}}, now=NOW) == ()
    assert authorities_of({}, now=NOW) == ()


def configuration(*bundles: str | None) -> dict[str, Any]:
    webhooks = [
        {"name": f"w{i}", "clientConfig": {"url": "https://x", **({"caBundle": b} if b is not None else {})}}
        for i, b in enumerate(bundles)
    ]
    return {"metadata": {"resourceVersion": "7"}, "webhooks": webhooks}


def test_only_webhooks_with_another_bundle_are_patched_and_only_this_version_of_them() -> None:
    right = b64encode(b"pem").decode()
    assert bundle_patch(configuration(right, None, "", "eA=="), b"pem") == {
        "metadata": {"resourceVersion": "7"},
        "webhooks": [{"name": f"w{i}", "clientConfig": {"caBundle": right}} for i in (1, 2, 3)],
    }


@pytest.mark.parametrize(
    "found", [configuration(b64encode(b"pem").decode()), configuration(), {"metadata": {}}]
)
def test_where_all_is_right_nothing_is_patched(found: dict[str, Any]) -> None:
    assert bundle_patch(found, b"pem") is None


def test_a_predecessor_is_trusted_for_an_hour() -> None:
    old, new = new_pair(now=NOW - timedelta(days=300)), new_pair(now=NOW)
    both = Pair(
        new.cert_pem, new.key_pem, (*new.authorities, *old.authorities), new.not_before, new.not_after
    )
    assert trusted_now(both, NOW) == new.bundle + old.bundle
    assert trusted_now(both, NOW + timedelta(minutes=59)) == new.bundle + old.bundle
    assert trusted_now(both, NOW + timedelta(hours=1)) == new.bundle
