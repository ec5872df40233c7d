"""Certificates and kubeconfigs of a cluster."""

import base64
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hack.cluster.certificates import Authority, certificate_user, write_kubeconfig, write_private


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki")


def load(authority: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((authority.folder / f"{name}.crt").read_bytes())


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_client_has_its_group_and_no_servers_rights(authority: Authority) -> None:
    authority.issue("node", "system:node:n", group="system:nodes")
    certificate = load(authority, "node")
    certificate.verify_directly_issued_by(authority.certificate)
    names = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert names == {NameOID.COMMON_NAME: "system:node:n", NameOID.ORGANIZATION_NAME: "system:nodes"}
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_server_has_its_names_and_addresses(authority: Authority) -> None:
    authority.issue("server", "s", dns=["a.b"], ips=["10.0.0.1"])
    names = load(authority, "server").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.b"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages(load(authority, "server"))


def test_a_kubeconfig_is_complete_and_private(authority: Authority, tmp_path: Path) -> None:
    authority.issue("admin", "a")
    file = tmp_path / "new" / "kubeconfig"
    write_kubeconfig(
        file,
        server="https://10.77.0.1:7443",
        ca_file=authority.folder / "ca.crt",
        user=certificate_user(authority.folder, "admin"),
        name="kfx-0",
    )
    document = yaml.safe_load(file.read_text())
    assert document["current-context"] == document["contexts"][0]["name"] == "kfx-0"
    encoded = document["users"][0]["user"]["client-certificate-data"]
    assert base64.b64decode(encoded) == (authority.folder / "admin.crt").read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_private_files_are_never_open_even_when_they_replace_open_ones(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
