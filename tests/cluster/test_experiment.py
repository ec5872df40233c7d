"""The three controllers against a real API server; the test plays the kubelet and the metrics collector.

Webhooks are not registered here: experiments are complete as they are submitted.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from kfx.apis.common import MetricLog
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.build import utc_now
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.runtime.events import EVENTS
from kfx.runtime.spans import Spans
from tests.cluster.katib import NAMESPACE, Platform, condition, manifest, words, working
from tests.katib_objects import FAILURE, JOBS, SUCCESS

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


async def test_an_experiment_runs_to_its_end_and_then_rests(platform: Platform) -> None:
    await platform.client.create(Experiment.resource, manifest("whole"), namespace=NAMESPACE)
    finished: list[str] = []
    for round_number in range(2):
        for number, name in enumerate(await platform.running_trials("whole", 2, besides=finished)):
            await platform.finish(name, value=f"0.{round_number + 1}{number}")
            finished.append(name)
    found = await platform.ended(Experiment, "whole")
    assert words(found) == ["Created", "-Running", "Succeeded"]
    status = found["status"]
    assert (status["trials"], status["trialsSucceeded"]) == (4, 4)
    assert status["currentOptimalTrial"]["observation"]["metrics"][0]["min"] == "0.10"
    suggestion = await platform.ended(Suggestion, "whole")
    assert words(suggestion) == ["Created", "-Running", "-DeploymentReady", "Succeeded"]
    assert suggestion["spec"]["requests"] == suggestion["status"]["suggestionCount"] == 4
    trials = await platform.trials("whole")
    assert all(words(t) == ["Created", "-Running", "Succeeded"] for t in trials)
    assert all(t["metadata"]["labels"]["team"] == "a" for t in trials)
    await rests(platform, "whole")
    text = generate_latest(platform.metrics.registry).decode()
    assert 'katib_trial_created_total{namespace="default"} 4.0' in text
    assert 'katib_trials_current{namespace="default",status="Succeeded"} 4.0' in text


class Crash(Exception):
    """Ends the process where it stands."""


async def test_P2_a_process_that_crashes_again_and_again_makes_nothing_twice(
    katib: Client, credentials: Credentials, tmp_path: Path
) -> None:
    await katib.create(Experiment.resource, manifest("crashing", most=2), namespace=NAMESPACE)
    for number in range(20):
        try:
            async with working(katib, credentials, tmp_path):
                await asyncio.sleep(0.015 * number)
                raise Crash
        except* Crash:
            pass
    async with working(katib, credentials, tmp_path) as platform:
        names = await platform.running_trials("crashing", 2)
        jobs = [job["metadata"]["name"] for job in await platform.items(JOBS)]
        for name in names:
            await platform.finish(name, value="0.5")
        await platform.ended(Experiment, "crashing")
        trials = [trial["metadata"]["name"] for trial in await platform.trials("crashing")]
        suggested = (await platform.read(Suggestion, "crashing"))["status"]["suggestions"]
    assert sorted(names) == sorted(trials) == sorted(each["name"] for each in suggested)
    assert sorted(names) == sorted(job for job in jobs if job.startswith("crashing-"))


async def rests(platform: Platform, name: str) -> None:
    """Nothing is written any more."""

    async def versions() -> list[str]:
        objects = [await platform.read(Experiment, name), await platform.read(Suggestion, name)]
        objects += await platform.trials(name)
        return [found["metadata"]["resourceVersion"] for found in objects]

    await asyncio.sleep(1)
    before = await versions()
    await asyncio.sleep(2)
    assert await versions() == before


async def test_a_failed_job_and_missing_metrics_end_their_trials_and_the_experiment(
    platform: Platform,
) -> None:
    asked = manifest("bad", most=2, maxFailedTrialCount=2)
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    broken, silent = await platform.running_trials("bad", 2)
    await platform.finish(broken, "Failed", value="0.5")
    await platform.finish(silent)
    found = await platform.ended(Experiment, "bad")
    failed = condition(found, "Failed")
    assert failed is not None
    assert failed["message"] == "Experiment has failed because max failed count has reached"
    trial = await platform.read(Trial, broken)
    assert words(trial)[-1] == "Failed"
    assert trial["status"]["conditions"][-1]["message"] == "Trial has failed. Job message: said Failed"
    assert "observation" not in trial["status"]
    assert words(await platform.read(Trial, silent))[-1] == "MetricsUnavailable"

    async def told() -> Any:
        events = await platform.items(EVENTS)
        about = {e["reason"]: e["message"] for e in events if e["involvedObject"]["name"] == silent}
        return about if "MetricsMissing" in about else None

    assert "metrics-collector-injection=enabled" in (await platform.until(told))["MetricsMissing"]


async def test_an_image_that_cannot_be_pulled_ends_the_trial(platform: Platform) -> None:
    asked = manifest("image", most=1, parallel=1, maxFailedTrialCount=0)
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    (name,) = await platform.running_trials("image", 1)
    await platform.make_pod(name)
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    entry = {"name": "train", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    entry["state"] = {"waiting": waiting}
    status = {"containerStatuses": [entry]}
    await platform.client.patch(Pod.resource, NAMESPACE, name, {"status": status}, subresource="status")
    await platform.ended(Experiment, "image")
    failed = condition(await platform.read(Trial, name), "Failed")
    assert failed is not None
    assert failed["reason"] == "TrialFailed. Job reason: ErrImagePull"
    assert "correct the image's name" in failed["message"]


async def test_a_job_of_somebody_else_is_neither_adopted_nor_deleted(platform: Platform) -> None:
    asked = manifest("taken", most=1, parallel=1)
    spec = asked["spec"]["trialTemplate"]["trialSpec"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken-1"}, "spec": spec}
    theirs = await platform.client.create(JOBS, job, namespace=NAMESPACE)
    trial = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Trial",
        "metadata": {"name": "taken-1", "namespace": NAMESPACE},
        "spec": {"runSpec": job, "successCondition": SUCCESS, "failureCondition": FAILURE},
    }
    await platform.client.create(Trial.resource, trial, namespace=NAMESPACE)

    async def told() -> Any:
        events = await platform.items(EVENTS)
        return [
            e["message"]
            for e in events
            if e["involvedObject"]["name"] == "taken-1" and e["reason"] == "ReconcileError"
        ]

    assert "Job default/taken-1 exists already" in (await platform.until(told))[0]
    job = await platform.read(JOBS, "taken-1")
    assert job["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert not job["metadata"].get("ownerReferences")
    await platform.client.delete(Trial.resource, NAMESPACE, "taken-1")


async def test_what_no_webhook_has_refused_ends_with_the_webhooks_words(platform: Platform) -> None:
    asked = manifest("template")
    asked["spec"]["trialTemplate"]["trialParameters"][0]["reference"] = "y"
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    failed = condition(await platform.ended(Experiment, "template"), "Failed")
    assert failed is not None
    assert failed["message"].startswith('spec.trialTemplate.trialParameters[0].reference: Invalid value: "y"')


async def test_a_deleted_trial_takes_its_metrics_along_and_comes_back(platform: Platform) -> None:
    asked = manifest("again", most=1, parallel=1)
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    (name,) = await platform.running_trials("again", 1)
    first = (await platform.read(Trial, name))["metadata"]["uid"]
    await platform.store.report(name, [MetricLog(time_stamp=utc_now(), name="loss", value="1")], NAMESPACE)
    await platform.client.delete(JOBS, NAMESPACE, name, propagation="Background")
    await platform.client.delete(Trial.resource, NAMESPACE, name)

    async def another() -> Any:
        found = await platform.trials("again")
        return found and found[0]["metadata"]["uid"] != first

    await platform.until(another)
    assert await platform.store.fold(name, list, namespace=NAMESPACE) == []


async def test_another_process_finishes_what_a_stopped_one_began(
    katib: Client, credentials: Credentials, tmp_path: Path
) -> None:
    async with working(katib, credentials, tmp_path) as first:
        await katib.create(Experiment.resource, manifest("moved", most=2), namespace=NAMESPACE)
        names = await first.running_trials("moved", 2)
    async with working(katib, credentials, tmp_path) as second:
        for name in names:
            await second.finish(name, value="0.5")
        found = await second.ended(Experiment, "moved")
        assert found["status"]["trialsSucceeded"] == 2
        assert {t["metadata"]["name"] for t in await second.trials("moved")} == set(names)
        jobs = [j for j in await second.items(JOBS) if j["metadata"]["name"] in names]
        assert all(j["metadata"].get("deletionTimestamp") for j in jobs)


async def test_each_request_of_a_reconcile_is_a_span_below_it(
    katib: Client, credentials: Credentials, tmp_path: Path
) -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    spans = Spans(provider.get_tracer("test"))
    async with working(katib, credentials, tmp_path, spans=spans) as platform:
        await platform.client.create(Experiment.resource, manifest("traced"), namespace=NAMESPACE)
        trials = await platform.running_trials("traced", 2)
    found = memory.get_finished_spans()
    reconciles = {span.context.span_id: span for span in found if span.name == "reconcile trial-controller"}
    jobs = [span for span in found if span.name == "create jobs.batch"]
    assert len(jobs) == 2
    above = {reconciles[span.parent.span_id].attributes["name"] for span in jobs if span.parent}
    assert above == set(trials)
    assert {span.attributes["http.response.status_code"] for span in jobs} == {201}
