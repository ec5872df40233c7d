from typing import Any

import pytest

from kfx.apis.trial import Trial
from kfx.controllers.job_finder import JobFinder
from kfx.controllers.jobs import JobLister
from kfx.runtime.reconcile import StaleRead, TerminalError
from tests.katib_objects import JOBS, NOW, as_unstructured, condition, job_document, trial
from tests.unit.controllers.parts import Live, store_of

RUNNING = trial("Created", "Running")
FRESH = trial("Created", condition("Running", at=NOW))
ENDED = trial("Created", "-Running", "Succeeded")


def finder(cached: dict[str, Any] | None = None, live: Live | None = None) -> JobFinder:
    jobs = JobLister({JOBS: store_of(*([as_unstructured(cached)] if cached else []))})
    return JobFinder(jobs=jobs, client=live or Live(), now=lambda: NOW)


def of_namesake() -> dict[str, Any]:
    found = job_document()
    found["metadata"]["ownerReferences"][0]["uid"] = "an earlier one"
    return found


def of_nobody() -> dict[str, Any]:
    found = job_document()
    found["metadata"]["ownerReferences"] = None
    return found


async def test_a_cached_job_is_taken_without_asking_the_server() -> None:
    live = Live()
    found = await finder(job_document("Complete"), live).find(JOBS, RUNNING)
    assert found is not None
    assert (found.uid, found.deleting, live.reads) == ("job-uid", False, 0)
    assert found.document["status"]["conditions"][0]["type"] == "Complete"


async def test_a_job_on_its_way_out_says_so() -> None:
    document = job_document()
    document["metadata"]["deletionTimestamp"] = NOW
    found = await finder(document).find(JOBS, ENDED)
    assert found is not None
    assert found.deleting


@pytest.mark.parametrize("of", [trial(), ENDED], ids=["new", "ended"])
async def test_a_trial_that_needs_no_proof_asks_nobody(of: Trial) -> None:
    live = Live()
    assert await finder(live=live).find(JOBS, of) is None
    assert live.reads == 0


async def test_a_job_made_just_now_is_waited_for() -> None:
    live = Live()
    with pytest.raises(StaleRead, match="just now"):
        await finder(live=live).find(JOBS, FRESH)
    assert live.reads == 0


@pytest.mark.parametrize("of", [RUNNING, trial("Created")], ids=["running", "created"])
async def test_a_job_is_gone_only_if_the_server_says_so_and_the_trial_is_as_it_was(of: Trial) -> None:
    live = Live({}, of)
    assert await finder(live=live).find(JOBS, of) is None
    assert live.reads == 2


async def test_a_job_the_cache_has_not_seen_is_taken_from_the_server() -> None:
    document = job_document("Failed") | {}
    document["metadata"]["deletionTimestamp"] = NOW
    found = await finder(live=Live({(JOBS, "ns", "e-1"): document})).find(JOBS, RUNNING)
    assert found is not None
    assert (found.uid, found.deleting) == ("job-uid", True)


async def test_a_trial_that_has_changed_gets_no_other_job() -> None:
    changed = trial("Created", "-Running", "Succeeded")
    changed = Trial(
        metadata=type(changed.metadata)(name="e-1", namespace="ns", resource_version="99"),
        status=changed.status,
    )
    with pytest.raises(StaleRead, match="has changed"):
        await finder(live=Live({}, changed)).find(JOBS, RUNNING)


async def test_a_trial_that_is_gone_gets_no_other_job() -> None:
    with pytest.raises(StaleRead, match="is gone"):
        await finder(live=Live()).find(JOBS, RUNNING)


async def test_the_job_of_a_namesake_is_waited_out() -> None:
    with pytest.raises(StaleRead, match="on its way out"):
        await finder(of_namesake()).find(JOBS, trial())


@pytest.mark.parametrize("cached", [True, False])
async def test_a_job_of_nobody_is_never_adopted(cached: bool) -> None:
    where = finder(of_nobody()) if cached else finder(live=Live({(JOBS, "ns", "e-1"): of_nobody()}))
    with pytest.raises(TerminalError, match=r"Job ns/e-1 exists already .* delete it"):
        await where.find(JOBS, RUNNING)


@pytest.mark.parametrize("document", [of_namesake(), of_nobody()])
async def test_a_foreign_job_is_left_alone_by_a_trial_that_has_ended(document: dict[str, Any]) -> None:
    assert await finder(document).find(JOBS, ENDED) is None


async def test_no_job_is_made_or_missed_before_its_kind_has_been_listed() -> None:
    live = Live()
    jobs = JobFinder(
        jobs=JobLister({JOBS: store_of()}, is_known=lambda _: False), client=live, now=lambda: NOW
    )
    for of in (trial(), RUNNING, ENDED):
        with pytest.raises(StaleRead, match=r"jobs\.batch has not been listed yet"):
            await jobs.find(JOBS, of)
    assert live.reads == 0
