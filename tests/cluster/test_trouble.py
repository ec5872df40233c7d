"""What keeps an Experiment from going on, and where that is told; on a real API server, without a node."""

import json
from pathlib import Path
from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.controllers.templates import CONFIG_MAPS
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.runtime.events import EVENTS
from tests.cluster.job_kinds import RUN, WORKFLOW, install, operating, remove
from tests.cluster.katib import NAMESPACE, Platform, manifest, words, working
from tests.cluster.site import Ask, flat
from tests.katib_objects import JOBS

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


async def told_of(platform: Platform, kind: str, name: str, reason: str) -> list[str]:
    found = await platform.items(EVENTS)
    about = [e for e in found if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind, name)]
    return [e["message"] for e in about if e["reason"] == reason]


async def test_a_trial_that_this_process_has_never_read_keeps_its_place_and_is_told(
    site: Client, credentials: Credentials, tmp_path: Path, kfx: Ask
) -> None:
    async with working(site, credentials, tmp_path) as first:
        await site.create(Experiment.resource, manifest("odd", most=2, parallel=1), namespace=NAMESPACE)
        (name,) = await first.running_trials("odd", 1)
    await site.patch(Trial.resource, NAMESPACE, name, {"spec": {"retainRun": "yes"}})
    async with working(site, credentials, tmp_path) as second:
        (text,) = await second.until(lambda: told_of(second, "Experiment", "odd", "TrialUnreadable"))
        assert f"Trial {name} cannot be read: spec.retainRun" in text
        assert "1 of the 1 places of parallelTrialCount" in text
        found = await second.read(Experiment, "odd")
        assert found["status"]["runningTrialList"] == [name]
        said = await kfx("explain", "odd", "-n", NAMESPACE)
        assert name in said.out
        assert "retainRun" in flat(said.out)
        await site.patch(Trial.resource, NAMESPACE, name, {"spec": {"retainRun": False}})
        await second.finish(name, value="0.5")
        await second.ended(Trial, name)
        (other,) = await second.running_trials("odd", 1, besides=[name])
        await second.finish(other, value="0.4")
        found = await second.ended(Experiment, "odd")
        assert words(found) == ["Created", "-Running", "Succeeded"]
        assert (found["status"]["trials"], found["status"]["trialsSucceeded"]) == (2, 2)


async def test_under_katibs_name_a_kind_that_no_flag_names_is_followed_from_its_first_trial_on(
    site: Client, credentials: Credentials, tmp_path: Path
) -> None:
    """Decision 4. Katib makes the job, too, and never looks at it again."""
    await install(site, RUN)
    async with working(site, credentials, tmp_path, strict_kinds=False) as platform:
        await site.create(Trial.resource, RUN.trial("unlisted"), namespace=NAMESPACE)
        async with operating(site, platform.store, RUN):
            found = await platform.ended(Trial, "unlisted")
        assert words(found) == ["Created", "-Running", "Succeeded"]
        assert found["status"]["observation"]["metrics"][0]["min"] == "0.25"
    await remove(site, RUN)


async def test_one_that_is_not_served_is_waited_for(
    site: Client, credentials: Credentials, tmp_path: Path
) -> None:
    async with working(site, credentials, tmp_path, strict_kinds=False) as platform:
        await site.create(Trial.resource, WORKFLOW.trial("early"), namespace=NAMESPACE)

        async def said() -> Any:
            conditions = (await platform.read(Trial, "early")).get("status", {}).get("conditions", [])
            return conditions and "KindNotServed" in conditions[-1]["message"]

        await platform.until(said)
        await install(site, WORKFLOW)
        async with operating(site, platform.store, WORKFLOW):
            assert words(await platform.ended(Trial, "early", seconds=90))[-1] == "Succeeded"
    await remove(site, WORKFLOW)


async def test_a_template_that_vanishes_stops_new_trials_and_not_those_that_run(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfx.katib.budget.TEMPLATE_POLL", 0.5)
    asked = manifest("vanishing", most=2, parallel=1)
    template = asked["spec"]["trialTemplate"]
    body = {"metadata": {"name": "jobs"}, "data": {"job": json.dumps(template.pop("trialSpec"))}}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", **body}
    source = {"configMapName": "jobs", "configMapNamespace": NAMESPACE, "templatePath": "job"}
    template["configMap"] = source
    await platform.client.create(CONFIG_MAPS, config_map, namespace=NAMESPACE)
    await platform.client.create(Experiment.resource, asked, namespace=NAMESPACE)
    (name,) = await platform.running_trials("vanishing", 1)
    await platform.client.delete(CONFIG_MAPS, NAMESPACE, "jobs")
    await platform.finish(name, value="0.5")
    told = await platform.until(lambda: told_of(platform, "Experiment", "vanishing", "ReconcileError"))
    assert told[0].startswith("Failed to reconcile: configMap not found: ConfigMap default/jobs")

    async def followed() -> Any:
        return (await platform.read(Experiment, "vanishing"))["status"].get("trialsSucceeded") == 1

    await platform.until(followed)
    await platform.client.create(CONFIG_MAPS, config_map, namespace=NAMESPACE)
    (other,) = await platform.running_trials("vanishing", 1, besides=[name])
    await platform.finish(other, value="0.4")
    assert words(await platform.ended(Experiment, "vanishing"))[-1] == "Succeeded"


async def test_all_trials_deleted_at_once_come_back(platform: Platform) -> None:
    """D5: Katib looks at no trials at all, sees the old counts and makes none."""
    await platform.client.create(Experiment.resource, manifest("emptied", most=3), namespace=NAMESPACE)
    names = await platform.running_trials("emptied", 2)
    before = {t["metadata"]["uid"] for t in await platform.trials("emptied")}
    for name in names:
        await platform.client.delete(Trial.resource, NAMESPACE, name, propagation="Background")

    async def anew() -> Any:
        found = await platform.trials("emptied")
        running = [t for t in found if words(t)[-1:] == ["Running"]]
        return len(running) == 2 and not before & {t["metadata"]["uid"] for t in running}

    await platform.until(anew, 90)  # the garbage collector looks for new kinds, and so for owners, every 30 s
    assert sorted(t["metadata"]["name"] for t in await platform.trials("emptied")) == sorted(names)
    for name in names:
        await platform.finish(name, value="0.5")
    (last,) = await platform.running_trials("emptied", 1, besides=names)
    await platform.finish(last, value="0.4")
    found = await platform.ended(Experiment, "emptied")
    assert (found["status"]["trials"], found["status"]["trialsSucceeded"]) == (3, 3)


async def test_lists_that_grow_too_long_lose_their_oldest_and_keep_their_counts(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 27, with 600 bytes in place of 512 KiB."""
    monkeypatch.setattr("kfx.katib.long_lists.LIMIT", 600)
    monkeypatch.setattr("kfx.katib.long_lists.STEP", 75)
    await platform.client.create(
        Experiment.resource, manifest("lengthy", most=12, parallel=4), namespace=NAMESPACE
    )
    finished: list[str] = []
    while len(finished) < 12:
        for name in await platform.running_trials("lengthy", min(4, 12 - len(finished)), besides=finished):
            await platform.finish(name, value="0.5")
            finished.append(name)
    found = await platform.ended(Experiment, "lengthy")
    asked = await platform.read(Suggestion, "lengthy")
    status = found["status"]
    assert (status["trials"], status["trialsSucceeded"]) == (12, 12)
    assert asked["status"]["suggestionCount"] == asked["spec"]["requests"] == 12
    assert len(asked["status"]["suggestions"]) < 12
    assert len(finished) == len(set(finished)) == len(await platform.trials("lengthy")) == 12
    assert "kfx.kubeflow.org/lists-shortened" in asked["metadata"]["annotations"]
    assert len(await told_of(platform, "Suggestion", "lengthy", "ListsShortened")) == 1


async def test_a_job_that_does_not_go_is_told_and_made_again_once_it_is_gone(platform: Platform) -> None:
    await platform.client.create(
        Experiment.resource, manifest("kept", most=1, parallel=1), namespace=NAMESPACE
    )
    (name,) = await platform.running_trials("kept", 1)
    await platform.client.patch(JOBS, NAMESPACE, name, {"metadata": {"finalizers": ["example.org/x"]}})
    await platform.client.delete(JOBS, NAMESPACE, name, propagation="Background")
    (text,) = await platform.until(lambda: told_of(platform, "Trial", name, "JobTerminating"))
    assert f"Job {name} is being deleted and does not go (finalizers: example.org/x" in text
    await platform.client.patch(JOBS, NAMESPACE, name, {"metadata": {"finalizers": None}})
    await platform.until(lambda: told_of(platform, "Trial", name, "JobVanished"))
    await platform.finish(name, value="0.5")
    found = await platform.ended(Trial, name)
    assert [c["message"] for c in found["status"]["conditions"][:2]] == [
        "Trial is created",
        "Trial is running",
    ]
