"""A real Experiment runs to its end, and leaves behind what Katib's clients read."""

import urllib.request

from tests.e2e.experiments import small
from tests.e2e.platform import PORTS, Platform, ending

EXPERIMENT = "katib.kubeflow.org/experiment"


def test_a_random_search_ends_with_the_best_of_its_trials(kfx: Platform) -> None:
    name = kfx.create(small("good", trials=4))
    experiment = kfx.ended(name, timeout=180)
    ended = ending(experiment)
    assert ended is not None
    assert (ended["type"], ended["reason"]) == ("Succeeded", "ExperimentMaxTrialsReached")
    assert experiment["status"]["conditions"][-1]["type"] == "Succeeded"
    trials = kfx.get("trials", selector=f"{EXPERIMENT}={name}")
    losses = {t["metadata"]["name"]: _loss(t["status"]) for t in trials}
    assert len(losses) == 4
    optimal = experiment["status"]["currentOptimalTrial"]
    assert optimal["bestTrialName"] == min(losses, key=losses.__getitem__)
    assert _loss(optimal) == min(losses.values())
    (suggestion,) = [s for s in kfx.get("suggestions") if s["metadata"]["name"] == name]
    assert suggestion["status"]["suggestionCount"] == 4


def test_every_trial_ran_one_job_whose_pod_carried_the_collector(kfx: Platform) -> None:
    manifest = small("parts")
    manifest["spec"]["trialTemplate"]["retain"] = True
    name = kfx.create(manifest)
    kfx.ended(name, timeout=180)
    trials = {t["metadata"]["name"]: t for t in kfx.get("trials", selector=f"{EXPERIMENT}={name}")}
    jobs = [j for j in kfx.get("jobs") if j["metadata"]["name"] in trials]
    assert {j["metadata"]["name"] for j in jobs} == trials.keys()
    for job in jobs:
        (owner,) = job["metadata"]["ownerReferences"]
        assert owner["uid"] == trials[job["metadata"]["name"]]["metadata"]["uid"]
        assert owner["controller"] is True
    pods = kfx.get("pods", selector=f"{EXPERIMENT}={name}")
    assert {p["metadata"]["labels"]["katib.kubeflow.org/trial"] for p in pods} == trials.keys()
    for pod in pods:
        assert [c["name"] for c in pod["spec"]["initContainers"]] == ["metrics-logger-and-collector"]


def test_a_jobs_work_is_taken_away_once_its_trial_has_ended(kfx: Platform) -> None:
    name = kfx.create(small("tidy", trials=1))
    kfx.ended(name, timeout=180)
    (trial,) = kfx.get("trials", selector=f"{EXPERIMENT}={name}")
    job = trial["metadata"]["name"]
    kfx.kubectl("-n", "default", "wait", "--for=delete", "job", job, "--timeout=50s")


def test_the_figures_of_a_process_that_works_can_be_scraped(kfx: Platform) -> None:
    with urllib.request.urlopen(PORTS.metrics_url, timeout=10) as answer:
        found = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#")
    assert float(found['katib_trial_succeeded_total{namespace="default"}']) >= 1
    assert float(found['controller_runtime_webhook_requests_total{code="200",webhook="/mutate-pod"}']) >= 1
    assert float(found['kfx_informer_last_event_age_seconds{resource="trials.kubeflow.org"}']) < 90
    assert "workqueue_longest_running_processor_seconds" in "".join(found)


def test_a_deleted_experiment_takes_everything_with_it(kfx: Platform) -> None:
    name = kfx.create(small("gone", trials=1))
    kfx.ended(name, timeout=180)
    kfx.kubectl("-n", "default", "delete", "experiment", name, "--timeout=50s")
    kfx.kubectl(
        "-n", "default", "wait", "--for=delete", "trials", "-l", f"{EXPERIMENT}={name}", "--timeout=50s"
    )
    assert kfx.get("suggestion", name) is None


def _loss(status: dict[str, object]) -> float:
    observation = status["observation"]
    assert isinstance(observation, dict)
    return next(float(m["min"]) for m in observation["metrics"] if m["name"] == "loss")
