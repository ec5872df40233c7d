"""kfx with exactly the rights of Katib's own role, as after an exchange of the image in an installation."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hack.cluster.layout import Layout
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import SECRETS
from kfx.runtime.events import EVENTS
from tests.cluster.installation import (
    CORE,
    bundles,
    ensure,
    free_ports,
    prepared,
    readiness,
    register_without_bundle,
    remove,
    stored,
    until_ready,
)
from tests.cluster.job_kinds import RUN, install
from tests.cluster.job_kinds import remove as remove_kinds
from tests.cluster.katib import NAMESPACE, Platform, condition, manifest, working
from tests.cluster.site import account_of_kfx, grant_rights
from tests.cluster.test_webhooks import pod, register
from tests.katib_objects import JOBS

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

ROLE = Path(__file__).resolve().parents[2] / "config" / "rbac" / "katib"
BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
MORE = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]


@pytest.fixture
async def client(cluster: Layout) -> AsyncIterator[Client]:
    """The administrator's, with Katib's role bound to katib-controller."""
    async with prepared(load_credentials(str(cluster.kubeconfig))) as client:
        await grant_rights(client, ROLE)
        yield client


@pytest.fixture
def narrow(client: Client, cluster: Layout, tmp_path: Path) -> Credentials:
    """Those of ServiceAccount kubeflow/katib-controller."""
    return account_of_kfx(cluster, tmp_path)


def told(lines: list[Any], event: str) -> list[Any]:
    return [line for line in lines if line["event"] == event]


async def train(platform: Platform, trial: str) -> dict[str, Any]:
    """What the job controller would make, one pod below another, through the pod webhook."""
    job = await platform.read(JOBS, trial)
    upper = await platform.client.create(Pod.resource, training(f"{trial}-a", job), namespace=NAMESPACE)
    return await platform.client.create(Pod.resource, training(f"{trial}-b", upper), namespace=NAMESPACE)


def training(name: str, owner: dict[str, Any]) -> dict[str, Any]:
    found = pod(name, owner)
    found["spec"]["containers"][0]["name"] = "train"
    return found


async def test_an_experiment_runs_to_its_end_and_webhooks_answer(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    health, port = free_ports(2)
    flags = (f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    with capture_logs() as lines:
        async with working(client, narrow, tmp_path, *flags) as platform:
            await until_ready(health)
            await register(client, port, b64encode((tmp_path / "tls.crt").read_bytes()).decode())
            await client.create(Experiment.resource, manifest("narrow", most=2), namespace=NAMESPACE)
            good, bad = await platform.running_trials("narrow", 2)
            made = await train(platform, good)
            assert made["metadata"]["labels"]["katib.kubeflow.org/trial"] == good
            collectors = [each["name"] for each in made["spec"]["initContainers"]]
            assert collectors == ["metrics-logger-and-collector"]
            await platform.finish(good, value="0.1")
            await platform.finish(bad, kind="Failed")
            found = await platform.ended(Experiment, "narrow")
            assert condition(found, "Succeeded")
            status = found["status"]
            assert (status["trialsSucceeded"], status["trialsFailed"]) == (1, 1)
            events = {event["reason"] for event in await platform.items(EVENTS)}
            assert {"JobCreated", "JobSucceeded", "JobFailed"} <= events
            assert "[+]informers ok" in await readiness(health)
    (withheld,) = told(lines, "may not be followed; going on without")
    assert withheld["resource"] == "pods"
    assert withheld["without"] == "trials do not fail for pods that cannot start, nor tell of them"
    assert 'verbs: ["get", "list", "watch"]' in withheld["remedy"]
    warnings = [line for line in lines if line["log_level"] in {"warning", "error"}]
    assert warnings == [withheld]


async def test_the_certificate_goes_into_the_secret_that_katib_shipped(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    await ensure(client, SECRETS, "katib-webhook-cert", CORE)
    await register_without_bundle(client)
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {enable: true}}")
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    async with working(client, narrow, tmp_path, *flags):
        await until_ready(health)
        content = await stored(client, "katib-webhook-cert")
        assert set(content) == {"ca.crt", "tls.crt", "tls.key"}
        assert await bundles(client) == [content["ca.crt"]] * 3
    await remove(client, SECRETS, CORE, "katib-webhook-cert")


async def test_without_the_secret_the_certificate_is_served_from_memory_and_that_is_said_once(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    await register_without_bundle(client)
    health, port = free_ports(2)
    file = tmp_path / "katib-config.yaml"
    file.write_text("init: {certGenerator: {enable: true}}")
    flags = (f"--katib-config={file}", f"--healthz-addr=127.0.0.1:{health}", f"--webhook-port={port}")
    with capture_logs() as lines:
        async with working(client, narrow, tmp_path, *flags):
            await until_ready(health)
            assert all(await bundles(client))
    (said,) = told(lines, "the certificate is kept in memory only: run one replica")
    assert said["error"] == (
        "the role grants no create on Secret kubeflow/katib-webhook-cert; in namespace kubeflow grant the "
        'rule {apiGroups: [""], resources: ["secrets"], verbs: ["create"]}'
    )


async def test_election_without_the_right_to_leases_names_it_and_leads_nobody(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    with capture_logs() as lines:
        async with working(client, narrow, tmp_path, "--enable-leader-election") as platform:

            async def said() -> list[Any]:
                return told(lines, "lease not written")

            await platform.until(said)
            await asyncio.sleep(5)  # two more tries
    (line,) = told(lines, "lease not written")
    assert 'cannot get resource "leases"' in line["error"]
    assert not told(lines, "controllers started")


async def test_what_needs_more_rights_begins_when_they_are_there(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    with capture_logs() as lines:
        async with working(client, narrow, tmp_path) as platform:
            await client.create(
                Experiment.resource, manifest("wide", most=1, parallel=1), namespace=NAMESPACE
            )
            (name,) = await platform.running_trials("wide", 1)
            await platform.make_pod(name)
            await say_never(client, name)
            await grant(client)
            found = await platform.ended(Trial, name)
            assert "ErrImageNeverPull" in str(condition(found, "Failed"))
    assert len(told(lines, "may not be followed; going on without")) == 1
    pods = [line for line in told(lines, "following") if line["resource"] == "pods"]
    assert len(pods) == 1
    await revoke(client)


async def test_a_kind_that_no_flag_names_waits_for_the_right_to_follow_it(
    client: Client, narrow: Credentials, tmp_path: Path
) -> None:
    """Decision 4. No job is made whose end nobody would see."""
    await install(client, RUN)
    async with working(client, narrow, tmp_path, strict_kinds=False) as platform:
        await client.create(Trial.resource, RUN.trial("unlisted"), namespace=NAMESPACE)

        async def said() -> Any:
            found = (await platform.read(Trial, "unlisted")).get("status", {}).get("conditions", [])
            return found and "KindForbidden" in found[-1]["message"] and found[-1]["message"]

        message = await platform.until(said)
        assert message.startswith("Trial is created. KindForbidden: jobs of kind Run may not be followed")
        assert 'resources: ["runs"]' in message
        assert await platform.items(RUN.resource) == []
    await remove_kinds(client, RUN)


async def say_never(client: Client, name: str) -> None:
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "not present with pull policy of Never"}}
    state = {"name": "train", "image": "trainer", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**state, "state": waiting}]}
    await client.patch(Pod.resource, NAMESPACE, name, {"status": status}, subresource="status")


async def grant(client: Client) -> None:
    await ensure(client, ROLES, "more", rules=MORE)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "more"}
    account = {"kind": "ServiceAccount", "name": "katib-controller", "namespace": CORE}
    await ensure(client, BINDINGS, "more", roleRef=role, subjects=[account])


async def revoke(client: Client) -> None:
    await remove(client, BINDINGS, "", "more")
    await remove(client, ROLES, "", "more")
