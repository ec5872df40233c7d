"""Whether the API server can trust a webhook by the caBundle it was given."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature


def judge_bundle(bundle: bytes, serving: bytes, *, now: datetime) -> str:
    """What is wrong with ``bundle`` (PEM), ``""`` for nothing.

    ``serving``: the certificate that the webhook is known to show (PEM, the leaf first), ``b""`` where
    that is not known.
    """
    if not bundle.strip():
        return "is empty"
    try:
        authorities = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return "holds no certificate in PEM form"
    current = [each for each in authorities if each.not_valid_after_utc > now]
    if not current:
        ended = max(each.not_valid_after_utc for each in authorities)
        return f"expired on {ended:%Y-%m-%d}"
    leaf = _leaf(serving)
    if leaf is None or _is_signed(leaf, current):
        return ""
    return "is not of the authority that has signed the certificate of the webhook"


def _leaf(serving: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(serving)[0]
    except (ValueError, IndexError):
        return None


def _is_signed(leaf: x509.Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    for authority in authorities:
        if leaf == authority:
            return True
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False
