"""Experiments that are changed, resumed, deleted, doubled or malformed, against a real API server.

As in test_experiment.py the test plays the kubelet and the metrics collector, and no webhook is registered.
"""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion, SuggestionStatus, TrialAssignment
from kfx.apis.trial import Trial
from kfx.controllers.templates import CONFIG_MAPS
from kfx.katib.compose import VOLUME_CLAIMS
from kfx.kube.errors import Conflict, NotFound
from kfx.kube.resource import Resource
from kfx.runtime.events import EVENTS
from kfx.runtime.status_patch import APPENDED_FROM, status_patch
from tests.cluster.katib import NAMESPACE, Platform, condition, manifest, words
from tests.katib_objects import JOBS

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


async def create(platform: Platform, name: str, **spec: Any) -> dict[str, Any]:
    return await platform.client.create(Experiment.resource, manifest(name, **spec), namespace=NAMESPACE)


async def edit(platform: Platform, name: str, **spec: Any) -> None:
    await platform.client.patch(Experiment.resource, NAMESPACE, name, {"spec": spec})


async def gone(platform: Platform, name: str) -> Any:
    try:
        await platform.read(Experiment, name)
    except NotFound:
        return True
    return False


async def events_about(platform: Platform, name: str, reason: str) -> list[str]:
    found = await platform.items(EVENTS)
    return [e["message"] for e in found if e["involvedObject"]["name"] == name and e["reason"] == reason]


def points(suggestion: dict[str, Any]) -> dict[str, str]:
    """The value of ``x`` by trial."""
    assigned = suggestion["status"]["suggestions"]
    return {each["name"]: each["parameterAssignments"][0]["value"] for each in assigned}


async def test_one_that_does_not_decode_fails_in_the_webhooks_words_and_can_be_deleted(
    platform: Platform,
) -> None:
    await create(platform, "unreadable", maxTrialCount="12")
    failed = condition(await platform.ended(Experiment, "unreadable"), "Failed")
    assert failed is not None
    text = "spec.maxTrialCount: expected int, found str; write the value without quotes"
    assert failed["message"] == text
    found = await platform.read(Experiment, "unreadable")
    assert found["metadata"]["finalizers"] == ["update-prometheus-metrics"]
    assert found["status"]["currentOptimalTrial"] == {"observation": {}}
    assert await events_about(platform, "unreadable", "ExperimentFailed") == [text]
    await platform.client.delete(Experiment.resource, NAMESPACE, "unreadable")
    await platform.until(lambda: gone(platform, "unreadable"))


async def test_one_that_is_changed_beyond_reading_waits_goes_on_and_can_be_deleted(
    platform: Platform,
) -> None:
    await create(platform, "broken", most=2, parallel=1)
    (name,) = await platform.running_trials("broken", 1)
    await edit(platform, "broken", maxTrialCount="two")
    await platform.until(lambda: events_about(platform, "broken", "ReconcileError"))
    await platform.finish(name, value="0.5")
    await platform.ended(Trial, name)
    assert words(await platform.read(Experiment, "broken")) == ["Created", "Running"]
    await edit(platform, "broken", maxTrialCount=2)
    await platform.running_trials("broken", 1)
    await edit(platform, "broken", parallelTrialCount="one")
    await platform.client.delete(Experiment.resource, NAMESPACE, "broken")
    await platform.until(lambda: gone(platform, "broken"))


async def test_fewer_places_take_the_surplus_and_more_places_bring_new_points(platform: Platform) -> None:
    await create(platform, "scaled", most=8, parallel=4)
    names = await platform.running_trials("scaled", 4)
    await platform.finish(names[0], value="0.5")
    await platform.ended(Trial, names[0])
    names = await platform.running_trials("scaled", 4)
    first = points(await platform.read(Suggestion, "scaled"))
    assert len(first) == 5
    await edit(platform, "scaled", parallelTrialCount=1)
    await platform.running_trials("scaled", 1)

    async def settled() -> Any:
        found = await platform.read(Suggestion, "scaled")
        status = found["status"]
        counts = (found["spec"]["requests"], status["suggestionCount"], len(status["suggestions"]))
        return counts == (2, 2, 2) and status["assignmentsMade"] == 5

    await platform.until(settled)
    done = [t for t in await platform.trials("scaled") if words(t)[-1] == "Succeeded"]
    assert len(done) == 1
    await edit(platform, "scaled", parallelTrialCount=4)
    await platform.running_trials("scaled", 4)
    second = points(await platform.read(Suggestion, "scaled"))
    new = {name: point for name, point in second.items() if name not in first}
    assert len(new) == 3
    assert set(new.values()).isdisjoint(first.values())
    while len(await platform.trials("scaled")) < 8 or await still_running(platform, "scaled"):
        for name in await still_running(platform, "scaled"):
            await platform.finish(name, value="0.5")
        await asyncio.sleep(0.2)
    status = (await platform.ended(Experiment, "scaled"))["status"]
    assert (status["trials"], status["trialsSucceeded"]) == (8, 8)
    last = points(await platform.read(Suggestion, "scaled"))
    assert len(set(last.values())) == len(last) == 8


async def still_running(platform: Platform, experiment: str) -> list[str]:
    """Trials that run and whose job the test has not finished."""
    jobs = {j["metadata"]["name"]: j for j in await platform.items(JOBS)}
    return [
        t["metadata"]["name"]
        for t in await platform.trials(experiment)
        if words(t)[-1:] == ["Running"]
        and not jobs.get(t["metadata"]["name"], {}).get("status", {}).get("conditions")
        and t["metadata"]["name"] in jobs
    ]


@pytest.mark.parametrize("policy", ["LongRunning", "FromVolume"])
async def test_a_larger_budget_resumes_what_had_all_its_trials(platform: Platform, policy: str) -> None:
    name = policy.lower()
    await create(platform, name, most=1, parallel=1, resumePolicy=policy)
    (first,) = await platform.running_trials(name, 1)
    await platform.finish(first, value="0.5")
    await platform.ended(Experiment, name)
    if policy == "FromVolume":
        assert words(await platform.ended(Suggestion, name))[-1] == "Succeeded"
        claim = await platform.read(VOLUME_CLAIMS, f"{name}-random")
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["metadata"]["ownerReferences"][0]["kind"] == "Suggestion"
    await edit(platform, name, maxTrialCount=2)
    (second,) = await platform.running_trials(name, 1)
    assert second != first
    assert "Restarting" in words(await platform.read(Experiment, name))
    await platform.finish(second, value="0.4")

    async def again() -> Any:
        found = await platform.read(Experiment, name)
        return found if words(found)[-1] == "Succeeded" else None

    found = await platform.until(again)
    assert words(found) == ["Created", "Restarting", "-Running", "Succeeded"]
    assert found["status"]["trialsSucceeded"] == 2
    kept = points(await platform.read(Suggestion, name))
    assert list(kept) == [first, second]
    assert len(set(kept.values())) == 2


async def test_a_larger_budget_does_not_resume_the_policy_never(platform: Platform) -> None:
    await create(platform, "never", most=1, parallel=1)
    (name,) = await platform.running_trials("never", 1)
    await platform.finish(name, value="0.5")
    await platform.ended(Suggestion, "never")
    await edit(platform, "never", maxTrialCount=3)
    await asyncio.sleep(1)
    assert words(await platform.read(Experiment, "never"))[-1] == "Succeeded"
    assert len(await platform.trials("never")) == 1


async def test_a_goal_ends_it_though_trials_go_on_and_are_followed(platform: Platform) -> None:
    asked = manifest("goal", most=8, parallel=2)
    asked["spec"]["objective"]["goal"] = 0.1
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    good, other = await platform.running_trials("goal", 2)
    await platform.finish(good, value="0.05")
    found = await platform.ended(Experiment, "goal")
    ended = condition(found, "Succeeded")
    assert ended is not None
    assert ended["reason"] == "ExperimentGoalReached"
    assert found["status"]["currentOptimalTrial"]["bestTrialName"] == good
    await platform.finish(other, value="0.5")

    async def followed() -> Any:
        return (await platform.read(Experiment, "goal"))["status"].get("trialsSucceeded") == 2

    await platform.until(followed)
    assert len(await platform.trials("goal")) == 2


async def test_a_template_in_a_config_map_is_waited_for_and_filled_in(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfx.katib.budget.TEMPLATE_POLL", 0.5)
    asked = manifest("mapped", most=1, parallel=1)
    template = asked["spec"]["trialTemplate"]
    job = template.pop("trialSpec")
    source = {"configMapName": "templates", "configMapNamespace": NAMESPACE, "templatePath": "job"}
    template["configMap"] = source
    template["trialParameters"].append({"name": "me", "reference": "${trialSpec.Name}"})
    job["spec"]["template"]["spec"]["containers"][0]["args"] = [
        "--x=${trialParameters.x}", "--me=${trialParameters.me}",
    ]  # fmt: skip
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    told = await platform.until(lambda: events_about(platform, "mapped", "ReconcileError"))
    assert told[0].startswith("Failed to reconcile: configMap not found: ConfigMap default/templates")
    body = {"metadata": {"name": "templates"}, "data": {"job": json.dumps(job)}}
    await platform.client.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", **body}, namespace=NAMESPACE
    )
    (name,) = await platform.running_trials("mapped", 1)
    made = await platform.read(JOBS, name)
    (value,) = points(await platform.read(Suggestion, "mapped")).values()
    args = made["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == [f"--x={value}", f"--me={name}"]


async def test_two_of_one_name_in_two_namespaces_do_not_know_of_each_other(platform: Platform) -> None:
    await namespace(platform, "other")
    await create(platform, "twin", most=1, parallel=1)
    there = manifest("twin", most=3, parallel=1)
    there["metadata"]["namespace"] = "other"
    await platform.client.create(Experiment.resource, there, namespace="other")
    (name,) = await platform.running_trials("twin", 1)
    await platform.finish(name, value="0.5")
    await platform.ended(Experiment, "twin")

    async def begun() -> Any:
        found = await platform.client.get_document(Experiment.resource, "other", "twin")
        return found if found.get("status", {}).get("trials") else None

    status = (await platform.until(begun))["status"]
    assert (status["trials"], status.get("trialsSucceeded", 0)) == (1, 0)
    assert len(await platform.trials("twin")) == 1


async def test_in_a_namespace_that_goes_an_experiment_lets_go_in_silence(platform: Platform) -> None:
    await namespace(platform, "going")
    asked = manifest("last", most=4, parallel=2)
    asked["metadata"]["namespace"] = "going"
    await platform.client.create(Experiment.resource, asked, namespace="going")

    async def begun() -> Any:
        found = await platform.client.get_document(Experiment.resource, "going", "last")
        return found.get("status", {}).get("trialsRunning") == 2

    await platform.until(begun)
    await platform.client.delete(NAMESPACES, "", "going")

    async def all_gone() -> Any:
        try:
            await platform.client.get_document(NAMESPACES, "", "going")
        except NotFound:
            return True
        return False

    await platform.until(all_gone, 60)
    await create(platform, "next", most=1, parallel=1)
    await platform.running_trials("next", 1)


async def namespace(platform: Platform, name: str) -> None:
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await platform.client.create(NAMESPACES, document)


async def test_a_long_list_of_assignments_grows_by_what_is_new(platform: Platform) -> None:
    """Beyond 50 the status is a JSON patch; the server takes it, and refuses an old version."""
    most = APPENDED_FROM + 3
    await create(platform, "long", most=most, parallel=APPENDED_FROM + 1)
    names = await platform.running_trials("long", APPENDED_FROM + 1)
    for name in names[:3]:
        await platform.finish(name, value="0.5")

    async def grown() -> Any:
        found = await platform.read(Suggestion, "long")
        return found if found["status"]["suggestionCount"] == most else None

    found = await platform.until(grown)
    assert len(set(points(found).values())) == len(found["status"]["suggestions"]) == most
    old = msgspec.convert(found["status"], SuggestionStatus)
    longer = msgspec.structs.replace(old, suggestions=(*old.suggestions, TrialAssignment(name="late")))
    late = status_patch(old, longer, "1")
    assert late is not None
    with pytest.raises(Conflict):
        await platform.client.patch(Suggestion.resource, NAMESPACE, "long", late, subresource="status")
    await platform.client.delete(Experiment.resource, NAMESPACE, "long")
    await platform.until(lambda: gone(platform, "long"))
