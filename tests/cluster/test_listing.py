"""``kfx get`` and ``kfx describe`` before a real API server, and kubectl beside them."""

import asyncio
import json
import signal
import sys
from typing import Any

import pytest
import yaml

from hack.cluster import binaries
from hack.cluster.layout import Layout
from kfx.apis.experiment import Experiment
from tests.cluster.katib import Platform
from tests.cluster.site import (
    Ask,
    create,
    flat,
)

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


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
