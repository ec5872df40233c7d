"""kfx cert-generator as the Job of Katib 0.13 to 0.15: with its names, its flags and its rights."""

import asyncio
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hack.cluster import tokens
from hack.cluster.layout import Layout
from kfx.kube.client import Client
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.pki import names_of, read_pair
from kfx.webhooks.cert_generator import JOBS, SERVICES
from tests.cluster.installation import NAMESPACES, bundles, ensure, register_without_bundle, remove

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

NAMESPACE, SECRET, JOB = "kubeflow", "katib-webhook-cert", "katib-cert-generator"
HOOKS = {each.kind: each for each in WEBHOOK_CONFIGURATIONS}
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

# Katib 0.15, manifests/v1beta1/components/cert-generator/rbac.yaml
RULES = [
    {"apiGroups": [""], "resources": ["secrets", "services"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]},
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": [each.plural for each in WEBHOOK_CONFIGURATIONS],
        "verbs": ["get", "patch"],
    },
]


@pytest.fixture
async def installed(client: Client) -> AsyncIterator[Client]:
    """Katib's manifests, as far as the Job needs them; the Job is suspended, for there is no node."""
    await ensure(client, NAMESPACES, NAMESPACE)
    await ensure(client, ACCOUNTS, JOB, NAMESPACE)
    await ensure(client, ROLES, JOB, rules=RULES)
    subject = {"kind": "ServiceAccount", "name": JOB, "namespace": NAMESPACE}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": JOB}
    await ensure(client, BINDINGS, JOB, roleRef=role, subjects=[subject])
    await ensure(client, SERVICES, "katib-controller", NAMESPACE, spec={"ports": [{"port": 443}]})
    pod = {"restartPolicy": "Never", "containers": [{"name": "cert-generator", "image": "example.org/kfx"}]}
    await ensure(client, JOBS, JOB, NAMESPACE, spec={"suspend": True, "template": {"spec": pod}})
    await register_without_bundle(client)
    yield client
    for resource in WEBHOOK_CONFIGURATIONS:
        await remove(client, resource, "", "katib.kubeflow.org")
    for resource, name in ((SECRETS, SECRET), (JOBS, JOB), (SERVICES, "katib-controller")):
        await remove(client, resource, NAMESPACE, name)


@pytest.fixture
def kubeconfig(cluster: Layout, installed: Client, tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    tokens.write_token_kubeconfig(cluster, namespace=NAMESPACE, service_account=JOB, file=file)
    return file


def run(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As the Job's container runs it."""
    command = [sys.executable, "-m", "kfx", "cert-generator", *words, "--kubeconfig", str(kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def secret_of(client: Client) -> dict[str, Any]:
    return await client.get_document(SECRETS, NAMESPACE, SECRET)


def content(secret: dict[str, Any]) -> dict[str, bytes]:
    return {key: b64decode(value) for key, value in secret["data"].items()}


async def test_the_job_leaves_a_secret_of_its_own_and_every_webhook_trusts_it(
    installed: Client, kubeconfig: Path
) -> None:
    ended = run(kubeconfig, "generate", "--namespace=kubeflow")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    secret, now = await secret_of(installed), datetime.now(UTC)
    assert secret["type"] == "kubernetes.io/tls"
    job = await installed.get_document(JOBS, NAMESPACE, JOB)
    assert secret["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": JOB,
            "uid": job["metadata"]["uid"],
            "controller": True,
        }
    ]
    stored = content(secret)
    assert await bundles(installed) == [stored["ca.crt"]] * 3
    pair = read_pair(stored["tls.crt"], stored["tls.key"], stored["ca.crt"], now=now)
    assert names_of(pair) == {
        "katib-controller",
        "katib-controller.kubeflow",
        "katib-controller.kubeflow.svc",
        "katib-controller.kubeflow.svc.cluster.local",
    }
    leaf = x509.load_pem_x509_certificate(stored["tls.crt"])
    assert leaf.subject.rfc4514_string() == "CN=katib-controller.kubeflow.svc"
    assert pair.not_after - now > timedelta(days=3649)
    assert "BEGIN" not in ended.stderr


async def test_a_second_run_replaces_a_secret_of_whatever_type(installed: Client, kubeconfig: Path) -> None:
    await ensure(installed, SECRETS, SECRET, NAMESPACE, type="Opaque")
    assert (
        run(kubeconfig, "-n", "kubeflow", "-j=katib-cert-generator", "-s", "katib-controller").returncode == 0
    )
    first = content(await secret_of(installed))
    assert run(kubeconfig).returncode == 0
    second = content(await secret_of(installed))
    assert second["tls.key"] != first["tls.key"]
    assert await bundles(installed) == [second["ca.crt"]] * 3


async def test_the_secret_goes_with_its_job(installed: Client, kubeconfig: Path) -> None:
    assert run(kubeconfig).returncode == 0
    await installed.delete(JOBS, NAMESPACE, JOB, propagation="Background")
    async with asyncio.timeout(60):
        while True:
            try:
                await secret_of(installed)
            except NotFound:
                break
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("words", "gone", "reason"),
    [
        # W8.11: the Service, either webhook configuration missing
        (["--serviceName=other"], None, "Service kubeflow/other is not there: create it, or name another"),
        (
            ["--jobName=other"],
            None,
            "Job kubeflow/other is not there: name the Job that runs this: --jobName",
        ),
        (["--namespace=default"], None, "Service default/katib-controller is not there"),
        (
            [],
            "ValidatingWebhookConfiguration",
            "ValidatingWebhookConfiguration katib.kubeflow.org is not there",
        ),
        ([], "MutatingWebhookConfiguration", "MutatingWebhookConfiguration katib.kubeflow.org is not there"),
    ],
)
async def test_what_is_missing_is_named_before_anything_is_written(
    installed: Client, kubeconfig: Path, words: list[str], gone: str | None, reason: str
) -> None:
    if gone is not None:
        await remove(installed, HOOKS[gone], "", "katib.kubeflow.org")
    ended = run(kubeconfig, *words)
    assert ended.returncode == 1
    (line,) = [json.loads(each) for each in ended.stderr.splitlines()]
    assert reason in line["error"]
    with pytest.raises(NotFound):
        await secret_of(installed)


async def test_a_right_that_is_missing_is_named(installed: Client, kubeconfig: Path) -> None:
    await installed.patch(ROLES, "", JOB, {"rules": RULES[:2]})
    try:
        ended = run(kubeconfig)
    finally:
        await installed.patch(ROLES, "", JOB, {"rules": RULES})
    assert ended.returncode == 1
    assert "WebhookConfiguration katib.kubeflow.org cannot be read: GET" in ended.stderr
    assert "Traceback" not in ended.stderr
