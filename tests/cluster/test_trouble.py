"""What keeps an Experiment from going on, and where that is told; on a real API server, without a node."""

from pathlib import Path
from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.runtime.events import EVENTS
from tests.cluster.job_kinds import RUN, WORKFLOW, install, operating, remove
from tests.cluster.katib import NAMESPACE, Platform, manifest, words, working
from tests.cluster.site import Ask, flat

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
