"""Two replicas, one leader: when it is killed the other finishes the work."""

from collections import Counter
from collections.abc import Iterator

import pytest

from hack.run.controller import Ports
from tests.e2e.experiments import small
from tests.e2e.platform import Platform, ending, stop, wait_for

EXPERIMENT = "katib.kubeflow.org/experiment"
LEASE = "3fbc96e9.katib.kubeflow.org"
FIRST_LEADER = Ports(webhook=28443, metrics=28081, healthz=28082, db_manager=26789)
TRIALS = 6


@pytest.fixture
def pair(platform: Platform) -> Iterator[Platform]:
    """A leader that no Service leads to, and a standby that answers webhooks and collectors."""
    platform.start_kfx("--enable-leader-election", ports=FIRST_LEADER)
    try:
        wait_for("a leader", lambda: _holder(platform), timeout=60)
        platform.start_kfx("--enable-leader-election")
        platform.wait_until_ready()
        yield platform
    finally:
        stop(platform.replicas)
        platform.replicas.clear()


def test_the_standby_finishes_what_a_killed_leader_began(pair: Platform) -> None:
    leader, holder = pair.replicas[0], _holder(pair)
    name = pair.create(small("failover", trials=TRIALS))
    before = wait_for("the first trial to succeed", lambda: _succeeded(pair, name), timeout=120)
    leader.kill()
    experiment = pair.ended(name, timeout=240)
    ended = ending(experiment)
    assert ended is not None
    assert ended["type"] == "Succeeded"
    assert _holder(pair) not in {"", holder}
    trials = pair.get("trials", selector=f"{EXPERIMENT}={name}")
    assert len(trials) == TRIALS
    assert before <= {t["metadata"]["name"] for t in trials}, "no trial is lost"
    assert max(_jobs_made(pair, name).values()) == 1, "no Job is made twice"


def _holder(platform: Platform) -> str:
    lease = platform.get("lease", LEASE, namespace="kubeflow")
    found: str = (lease or {}).get("spec", {}).get("holderIdentity") or ""
    return found


def _succeeded(platform: Platform, experiment: str) -> set[str]:
    return set(platform.get("experiment", experiment).get("status", {}).get("succeededTrialList", []))


def _jobs_made(platform: Platform, experiment: str) -> Counter[str]:
    """How many uids the events about each trial's Job name: one for each time it was made."""
    events = platform.get("events")
    jobs = {
        (e["involvedObject"]["name"], e["involvedObject"]["uid"])
        for e in events
        if e["involvedObject"]["kind"] == "Job" and e["involvedObject"]["name"].startswith(f"{experiment}-")
    }
    return Counter(name for name, _ in jobs)
