"""Whom a context trusts and what it shows, proven by handshakes in memory."""

import os
import ssl
import tempfile
from pathlib import Path

import pytest

from kfx.kube.tls import CredentialsError, Material, Tls
from tests.pki import Pair, authority

OURS, THEIRS = authority("ours"), authority("theirs")
SERVER, CLIENT = OURS.issue("api.example"), OURS.issue("kfx")


def inline(origin: str, data: bytes) -> Material:
    return Material(origin, data=data)


def ca_of(data: bytes) -> Tls:
    return Tls(ca=inline("config: clusters: certificate-authority-data", data))


def showing(pair: Pair) -> Tls:
    return Tls(
        ca=inline("ca", OURS.pem),
        certificate=inline("config: client-certificate-data", pair.certificate),
        key=inline("config: client-key-data", pair.key),
    )


def server_side(directory: Path, pair: Pair = SERVER) -> ssl.SSLContext:
    file = directory / "server.pem"
    file.write_bytes(pair.certificate + pair.key)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(file)
    found.load_verify_locations(cadata=OURS.pem.decode())
    found.verify_mode = ssl.CERT_OPTIONAL
    return found


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "api.example") -> ssl.SSLObject:
    """The server's end of a connection; raises what the client finds wrong."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name)
    far = server.wrap_bio(up, down, server_side=True)
    for _ in range(5):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return far


def test_the_given_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    server = server_side(tmp_path)
    assert handshake(ca_of(OURS.pem).context(), server).version() in {"TLSv1.2", "TLSv1.3"}
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ca_of(THEIRS.pem).context(), server)


def test_one_of_several_authorities_is_enough(tmp_path: Path) -> None:
    assert handshake(ca_of(THEIRS.pem + OURS.pem).context(), server_side(tmp_path)).version()


def test_without_an_authority_the_system_decides(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(Tls().context(), server_side(tmp_path))


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
        handshake(ca_of(OURS.pem).context(), server_side(tmp_path), "other.example")


def test_only_who_asks_for_it_is_insecure(tmp_path: Path) -> None:
    server = server_side(tmp_path, THEIRS.issue("somebody"))
    assert handshake(Tls(insecure=True).context(), server).version()


@pytest.mark.parametrize("insecure", [False, True])
def test_nothing_older_than_tls_1_2_is_spoken(insecure: bool) -> None:
    assert Tls(insecure=insecure).context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    server = server_side(tmp_path)
    shown = handshake(showing(CLIENT).context(), server).getpeercert()
    assert shown is not None
    assert shown["subject"] == ((("commonName", "kfx"),),)
    assert handshake(ca_of(OURS.pem).context(), server).getpeercert() is None


def test_certificate_and_key_may_be_files(tmp_path: Path) -> None:
    for name, text in (("ca", OURS.pem), ("crt", CLIENT.certificate), ("key", CLIENT.key)):
        (tmp_path / name).write_bytes(text)
    ca, certificate, key = (Material(name, path=tmp_path / name) for name in ("ca", "crt", "key"))
    found = Tls(ca=ca, certificate=certificate, key=key).context()
    assert handshake(found, server_side(tmp_path)).getpeercert()


def test_a_comment_in_a_bundle_may_be_in_any_language(tmp_path: Path) -> None:
    bundle = "# NetLock Arany (Class Gold) Főtanúsítvány\n".encode() + OURS.pem
    assert handshake(ca_of(bundle).context(), server_side(tmp_path)).version()


@pytest.mark.parametrize(
    "text", [b"", b" \n", b"none", b"\xff\xfe\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n"]
)
def test_an_authority_without_a_certificate_is_refused_by_its_field(text: bytes) -> None:
    with pytest.raises(CredentialsError, match=r"config: clusters: certificate-authority-data: no PEM"):
        ca_of(text).context()


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(Pair(CLIENT.certificate, SERVER.key), id="key-of-another"),
        pytest.param(OURS.issue("kfx", password=b"hidden"), id="encrypted-key"),
        pytest.param(Pair(CLIENT.certificate, b"nonsense"), id="no-key"),
        pytest.param(Pair(b"nonsense", CLIENT.key), id="no-certificate"),
        pytest.param(Pair(b"", b""), id="empty"),
    ],
)
def test_a_pair_that_is_none_is_refused_without_showing_the_key(pair: Pair) -> None:
    with pytest.raises(CredentialsError) as caught:
        showing(pair).context()
    text = str(caught.value)
    assert text.startswith(
        "config: client-certificate-data and config: client-key-data: not a PEM certificate"
    )
    assert not any(part in text for part in pair.key.decode().split() if len(part) > 12)
    assert caught.value.__cause__ is None


def test_a_file_that_is_lost_is_named_with_its_field_and_a_remedy(tmp_path: Path) -> None:
    ca = Material("config: certificate-authority", path=tmp_path / "ca.crt")
    with pytest.raises(CredentialsError) as caught:
        Tls(ca=ca).context()
    expected = (
        f"config: certificate-authority: cannot read {tmp_path / 'ca.crt'}: No such file or directory; "
    )
    assert str(caught.value) == expected + "correct the path or its permissions"


def test_no_text_form_shows_inline_material() -> None:
    assert "PRIVATE KEY" not in repr(showing(CLIENT))
    assert "CERTIFICATE" not in repr(showing(CLIENT))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_private_key_leaves_no_file_behind(
    in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    open_before = set(os.listdir("/proc/self/fd"))
    showing(CLIENT).context()
    with pytest.raises(CredentialsError):
        showing(Pair(CLIENT.certificate, b"nonsense")).context()
    assert list(tmp_path.iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == open_before


def test_a_replaced_file_changes_the_stamp(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    tls = Tls(ca=Material("ca", path=file), certificate=inline("crt", b"x"), key=inline("key", b"y"))
    lost = tls.stamp()
    assert lost == (None, None, None)
    file.write_bytes(OURS.pem)
    first = tls.stamp()
    assert first == tls.stamp() != lost
    (tmp_path / "new").write_bytes(OURS.pem)
    (tmp_path / "new").rename(file)
    assert tls.stamp() != first
