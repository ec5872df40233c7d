"""``kfx explain`` before a real API server, with states that are broken for real."""

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.layout import Layout
from hack.cluster.tokens import write_token_kubeconfig
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.workload import Deployment
from kfx.build import utc_now
from kfx.commands.platform_facts import LEASE
from kfx.katib.explanation.platform import POD_HOOK
from kfx.katib.names import SERVICE, WEBHOOK_CONFIGURATION
from kfx.kube.client import Client
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from tests.cluster.katib import NAMESPACE, Platform, manifest
from tests.cluster.site import (
    COLLECTOR,
    CORE,
    DEFINITIONS,
    KATIB,
    NAMESPACES,
    Answer,
    Ask,
    ask,
    container,
    create,
    ensure,
    flat,
    forget,
    install_webhooks,
    is_served,
    label,
    lead,
    remove_webhooks,
    set_pod,
    trial_pod,
)
from tests.serving import new_pair

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


@pytest.fixture
def katib(site: Client) -> Client:
    """With webhooks and a leader."""
    return site


QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")


async def explained(kfx: Ask, name: str, link: str) -> dict[str, Any]:
    """What is wrong by ``-o json``, once that is the link; and the same as text, with a remedy."""
    async with asyncio.timeout(60):
        while (answer := await kfx("explain", name, "-o", "json")).json()["link"] != link:
            await asyncio.sleep(0.5)
    assert answer.status == 1
    found = answer.json()
    assert not found["healthy"]
    assert found["checked"][-1] == {"link": link, "state": "broken", "text": found["problem"]}
    text = await kfx("explain", name)
    print(text.out)
    assert text.status == 1
    assert text.out.splitlines()[0].endswith(f"broken link: {link}")
    assert "Remedy:   " in text.out
    return found


async def test_missing_definitions_are_the_first_thing_that_is_told(client: Client, kfx: Ask) -> None:
    for kind in KATIB:
        await forget(client, DEFINITIONS, f"{kind.resource.plural}.{kind.resource.group}")
    while any([await is_served(client, kind.resource) for kind in KATIB]):
        await asyncio.sleep(0.1)
    found = await explained(kfx, "any", "definitions")
    assert "kubectl apply -k config/crd" in found["remedy"]
    answer = await kfx("get", "experiments")
    assert (answer.status, answer.out) == (1, "")
    assert "definitions are not installed" in answer.err


async def test_an_experiment_that_is_not_there_is_looked_for_elsewhere(site: Client, kfx: Ask) -> None:
    found = await explained(kfx, "nobody", "experiment")
    assert found["object"] == {"kind": "Experiment", "namespace": "default", "name": "nobody"}
    assert "kfx get experiments -A" in found["remedy"]
    answer = await kfx("describe", "experiment", "nobody")
    assert answer.status == 1
    assert "there is no Experiment nobody in namespace default" in answer.err


async def test_a_lease_that_nobody_renews_means_that_no_controller_is_alive(site: Client, kfx: Ask) -> None:
    await create(site, "orphan")
    await lead(site, ago=4 * 3600)
    found = await explained(kfx, "orphan", "controller")
    assert "kfx-1_test, renewed its Lease 4h ago" in found["problem"]
    assert found["field"] == "spec.renewTime"


async def test_a_deployment_without_replicas_is_told(site: Client, kfx: Ask) -> None:
    await create(site, "deployed")
    labels = {"katib.kubeflow.org/component": "controller"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "stock"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    body = {"metadata": {"name": SERVICE, "labels": labels}, "spec": spec}
    await forget(site, LEASES, LEASE, CORE)
    await ensure(site, Deployment.resource, body, CORE)
    found = await explained(kfx, "deployed", "controller")
    assert found["object"] == {"kind": "Deployment", "namespace": CORE, "name": SERVICE}
    assert "none of the 1 replicas is available" in found["problem"]
    await site.patch(Deployment.resource, CORE, SERVICE, {"spec": {"replicas": 0}})
    assert "scaled to 0" in (await explained(kfx, "deployed", "controller"))["problem"]
    await forget(site, Deployment.resource, SERVICE, CORE)


async def test_a_second_leader_elsewhere_is_told(site: Client, kfx: Ask) -> None:
    await create(site, "contested")
    await lead(site, holder="katib-1_test", namespace="katib-old")
    found = await explained(kfx, "contested", "controller")
    assert "2 controllers drive the same Experiments" in found["problem"]
    await forget(site, LEASES, LEASE, "katib-old")


async def test_a_ca_bundle_that_does_not_fit_or_is_empty_is_told(site: Client, kfx: Ask) -> None:
    await create(site, "untrusted")
    path = "/webhooks/1/clientConfig/caBundle"
    wrong = b64encode(new_pair().authorities[0]).decode()
    change = [{"op": "replace", "path": path, "value": wrong}]
    await site.patch(WEBHOOK_CONFIGURATIONS[0], "", WEBHOOK_CONFIGURATION, change)
    found = await explained(kfx, "untrusted", "webhooks")
    assert found["field"] == f"webhooks[{POD_HOOK}].clientConfig.caBundle"
    assert "is not of the authority" in found["problem"]
    await site.patch(WEBHOOK_CONFIGURATIONS[0], "", WEBHOOK_CONFIGURATION, [{"op": "remove", "path": path}])
    assert "is empty" in (await explained(kfx, "untrusted", "webhooks"))["problem"]


async def test_a_webhook_that_nobody_answers_is_told(site: Client, kfx: Ask) -> None:
    await create(site, "unanswered")
    await remove_webhooks(site)
    await install_webhooks(site, ready=False)
    found = await explained(kfx, "unanswered", "webhooks")
    assert "Service kubeflow/katib-controller has no endpoint that is ready" in found["problem"]


async def test_a_namespace_without_the_label_is_told_with_the_command(site: Client, kfx: Ask) -> None:
    await create(site, "unlabelled")
    await label(site, None)
    found = await explained(kfx, "unlabelled", "namespace")
    assert (
        "kubectl label namespace default katib.kubeflow.org/metrics-collector-injection=enabled"
        in found["remedy"]
    )


async def test_what_validation_has_refused_names_the_field(platform: Platform, kfx: Ask) -> None:
    asked = manifest("refused")
    asked["spec"]["trialTemplate"]["trialParameters"][0]["reference"] = "y"
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    found = await explained(kfx, "refused", "experiment")
    assert found["field"] == "spec.trialTemplate.trialParameters[0].reference"


async def test_a_kind_of_job_that_is_not_served_is_told(platform: Platform, kfx: Ask) -> None:
    asked = manifest("unserved", most=2)
    asked["spec"]["trialTemplate"]["trialSpec"] |= {"apiVersion": "kubeflow.org/v1", "kind": "TFJob"}
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    found = await explained(kfx, "unserved", "job")
    assert "TFJob" in found["problem"]
    assert "custom resource definition" in found["remedy"]


async def test_a_quota_on_jobs_is_told_with_the_servers_words(platform: Platform, kfx: Ask) -> None:
    await ensure(platform.client, NAMESPACES, {"metadata": {"name": "poor"}})
    await label(platform.client, "enabled", "poor")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    await platform.client.create(QUOTAS, quota, namespace="poor")
    asked = manifest("squeezed", most=2)
    asked["metadata"]["namespace"] = "poor"
    await platform.client.create(Experiment.resource, asked, namespace="poor")

    async def in_poor(*words: str) -> Answer:
        return await kfx(*words, "-n", "poor")

    found = await explained(in_poor, "squeezed", "job")
    assert "exceeded quota: none" in found["problem"]
    assert "describe resourcequota" in found["remedy"]


async def test_a_quota_on_pods_is_found_in_the_jobs_events(platform: Platform, kfx: Ask) -> None:
    await ensure(platform.client, NAMESPACES, {"metadata": {"name": "podless"}})
    await label(platform.client, "enabled", "podless")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await platform.client.create(QUOTAS, quota, namespace="podless")
    asked = manifest("starved", most=2)
    asked["metadata"]["namespace"] = "podless"
    del asked["spec"]["trialTemplate"]["trialSpec"]["spec"]["managedBy"]
    await platform.client.create(Experiment.resource, asked, namespace="podless")

    async def there(*words: str) -> Answer:
        return await kfx(*words, "-n", "podless")

    found = await explained(there, "starved", "pod")
    assert found["object"]["kind"] == "Job"
    assert "FailedCreate" in found["problem"]
    assert "exceeded quota: none" in found["problem"]


async def test_pods_without_a_node_memory_or_a_collector_are_told(platform: Platform, kfx: Ask) -> None:
    client = platform.client
    await create(client, "pods", most=1, parallel=1)
    (name,) = await platform.running_trials("pods", 1)
    await client.create(Pod.resource, trial_pod(name), namespace=NAMESPACE)
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    unplaced["message"] = "0/1 nodes are available: 1 Insufficient cpu."
    await set_pod(client, name, {"phase": "Pending", "conditions": [unplaced]})
    found = await explained(kfx, "pods", "start")
    assert "Insufficient cpu" in found["problem"]
    killed = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": utc_now(), "startedAt": utc_now()}
    states = [container("train", terminated=killed), container(COLLECTOR)]
    await set_pod(client, name, {"phase": "Running", "conditions": [], "containerStatuses": states})
    found = await explained(kfx, "pods", "training")
    assert "exit code 137 (OOMKilled)" in found["problem"]
    assert "limits.memory" in found["remedy"]
    await client.delete(Pod.resource, NAMESPACE, name)
    bare = trial_pod(name, ["train"])
    bare["metadata"]["name"] = "bare"
    await client.create(Pod.resource, bare, namespace=NAMESPACE)
    await set_pod(client, "bare", {"phase": "Running"})
    found = await explained(kfx, "pods", "collector")
    assert "without a metrics collector" in found["problem"]


async def test_what_runs_well_is_waited_for_and_what_is_over_is_complete(
    platform: Platform, kfx: Ask
) -> None:
    await create(platform.client, "fine", most=2)
    names = await platform.running_trials("fine", 2)
    for name in names:
        await platform.client.create(Pod.resource, trial_pod(name), namespace=NAMESPACE)
        running = {"running": {"startedAt": utc_now()}}
        states = [container("train", **running), container(COLLECTOR, **running)]
        await set_pod(platform.client, name, {"phase": "Running", "containerStatuses": states})
    await lead(platform.client)
    answer = await kfx("explain", "fine")
    print(answer.out)
    assert answer.status == 0
    assert "2 trials are active (2 running), the oldest for" in flat(answer.out)
    assert "nothing is wrong" in answer.out
    for number, name in enumerate(names):
        await platform.finish(name, value=f"0.{number + 1}")
    await platform.ended(Experiment, "fine")
    answer = await kfx("explain", "fine", "-o", "json")
    assert answer.status == 0
    assert answer.json()["complete"]
    text = await kfx("explain", "fine")
    print(text.out)
    assert f"the best trial is {names[0]}" in flat(text.out)


async def test_what_may_not_be_read_is_said_and_the_rest_is_checked(
    platform: Platform, cluster: Layout, tmp_path: Path
) -> None:
    client = platform.client
    await ensure(client, SERVICE_ACCOUNTS, {"metadata": {"name": "guest"}}, NAMESPACE)
    rule = {"apiGroups": ["kubeflow.org"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    await ensure(client, ROLES, {"metadata": {"name": "guest"}, "rules": [rule]}, NAMESPACE)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guest"}
    subjects = [{"kind": "ServiceAccount", "name": "guest", "namespace": NAMESPACE}]
    binding = {"metadata": {"name": "guest"}, "roleRef": reference, "subjects": subjects}
    await ensure(client, BINDINGS, binding, NAMESPACE)
    file = tmp_path / "guest"
    write_token_kubeconfig(cluster, namespace=NAMESPACE, service_account="guest", file=file)
    await create(client, "peeked", most=1, parallel=1)
    await platform.running_trials("peeked", 1)
    answer = await ask(file, "explain", "peeked")
    print(answer.out)
    assert (answer.status, answer.err) == (0, "")
    for what in ("deployments.apps in kubeflow", "namespace default", "mutatingwebhookconfigurations"):
        assert f"could not check {what}" in flat(answer.out)
    assert "1 trial is active" in flat(answer.out)
    refused = await ask(file, "get", "experiments", "-n", "kube-system")
    assert refused.status == 1
    assert "cannot list resource" in refused.err
