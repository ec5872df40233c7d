"""The whole process and what it is told: katib-config as it changes, and the certificates it asks for."""

import shutil
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import ApiError, NotFound
from kfx.runtime.cert_store import SECRETS
from kfx.runtime.pki import Pair, names_of, read_pair
from kfx.runtime.tls import dial, verifier_of
from tests.cluster.installation import (
    CONFIG_MAPS,
    CORE,
    bundles,
    ensure,
    free_ports,
    prepared_client,
    register_without_bundle,
    remove,
    stored,
    until,
    until_ready,
)
from tests.cluster.katib import working
from tests.cluster.test_webhooks import HOOKS, register, sample
from tests.serving import new_pair, write_pair

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


client = pytest.fixture(prepared_client)


async def verdict(client: Client, **spec: Any) -> str:
    """Of the webhooks on an Experiment that is in order but for ``spec``: ``""``, or why it is refused."""
    try:
        await client.create(
            Experiment.resource, sample(name="probe", **spec), namespace="default", dry_run=True
        )
    except ApiError as refused:
        return refused.message
    return ""


async def state(client: Client, data: dict[str, str | None]) -> None:
    """katib-config with this ``data`` and no other."""
    try:
        await client.patch(CONFIG_MAPS, CORE, "katib-config", {"data": data})
    except NotFound:
        await ensure(client, CONFIG_MAPS, "katib-config", CORE, data=data)


@asynccontextmanager
async def asked(client: Client, credentials: Credentials, folder: Path, *flags: str) -> AsyncIterator[int]:
    """The process, with its certificate in files, once the API server asks it; the webhooks' port."""
    health, port = free_ports(2)
    own = (f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, credentials, folder, *own, *flags):
        await until_ready(health)
        await register(client, port, b64encode((folder / "tls.crt").read_bytes()).decode())
        yield port


NEW, OLD = "katib-config.yaml", "metrics-collector-sidecar"
STATES: list[tuple[dict[str, str | None], str]] = [
    (
        {NEW: "runtime: {metricsCollectors: [{kind: StdOut}]}"},
        "required value for image config",
    ),
    ({NEW: "runtime: {metricsCollectors: [{kind: StdOut, image: theirs}]}"}, ""),
    ({NEW: "runtime: {suggestions: foo}"}, "Expected `array`, got `str` - at `$.runtime.suggestions`"),
    ({NEW: None, OLD: '{"StdOut": {"image": "theirs"}}'}, ""),
    ({OLD: '{"StdOut": {"image": " "}}'}, "required value for image configuration of metrics collector kind"),
    ({OLD: '{"StdOut": 1}'}, "failed to decode metrics-collector-sidecar (StdOut) in ConfigMap katib-config"),
    ({OLD: None, "other": ""}, "failed to find katib-config.yaml in ConfigMap: katib-config"),
]


async def test_katib_config_acts_as_it_changes_in_both_of_its_forms(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    async with asked(client, credentials, tmp_path):
        assert await until_verdict(client, "") == ""
        for data, reason in STATES:
            await state(client, data)
            assert reason in await until_verdict(client, reason), data
        await client.delete(CONFIG_MAPS, CORE, "katib-config")
        assert await until_verdict(client, "") == ""


async def until_verdict(client: Client, reason: str, **spec: Any) -> str:
    async def told() -> list[str]:
        found = await verdict(client, **spec)
        return [found] if (reason in found if reason else not found) else []

    (found,) = await until(told)
    return str(found)


STOPPING = """
runtime:
  metricsCollectors: [{kind: StdOut, image: theirs}]
  suggestions: [{algorithmName: random, image: theirs}]
  earlyStoppings: [%s]
"""
MEDIAN = "{algorithmName: medianstop, image: theirs}"
BLANK = "required value for image configuration of algorithm name: medianstop"
RULES = [
    # entries, the rule that is asked for, why it is refused with --suggestions=embedded and =image
    ("", "medianstop", "this kfx answers: none; else drop", "failed to find early stopping config for algor"),
    (MEDIAN, "medianstop", "", ""),
    (MEDIAN, "best", "by ConfigMap katib-config: medianstop", "early stopping config for algorithm: best in"),
    ("{algorithmName: medianstop, image: ' '}", "medianstop", BLANK, BLANK),
    (MEDIAN, "medianstop", "", ""),
]


@pytest.mark.parametrize("place", ["embedded", "image"])
async def test_a_rule_for_early_stopping_is_judged_by_what_katib_config_names(
    client: Client, credentials: Credentials, tmp_path: Path, place: str
) -> None:
    await state(client, {NEW: STOPPING % ""})
    async with asked(client, credentials, tmp_path, f"--suggestions={place}"):
        for entries, rule, embedded, image in RULES:
            await state(client, {NEW: STOPPING % entries})
            reason = embedded if place == "embedded" else image
            found = await until_verdict(client, reason, earlyStopping={"algorithmName": rule})
            assert ("spec.earlyStopping.algorithmName: Invalid value" in found) == bool(reason)
        collector = {"collector": {"kind": "TensorFlowEvent"}}
        found = await verdict(
            client, earlyStopping={"algorithmName": "medianstop"}, metricsCollectorSpec=collector
        )
        assert "spec.earlyStopping: Forbidden" in found
    await client.delete(CONFIG_MAPS, CORE, "katib-config")


async def test_an_enabled_generator_issues_for_its_service_and_mends_a_wiped_bundle_in_10_s(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {webhookServiceName: hooks, webhookSecretName: hooks-cert}}")
    await register_without_bundle(client)
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    # complete files are in --cert-dir as well, and lose
    async with working(client, credentials, tmp_path, *flags):
        await until_ready(health)
        content = await stored(client, "hooks-cert")
        assert set(content) == {"ca.crt", "tls.crt", "tls.key"}
        assert await bundles(client) == [content["ca.crt"]] * 3
        pair = as_pair(content)
        assert "hooks.kubeflow.svc" in names_of(pair)
        assert await dial(("127.0.0.1", port), verifier_of(pair, "hooks.kubeflow.svc")) is None
        assert await dial(("127.0.0.1", port), verifier_of(pair, "katib-controller.kubeflow.svc")) is not None
        wiped = [{"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]
        await client.patch(HOOKS["MutatingWebhookConfiguration"], "", "katib.kubeflow.org", wiped)
        assert b"" in await bundles(client)
        await until(lambda: all_are(client, content["ca.crt"]), seconds=10)
    await remove(client, SECRETS, CORE, "hooks-cert")


async def test_files_that_change_are_what_the_api_server_sees_within_10_s_and_without_a_restart(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    async with asked(client, credentials, tmp_path) as port:
        fresh = new_pair()
        write_pair(tmp_path, fresh)
        await until(lambda: answers(port, fresh), seconds=10)
        # the old one is trusted no longer, so that only the new one can make a call succeed
        await trust(client, fresh.authorities[0])
        assert await until_verdict(client, "") == ""
        assert await all_are(client, fresh.authorities[0]), "files are somebody else's, and so is the bundle"


async def answers(port: int, pair: Pair) -> bool:
    return await dial(("127.0.0.1", port), verifier_of(pair)) is None


async def trust(client: Client, bundle: bytes) -> None:
    for resource in HOOKS.values():
        document = await client.get_document(resource, "", "katib.kubeflow.org")
        for hook in document["webhooks"]:
            hook["clientConfig"]["caBundle"] = b64encode(bundle).decode()
        await client.patch(resource, "", "katib.kubeflow.org", {"webhooks": document["webhooks"]})


OPENSSL = """
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -set_serial 0 \\
  -subj /O=katib/CN=katib-ca -addext subjectAltName=DNS:katib-ca
echo "subjectAltName=DNS:katib-controller.kubeflow.svc" > names
openssl req -newkey rsa:2048 -nodes -keyout pkcs8.key -out csr -subj /CN=katib-controller.kubeflow.svc
openssl rsa -in pkcs8.key -traditional -out tls.key
openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -set_serial 1 -days 365 -extfile names -out tls.crt
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl gives the serial number 0")
async def test_the_certificate_that_katib_made_is_served_as_it_is(
    client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    subprocess.run(["sh", "-ec", OPENSSL], cwd=tmp_path, check=True, capture_output=True)
    katibs = {name: (tmp_path / name).read_bytes() for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")}
    data = {key: b64encode(value).decode() for key, value in katibs.items()}
    await ensure(client, SECRETS, "katibs-cert", CORE, data=data)
    await register_without_bundle(client)
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {webhookSecretName: katibs-cert}}")
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, credentials, tmp_path, *flags):
        await until_ready(health)
        assert await stored(client, "katibs-cert") == katibs
        assert await bundles(client) == [katibs["ca.crt"]] * 3
    await remove(client, SECRETS, CORE, "katibs-cert")


async def all_are(client: Client, bundle: bytes) -> bool:
    return await bundles(client) == [bundle] * 3


def as_pair(content: dict[str, bytes]) -> Pair:
    return read_pair(content["tls.crt"], content["tls.key"], content["ca.crt"], now=datetime.now(UTC))
