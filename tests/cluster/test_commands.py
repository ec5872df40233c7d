"""``kfx get``, ``describe`` and ``explain`` before a real API server, with states broken for real."""

import asyncio
import json
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import binaries
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
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from tests.cluster.katib import NAMESPACE, Platform, manifest, working
from tests.cluster.site import (
    COLLECTOR,
    CORE,
    DEFINITIONS,
    KATIB,
    NAMESPACES,
    Answer,
    ask,
    container,
    ensure,
    forget,
    install_definitions,
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

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def kfx(cluster: Layout) -> Ask:
    """kfx as its administrator calls it."""

    async def call(*words: str) -> Answer:
        answer = await ask(cluster.kubeconfig, *words)
        assert "Traceback" not in answer.err
        return answer

    return call


@pytest.fixture
def credentials(cluster: Layout) -> Credentials:
    return load_credentials(str(cluster.kubeconfig))


@pytest.fixture
async def site(client: Client) -> AsyncIterator[Client]:
    """Katib is installed, its webhooks are in place, the namespace is labelled, somebody leads."""
    await install_definitions(client)
    await install_webhooks(client)
    await label(client, "enabled")
    await lead(client)
    yield client
    await remove_webhooks(client)


@pytest.fixture
async def platform(site: Client, credentials: Credentials, tmp_path: Path) -> AsyncIterator[Platform]:
    async with working(site, credentials, tmp_path) as platform:
        yield platform


async def create(client: Client, name: str, **changes: Any) -> None:
    await client.create(Experiment.resource, manifest(name, **changes), namespace=NAMESPACE)


def flat(text: str) -> str:
    """Without the line breaks that a terminal's width has made."""
    return " ".join(text.split())


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


async def test_pods_without_a_node_an_image_memory_or_a_collector_are_told(
    platform: Platform, kfx: Ask
) -> None:
    client = platform.client
    await create(client, "pods", most=1, parallel=1)
    (name,) = await platform.running_trials("pods", 1)
    await client.create(Pod.resource, trial_pod(name), namespace=NAMESPACE)
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    unplaced["message"] = "0/1 nodes are available: 1 Insufficient cpu."
    await set_pod(client, name, {"phase": "Pending", "conditions": [unplaced]})
    found = await explained(kfx, "pods", "start")
    assert "Insufficient cpu" in found["problem"]
    missing = {"reason": "ErrImagePull", "message": "example.org/train: not found"}
    states = [container("train", waiting=missing), container(COLLECTOR)]
    await set_pod(client, name, {"conditions": [], "containerStatuses": states})
    found = await explained(kfx, "pods", "start")
    assert "ErrImagePull: container train" in found["problem"]
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


COLUMNS = "NAME TYPE STATUS TRIALS RUNNING SUCCEEDED FAILED BEST AGE PARAMETERS OF THE BEST"


async def test_get_shows_what_kubectl_shows_and_the_best_so_far(platform: Platform, kfx: Ask) -> None:
    await create(platform.client, "listed", most=2)
    worse, better = sorted(await platform.running_trials("listed", 2))
    await platform.finish(worse, value="0.75")
    await platform.finish(better, value="0.25")
    await platform.ended(Experiment, "listed")
    heading, line = (await kfx("get", "experiment", "listed")).out.splitlines()
    assert flat(heading) == COLUMNS
    assert line.split()[:8] == ["listed", "Succeeded", "True", "2/2", "0", "2", "0", "loss=0.25"]
    assert line.split()[9].startswith("x=0.")
    trials = (await kfx("get", "trials", "-e", "listed")).out.splitlines()
    assert [row.split()[0] for row in trials] == ["NAME", better, worse]
    named = await kfx("get", "suggestions,experiments", "-o", "name")
    assert "experiment.kubeflow.org/listed\n" in named.out
    assert "suggestion.kubeflow.org/listed\n" in named.out
    one = (await kfx("get", "trials", better, "-o", "json")).json()
    assert (one["kind"], one["metadata"]["name"]) == ("Trial", better)
    assert "managedFields" not in one["metadata"]
    several = yaml.safe_load((await kfx("get", "trials", "-A", "-l", "team=a", "-o", "yaml")).out)
    assert several["kind"] == "List"
    assert {better, worse} <= {item["metadata"]["name"] for item in several["items"]}
    none = await kfx("get", "trials", "-n", "kube-system")
    assert (none.status, none.out, none.err) == (0, "", "No trials found in namespace kube-system.\n")


async def test_kubectl_shows_the_columns_that_it_shows_of_katib(
    platform: Platform, cluster: Layout, kfx: Ask
) -> None:
    await create(platform.client, "columns", most=1, parallel=1)
    (name,) = await platform.running_trials("columns", 1)
    await platform.finish(name, value="0.5")
    await platform.ended(Experiment, "columns")
    kubectl = binaries.find(binaries.CONTROL_PLANE, cluster.cache)["kubectl"]

    async def run(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            kubectl, "--kubeconfig", cluster.kubeconfig, *words, stdout=asyncio.subprocess.PIPE
        )
        return (await process.communicate())[0].decode()

    shown = [
        line.split() for line in (await run("get", "experiments,trials,suggestions")).splitlines() if line
    ]
    headings = [words for words in shown if words[0] == "NAME"]
    usual = ["NAME", "TYPE", "STATUS", "AGE"]
    assert headings == [usual, usual, [*usual[:3], "REQUESTED", "ASSIGNED", "AGE"]]
    assert ["experiment.kubeflow.org/columns", "Succeeded", "True"] in [words[:3] for words in shown]
    assert ["suggestion.kubeflow.org/columns", "Succeeded", "True", "1", "1"] in [
        words[:5] for words in shown
    ]
    ours = (await kfx("get", "trials", name, "-o", "json")).json()
    assert ours == json.loads(await run("get", "trials", name, "-o", "json"))


async def test_describe_shows_everything_on_one_screen(platform: Platform, kfx: Ask) -> None:
    await create(platform.client, "shown", most=1, parallel=1)
    (name,) = await platform.running_trials("shown", 1)
    await platform.finish(name, value="0.5")
    await platform.ended(Experiment, "shown")

    async def told() -> Any:
        answer = await kfx("describe", "experiment", "shown")
        return answer.out if "JobDeleted" in answer.out else None

    text = await platform.until(told)
    for part in ("Objective: minimize loss", "Budget: at most 1 trials", "x double 0 to 1 uniform",
                 "Trials: 1: 1 succeeded", f"Best trial: {name} loss 0.5", "ExperimentMaxTrialsReached",
                 f"JobSucceeded Trial/{name}"):  # fmt: skip
        assert part in flat(text)
    trial = flat((await kfx("describe", "trial", name)).out)
    assert "Experiment: shown" in trial
    assert "loss min 0.5 max 0.5 latest 0.5" in trial
    suggestion = flat((await kfx("describe", "suggestion", "shown")).out)
    assert "Assignments: 1 given, 1 asked for" in suggestion
    found = (await kfx("describe", "experiment", "shown", "-o", "json")).json()
    assert found["object"]["status"]["trialsSucceeded"] == 1
    assert {"JobCreated", "JobSucceeded"} <= {event["reason"] for event in found["events"]}


async def test_a_watch_shows_a_row_for_each_change(platform: Platform, cluster: Layout) -> None:
    words = ["get", "experiments", "watched", "-w", "--kubeconfig", str(cluster.kubeconfig)]
    await create(platform.client, "watched", most=1, parallel=1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kfx", *words, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"NAME")
    (name,) = await platform.running_trials("watched", 1)
    await platform.finish(name, value="0.5")
    async with asyncio.timeout(30):
        async for line in process.stdout:
            if b"Succeeded" in line:
                break
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130


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
