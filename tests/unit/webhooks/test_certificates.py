"""Whose certificate is presented, and for which names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kfx.config import load_config
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.transport import Transport
from kfx.runtime.certs import CertificateSource, FileCertificates, SelfSigned
from kfx.runtime.metrics import RuntimeMetrics
from kfx.webhooks.certificates import certificate_source, webhook_identity
from tests.serving import new_pair, write_pair

ENABLED = "init: {certGenerator: {enable: true}}"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Transport.open(Credentials("http://127.0.0.1:1")) as transport:
        yield Client(transport, user_agent="test")


def source(client: Client, folder: Path, file: str = "") -> CertificateSource:
    path = folder / "katib-config.yaml"
    path.write_text(file)
    config = load_config([f"--cert-dir={folder}", f"--katib-config={path}"], {})
    return certificate_source(config, client, metrics=RuntimeMetrics(), user_agent="test")


async def test_a_whole_pair_in_the_folder_is_used(client: Client, tmp_path: Path) -> None:
    assert isinstance(source(client, tmp_path), SelfSigned)
    write_pair(tmp_path, new_pair())
    assert isinstance(source(client, tmp_path), FileCertificates)


async def test_a_pair_in_the_folder_is_not_used_where_the_generator_is_enabled(
    client: Client, tmp_path: Path
) -> None:
    write_pair(tmp_path, new_pair())
    for file in (ENABLED, "init: {certGenerator: {webhookSecretName: x}}"):
        assert isinstance(source(client, tmp_path, file), SelfSigned)
    assert isinstance(source(client, tmp_path, "init: {certGenerator: {enable: false}}"), FileCertificates)


@pytest.mark.parametrize("half", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("empty", [True, False])
async def test_of_half_a_pair_the_missing_half_is_named(
    client: Client, tmp_path: Path, half: str, empty: bool
) -> None:
    """8.11: files, no key, no certificate."""
    write_pair(tmp_path, new_pair())
    (tmp_path / half).unlink()
    if empty:
        (tmp_path / half).touch()
    with capture_logs() as lines:
        assert isinstance(source(client, tmp_path), SelfSigned)
    assert [line["missing"] for line in lines] == [str(tmp_path / half)]


async def test_the_files_of_an_empty_secret_are_no_pair_and_no_trouble(
    client: Client, tmp_path: Path
) -> None:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).touch()
    with capture_logs() as lines:
        assert isinstance(source(client, tmp_path), SelfSigned)
    assert lines == []


async def test_the_file_names_the_service_and_the_secret(client: Client, tmp_path: Path) -> None:
    names = "init: {certGenerator: {webhookServiceName: hooks, webhookSecretName: pair}}"
    found = source(client, tmp_path, names)
    assert isinstance(found, SelfSigned)
    assert found._store._name == "pair"
    assert found._identity == webhook_identity("hooks", "kubeflow")


def test_a_service_is_known_by_every_name_it_can_be_called_by() -> None:
    identity = webhook_identity("katib-controller", "core")
    assert identity.dns_names == (
        "katib-controller.core.svc",
        "katib-controller.core.svc.cluster.local",
        "katib-controller.core",
        "katib-controller",
    )
    assert (identity.common_name, identity.organization) == ("katib-ca", "katib")
    assert identity.required == identity.dns_names[:1]
