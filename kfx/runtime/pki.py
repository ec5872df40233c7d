"""Certificates as values: issued here, or read and judged. No file, no network."""

import ipaddress
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW = timedelta(hours=1)
"""How far clocks may differ: certificates are valid from this long ago."""
LIFETIME = timedelta(days=365)
LONGEST_COMMON_NAME = 64
PEM = serialization.Encoding.PEM


class CertificateError(Exception):
    """A certificate or key is of no use; the text says why and never holds any of it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A server's certificate (PEM, leaf first) and private key (PEM), with the authorities to trust.

    ``authorities`` (PEM each): first the one that signed the certificate, then older ones still in use.
    """

    cert_pem: bytes
    key_pem: bytes = field(repr=False)
    authorities: tuple[bytes, ...]
    not_before: datetime
    not_after: datetime

    @property
    def renew_at(self) -> datetime:
        """Two thirds of its life are over."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3

    @property
    def bundle(self) -> bytes:
        """The authorities as one PEM text."""
        return b"".join(self.authorities)


def issue(
    dns_names: Sequence[str],
    ip_addresses: Sequence[str] = (),
    *,
    now: datetime,
    common_name: str,
    organization: str,
    lifetime: timedelta = LIFETIME,
) -> Pair:
    """A new authority (``common_name``, ``organization``) and a server certificate it signed.

    ECDSA P-256. Valid from an hour ago until ``now + lifetime``. The authority's key exists only here and is
    dropped, so that nobody can sign a second certificate with it.
    """
    now = now.replace(microsecond=0)  # certificates know whole seconds only
    valid = (now - SKEW, now + lifetime)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    subject, names = _subject(dns_names), _alternative_names(dns_names, ip_addresses)
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(subject, issuer, key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # without a subject the names must be critical (RFC 5280, 4.2.1.6)
        .add_extension(names, critical=not subject.rdns)
        .add_extension(signer, critical=False)
    )
    return Pair(
        cert_pem=certificate.sign(authority_key, hashes.SHA256()).public_bytes(PEM),
        key_pem=key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        authorities=(authority.sign(authority_key, hashes.SHA256()).public_bytes(PEM),),
        not_before=valid[0],
        not_after=valid[1],
    )


def _subject(dns_names: Sequence[str]) -> x509.Name:
    """The first name, where it fits the field; a Service's name may be longer."""
    fitting = [name for name in dns_names[:1] if len(name) <= LONGEST_COMMON_NAME]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in fitting])


def _alternative_names(dns_names: Sequence[str], ip_addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ip_addresses]
    return x509.SubjectAlternativeName([*map(x509.DNSName, dns_names), *addresses])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def read_pair(cert_pem: bytes, key_pem: bytes, bundle_pem: bytes | None, *, now: datetime) -> Pair:
    """Read a pair and judge it: the key fits, the time is right, and one of the bundle signed it.

    Without ``bundle_pem`` the certificate is its own authority. Raises CertificateError.
    """
    leaf = _certificates(cert_pem, "certificate")[0]
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise CertificateError("the private key cannot be read, or is encrypted") from None
    if _spki(key.public_key()) != _spki(leaf.public_key()):
        raise CertificateError("the private key does not belong to the certificate")
    if now >= leaf.not_valid_after_utc:
        raise CertificateError(f"the certificate expired at {leaf.not_valid_after_utc.isoformat()}")
    if now < leaf.not_valid_before_utc - SKEW:
        raise CertificateError(f"the certificate is valid only from {leaf.not_valid_before_utc.isoformat()}")
    authorities = [leaf] if bundle_pem is None else _signers_first(leaf, bundle_pem, now)
    return Pair(
        cert_pem=cert_pem,
        key_pem=key_pem,
        authorities=tuple(each.public_bytes(PEM) for each in authorities),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def names_of(pair: Pair) -> set[str]:
    """The DNS names and addresses the certificate speaks for."""
    leaf = _certificates(pair.cert_pem, "certificate")[0]
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = found.get_values_for_type(x509.IPAddress)
    return {*found.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _signers_first(leaf: x509.Certificate, bundle_pem: bytes, now: datetime) -> list[x509.Certificate]:
    live = _in_time(bundle_pem, now)
    signers = [each for each in live if _signed(leaf, each)]
    if not signers:
        raise CertificateError("no valid authority in the bundle signed the certificate")
    return [*signers, *(each for each in live if each not in signers)]


def read_authorities(bundle_pem: bytes, *, now: datetime) -> tuple[bytes, ...]:
    """Each certificate of a bundle that has not expired, as PEM. Raises CertificateError."""
    return tuple(each.public_bytes(PEM) for each in _in_time(bundle_pem, now))


def _in_time(bundle_pem: bytes, now: datetime) -> list[x509.Certificate]:
    return [each for each in _certificates(bundle_pem, "bundle") if now < each.not_valid_after_utc]


def _signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        leaf.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return constraints.ca


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        with warnings.catch_warnings():
            # the authority that cert-controller makes for Katib has the serial number 0
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(f"the {what} is not PEM, or is cut short") from None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
