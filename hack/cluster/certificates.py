"""The cluster's certificate authority, its certificates (ECDSA P-256: made in milliseconds), kubeconfigs."""

import base64
import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates into ``folder``; its own is ``ca.crt`` there."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path) -> "Authority":
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("kfx-cluster-ca", ""), key.public_key())
        certificate = (
            builder.issuer_name(_name("kfx-cluster-ca", ""))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, certificate)

    def issue(
        self,
        file_name: str,
        common_name: str,
        *,
        group: str = "",
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
    ) -> None:
        """Write ``file_name``.crt and .key: for a client, and with names or addresses for a server too."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(_name(common_name, group), key.public_key()).issuer_name(self.certificate.subject)
        if dns or ips:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names = [x509.DNSName(name) for name in dns]
            addresses = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
            builder = builder.add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        (self.folder / f"{file_name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(self.folder / f"{file_name}.key", key)


def write_token_signer(folder: Path) -> None:
    """Write sa.key and sa.pub, which sign and prove the tokens of service accounts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(folder / "sa.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.pub").write_bytes(public)


def certificate_user(folder: Path, file_name: str) -> dict[str, str]:
    """The user entry of a kubeconfig that proves itself by a certificate of :meth:`Authority.issue`."""
    return {
        "client-certificate-data": _encoded(folder / f"{file_name}.crt"),
        "client-key-data": _encoded(folder / f"{file_name}.key"),
    }


def write_kubeconfig(
    file: Path, *, server: str, ca_file: Path, user: dict[str, str], name: str, namespace: str = "default"
) -> None:
    """Write a self-contained kubeconfig, readable by its owner only."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(ca_file)}}
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    write_private(file, yaml.safe_dump(document, sort_keys=False).encode())


def write_private(file: Path, content: bytes) -> None:
    """Replace ``file`` at once by a version that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    draft.replace(file)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _name(common_name: str, group: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(file, pem)
