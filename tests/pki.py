"""Certificates for tests: an authority, and pairs signed by it."""

import datetime
import ipaddress
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """PEM texts of a certificate and its key."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """A certificate authority; ``pem`` is what others trust."""

    pem: bytes
    _certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    def issue(self, name: str, *, password: bytes | None = None) -> Pair:
        """A pair for ``name`` and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        signed = _builder(name, self._certificate.subject, key).add_extension(names, critical=False)
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return Pair(
            signed.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden),
        )


@cache
def authority(name: str = "test authority") -> Authority:
    """One authority for each name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = _builder(name, subject, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    made = built.sign(key, hashes.SHA256())
    return Authority(made.public_bytes(serialization.Encoding.PEM), made, key)


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
