"""Trials of every kind of job against a real API server; the test plays the operators, kubelet and users."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kfx.apis.common import MetricLog
from kfx.apis.core import Pod
from kfx.apis.trial import Trial
from kfx.build import utc_now
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource
from kfx.runtime.events import EVENTS
from tests.cluster.job_kinds import ALL, RUN, JobKind, install, operating, remove
from tests.cluster.katib import NAMESPACE, Platform, condition, words, working
from tests.katib_objects import FAILURE, JOBS, SUCCESS

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
JOB = JobKind("Job.v1.batch", SUCCESS, {}, FAILURE)
POD = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "example.org/train"}]}
KINDS = [f"--trial-resources={kind.flag}" for kind in ALL]


@pytest.fixture
async def platform(katib: Client, credentials: Credentials, tmp_path: Path) -> AsyncIterator[Platform]:
    async with working(katib, credentials, tmp_path, *KINDS) as platform:
        yield platform


def job_trial(name: str, **spec: Any) -> dict[str, Any]:
    """A Trial with a Job that no job controller touches."""
    found = JOB.trial(name, **spec)
    found["spec"]["runSpec"]["spec"] = {"managedBy": "example.org/test", "template": {"spec": POD}}
    return found


async def create(platform: Platform, trial: dict[str, Any]) -> None:
    namespace = trial["metadata"]["namespace"]
    await platform.client.create(Trial.resource, trial, namespace=namespace)


async def until_word(platform: Platform, name: str, word: str, seconds: float = 30) -> dict[str, Any]:
    """The Trial, once its last condition is ``word``."""

    async def there() -> Any:
        found = await platform.read(Trial, name)
        return found if words(found)[-1:] == [word] else None

    found: dict[str, Any] = await platform.until(there, seconds)
    return found


async def until_says(platform: Platform, name: str, text: str, seconds: float = 30) -> str:
    """The message of the last condition, once it holds ``text``."""

    async def there() -> Any:
        found = (await platform.read(Trial, name)).get("status", {}).get("conditions", [])
        return found and text in found[-1].get("message", "") and found[-1]["message"]

    message: str = await platform.until(there, seconds)
    return message


async def events_about(platform: Platform, name: str) -> dict[str, str]:
    found = await platform.items(EVENTS)
    return {e["reason"]: e["message"] for e in found if e["involvedObject"]["name"] == name}


async def is_gone(platform: Platform, kind: Any, name: str) -> bool:
    try:
        await platform.read(kind, name)
    except NotFound:
        return True
    return False


async def test_kinds_come_and_go_while_the_process_runs(
    katib: Client, credentials: Credentials, tmp_path: Path
) -> None:
    """12.3-1, D19, O1, O2: CRDs that are missing at the start are no error, and are found later."""
    names = {kind: kind.resource.kind.lower() for kind in ALL}
    await install(katib, RUN)
    async with working(katib, credentials, tmp_path, *KINDS) as platform:
        await create(platform, RUN.trial("run"))
        await until_word(platform, "run", "Running")
        await remove(katib, RUN)
        assert (await until_says(platform, "run", "KindNotServed", 60)).startswith("Trial is running. ")
        for kind in names.keys() - {RUN}:
            await create(platform, kind.trial(names[kind]))
        for kind, name in names.items():
            assert f"install the CRD {kind.resource}" in await until_says(platform, name, "KindNotServed")
        await install(katib, *ALL)
        async with operating(katib, platform.store, *ALL):
            for kind, name in names.items():
                found = await until_word(platform, name, "Succeeded", 120)
                assert words(found) == ["Created", "-Running", "Succeeded"]
                assert found["status"]["observation"]["metrics"][0]["min"] == "0.25"
                plain = [c["message"] for c in found["status"]["conditions"][:2]]
                assert plain == ["Trial is created", "Trial is running"]
                await platform.until(lambda k=kind, n=name: is_gone(platform, k.resource, n))
    await remove(katib, *ALL)


async def test_a_trial_that_is_gone_takes_no_status_and_is_no_error(platform: Platform) -> None:
    """12.3-6: Katib's status update of an empty Trial fails; what is gone needs none."""
    await create(platform, job_trial("brief"))
    await platform.client.delete(Trial.resource, NAMESPACE, "brief")
    await platform.until(lambda: is_gone(platform, Trial, "brief"))
    await asyncio.sleep(0.5)
    assert "ReconcileError" not in await events_about(platform, "brief")


async def test_a_condition_that_never_holds_is_told_on_the_trial(platform: Platform) -> None:
    trial = job_trial(
        "never", successCondition='status.conditions.#(type=="Done"#|#(', failureCondition="x.y"
    )
    await create(platform, trial)
    await until_word(platform, "never", "Running")
    await platform.finish("never", value="0.5")
    message = await until_says(platform, "never", "ConditionNotMet")
    assert "Job never has ended (condition Complete is True)" in message
    assert "ConditionNotMet" in await events_about(platform, "never")
    mended = {"spec": {"successCondition": SUCCESS}}
    await platform.client.patch(Trial.resource, NAMESPACE, "never", mended)
    found = await until_word(platform, "never", "Succeeded")
    assert found["status"]["conditions"][1]["message"] == "Trial is running"


async def test_a_pod_that_waits_for_a_secret_is_told_with_the_kubelets_words(platform: Platform) -> None:
    await create(platform, job_trial("mount"))
    await until_word(platform, "mount", "Running")
    made = await platform.make_pod("mount")
    about = {"kind": "Pod", "name": "mount", "namespace": NAMESPACE, "uid": made["metadata"]["uid"]}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "mount.1"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'MountVolume.SetUp failed for volume "v": secret "none" not found',
        "lastTimestamp": utc_now(),
    }
    await platform.client.create(EVENTS, event, namespace=NAMESPACE)
    message = await until_says(platform, "mount", "PodNotStarting")
    assert 'pod mount has not started: MountVolume.SetUp failed for volume "v": secret "none" not found' in (
        message
    )
    entry = {"name": "train", "image": "i", "imageID": "", "ready": True, "restartCount": 0}
    status = {"phase": "Running", "containerStatuses": [entry | {"state": {"running": {}}}]}
    await platform.client.patch(Pod.resource, NAMESPACE, "mount", {"status": status}, subresource="status")

    async def settled() -> bool:
        found = await platform.read(Trial, "mount")
        return bool(found["status"]["conditions"][-1]["message"] == "Trial is running")

    await platform.until(settled)


async def limit(platform: Platform, what: str) -> None:
    """From now on there is no room for any of these in the namespace."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {what: "0"}},
    }
    await platform.client.create(QUOTAS, quota, namespace=NAMESPACE)

    async def in_force() -> Any:
        return (await platform.read(QUOTAS, "none")).get("status", {}).get("hard")

    await platform.until(in_force)


async def test_a_quota_that_has_no_room_for_jobs_is_told_and_outlived(platform: Platform) -> None:
    """O9."""
    await limit(platform, "count/jobs.batch")
    await create(platform, job_trial("crowded"))
    message = await until_says(platform, "crowded", "JobForbidden")
    assert "exceeded quota: none" in message
    await platform.client.delete(QUOTAS, NAMESPACE, "none")
    found = await until_word(platform, "crowded", "Running", 60)
    assert [c["message"] for c in found["status"]["conditions"]] == ["Trial is created", "Trial is running"]


async def test_a_job_whose_pods_are_refused_tells_why_on_the_trial(platform: Platform) -> None:
    """By a quota here; by the pod webhook where primaryContainerName is wrong."""
    await limit(platform, "pods")
    trial = job_trial("podless")
    del trial["spec"]["runSpec"]["spec"]["managedBy"]
    await create(platform, trial)
    message = await until_says(platform, "podless", "PodMissing")
    assert 'pods "podless-' in message
    assert "exceeded quota: none" in message
    await platform.client.delete(QUOTAS, NAMESPACE, "none")


async def test_a_trial_that_does_not_decode_is_told_and_can_be_deleted(platform: Platform) -> None:
    await create(platform, job_trial("odd", retainRun="yes"))

    async def told() -> Any:
        return (await events_about(platform, "odd")).get("TrialUnreadable")

    assert "retainRun" in await platform.until(told)
    await platform.client.delete(Trial.resource, NAMESPACE, "odd")
    await platform.until(lambda: is_gone(platform, Trial, "odd"))


async def stop_early(platform: Platform, trial: dict[str, Any]) -> None:
    """As the early-stopping service does it, after the collector has reported."""
    name = trial["metadata"]["name"]
    await platform.store.report(name, [MetricLog(time_stamp=utc_now(), name="loss", value="0.7")], NAMESPACE)
    stopped = {"type": "EarlyStopped", "status": "True", "reason": "TrialEarlyStopped"}
    status = {"status": {"conditions": [*trial["status"]["conditions"], stopped]}}
    await platform.client.patch(Trial.resource, NAMESPACE, name, status, subresource="status")


async def test_a_trial_stopped_early_keeps_its_observation_and_not_its_job(platform: Platform) -> None:
    """2.9, 2.10, D3."""
    await create(platform, job_trial("early"))
    await stop_early(platform, await until_word(platform, "early", "Running"))
    await platform.until(lambda: is_gone(platform, JOBS, "early"))
    found = await platform.read(Trial, "early")
    assert words(found) == ["Created", "Running", "EarlyStopped"]
    assert found["status"]["observation"]["metrics"][0]["latest"] == "0.7"
    assert not found["status"].get("completionTime")


@pytest.mark.parametrize("end", ["Complete", "Failed"])
async def test_a_trial_stopped_early_whose_job_is_kept_is_observed_at_the_jobs_end(
    platform: Platform, end: str
) -> None:
    """2.9: whether the wrapper has turned the kill into a success or not."""
    name = f"retained-{end.lower()}"
    await create(platform, job_trial(name, retainRun=True))
    await stop_early(platform, await until_word(platform, name, "Running"))
    await platform.finish(name, kind=end)

    async def observed() -> Any:
        found = await platform.read(Trial, name)
        return found if "observation" in found["status"] else None

    found = await platform.until(observed)
    assert words(found) == ["Created", "Running", "EarlyStopped"]
    assert found["status"]["observation"]["metrics"][0]["latest"] == "0.7"
    assert not await is_gone(platform, JOBS, name)


async def test_a_namespace_goes_with_its_trials_in_every_state(platform: Platform) -> None:
    """O4, O5, and a Trial deleted in the middle (2.2)."""
    client = platform.client
    meta = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}}
    await client.create(NAMESPACES, meta)
    for number in range(20):
        trial = job_trial(f"t-{number}")
        trial["metadata"]["namespace"] = trial["spec"]["runSpec"]["metadata"]["namespace"] = "doomed"
        await create(platform, trial)
    await client.delete(NAMESPACES, "", "doomed")

    async def gone() -> bool:
        try:
            await client.get_document(NAMESPACES, "", "doomed")
        except NotFound:
            return True
        return False

    await platform.until(gone, 90)


async def test_a_deleted_trial_is_succeeded_by_a_namesake_with_its_own_metrics(platform: Platform) -> None:
    """12.3-2: on deletion the rows go. A late report of the first is not the second's."""
    await create(platform, job_trial("twice"))
    await until_word(platform, "twice", "Running")
    await platform.client.delete(Trial.resource, NAMESPACE, "twice")
    await platform.until(lambda: is_gone(platform, Trial, "twice"))
    await platform.store.report(
        "twice", [MetricLog(time_stamp=utc_now(), name="loss", value="0.001")], NAMESPACE
    )
    await create(platform, job_trial("twice"))
    await until_word(platform, "twice", "Running")
    assert await platform.store.fold("twice", list, namespace=NAMESPACE) == []
    await platform.finish("twice", value="0.5")
    found = await until_word(platform, "twice", "Succeeded")
    assert found["status"]["observation"]["metrics"][0]["min"] == "0.5"
    assert condition(found, "Succeeded")


async def test_a_job_whose_owner_was_stripped_is_not_adopted_and_that_is_told_once(
    platform: Platform,
) -> None:
    """O8."""
    await create(platform, job_trial("orphan"))
    await until_word(platform, "orphan", "Running")
    changes = {"metadata": {"ownerReferences": None}}
    await platform.client.patch(JOBS, NAMESPACE, "orphan", changes)

    async def look() -> Any:
        trial = {"metadata": {"annotations": {"look": utc_now()}}}
        await platform.client.patch(Trial.resource, NAMESPACE, "orphan", trial)
        found = await platform.read(Trial, "orphan")
        return (
            "JobNameTaken: Job default/orphan exists already"
            in (found["status"]["conditions"][-1]["message"])
        )

    await platform.until(look)
    await asyncio.sleep(1)
    found = await platform.items(EVENTS)
    told = [e for e in found if e["involvedObject"]["name"] == "orphan" and e["reason"] == "ReconcileError"]
    assert [e["count"] for e in told] == [1]
    assert not (await platform.read(JOBS, "orphan"))["metadata"].get("ownerReferences")
