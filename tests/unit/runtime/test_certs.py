"""Certificates from files: what goes live, and when."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kfx.runtime import certs
from kfx.runtime.certs import FileCertificates
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.pki import CertificateError, Pair
from kfx.runtime.tls import LiveContext, dial, load_pair, verifier_of
from tests.serving import new_pair, write_pair

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[tuple[str, int]]:
    """Completes handshakes and does nothing else."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def serves(bound: tuple[str, int], pair: Pair, name: str = "") -> bool:
    return await dial(bound, verifier_of(pair, name)) is None


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "POLL_INTERVAL", 0.01)


async def eventually_serves(bound: tuple[str, int], pair: Pair) -> None:
    async with asyncio.timeout(20):
        while not await serves(bound, pair):
            await asyncio.sleep(0.01)


async def test_a_handshake_without_a_certificate_is_refused_not_hung() -> None:
    async with tls_server(LiveContext().context) as bound:
        assert "failed" in (await dial(bound, verifier_of(new_pair())) or "")


async def test_a_client_is_served_with_a_server_name_and_without() -> None:
    pair, live = new_pair("a.svc"), LiveContext()
    live.present(load_pair(pair))
    async with tls_server(live.context) as bound:
        assert await serves(bound, pair, "a.svc")  # sends the name
        assert await serves(bound, pair)  # an address: sends none
        assert not await serves(bound, pair, "b.svc")
        assert not await serves(bound, new_pair("a.svc"), "a.svc")


async def test_old_versions_and_weak_suites_are_refused() -> None:
    pair, live = new_pair(), LiveContext()
    live.present(load_pair(pair))
    weak, modern = verifier_of(pair), verifier_of(pair)
    weak.context.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.context.set_ciphers("AES128-SHA:AES128-GCM-SHA256")
    modern.context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with tls_server(live.context) as bound:
        assert await dial(bound, weak) is not None
        assert await dial(bound, modern) is None


async def test_http_2_is_not_agreed_on() -> None:
    pair, live = new_pair(), LiveContext()
    live.present(load_pair(pair))
    context = verifier_of(pair).context
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with tls_server(live.context) as bound:
        _, writer = await asyncio.open_connection(*bound, ssl=context)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.transport.abort()
    assert chosen == "http/1.1"


@pytest.mark.parametrize("present", [(), ("tls.crt",), ("tls.key",)])
async def test_missing_files_at_the_start_name_the_flag_and_the_remedy(
    tmp_path: Path, present: tuple[str, ...]
) -> None:
    write_pair(tmp_path, new_pair())
    for name in {"tls.crt", "tls.key"} - set(present):
        (tmp_path / name).unlink()
    with pytest.raises(CertificateError) as caught:
        async with FileCertificates(tmp_path, flag="--cert-dir").running():
            pass
    assert str(caught.value).startswith(f"--cert-dir {tmp_path}: tls.")
    assert "No such file or directory. Put a good tls.crt and tls.key there" in str(caught.value)


async def test_an_expired_pair_is_refused_at_the_start(tmp_path: Path) -> None:
    write_pair(tmp_path, new_pair(now=datetime.now(UTC) - timedelta(days=400)))
    with pytest.raises(CertificateError, match="expired"):
        async with FileCertificates(tmp_path).running():
            pass


@pytest.mark.usefixtures("quick_polls")
async def test_a_new_pair_goes_live_for_new_connections_and_breaks_no_old_one(tmp_path: Path) -> None:
    old, new = new_pair(), new_pair()
    write_pair(tmp_path, old)
    source = FileCertificates(tmp_path)
    async with source.running(), tls_server(source.ssl_context()) as bound:
        reader, writer = await asyncio.open_connection(*bound, ssl=verifier_of(old).context)
        write_pair(tmp_path, new)
        await eventually_serves(bound, new)
        verifier = source.verifier()
        assert verifier is not None
        assert await dial(bound, verifier) is None
        assert not await serves(bound, old)
        assert not reader.at_eof()
        writer.transport.abort()


@pytest.mark.usefixtures("quick_polls")
async def test_the_kubelets_swap_of_a_link_is_seen(tmp_path: Path) -> None:
    old, new = new_pair(), new_pair()
    for name, pair in (("first", old), ("second", new)):
        (tmp_path / name).mkdir()
        write_pair(tmp_path / name, pair)
    (tmp_path / "..data").symlink_to("first")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    source = FileCertificates(tmp_path)
    async with source.running(), tls_server(source.ssl_context()) as bound:
        assert await serves(bound, old)
        (tmp_path / "swap").symlink_to("second")
        os.replace(tmp_path / "swap", tmp_path / "..data")
        await eventually_serves(bound, new)


@pytest.mark.usefixtures("quick_polls")
@pytest.mark.parametrize(
    "damage", ["half key", "half certificate", "other key", "empty", "missing", "expired"]
)
async def test_a_bad_pair_never_goes_live_and_a_good_one_after_it_does(tmp_path: Path, damage: str) -> None:
    old, new, other = new_pair(), new_pair(), new_pair()
    expired = new_pair(now=datetime.now(UTC) - timedelta(days=400))
    write_pair(tmp_path, old)
    metrics = RuntimeMetrics()
    source = FileCertificates(tmp_path, metrics=metrics)
    errors = "certwatcher_read_certificate_errors_total"
    async with source.running(), tls_server(source.ssl_context()) as bound:
        cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
        match damage:
            case "half key":
                key.write_bytes(new.key_pem[:100])
            case "half certificate":
                cert.write_bytes(new.cert_pem[:200])
            case "other key":
                key.write_bytes(other.key_pem)
            case "empty":
                cert.write_bytes(b"")
            case "missing":
                key.unlink()
            case _:
                write_pair(tmp_path, expired)
        async with asyncio.timeout(20):
            while not metrics.registry.get_sample_value(errors):
                await asyncio.sleep(0.01)
        assert await serves(bound, old)
        write_pair(tmp_path, new)
        await eventually_serves(bound, new)
