"""Small Experiments for the tests."""

import copy
from pathlib import Path
from typing import Any

import yaml

_SAMPLE = yaml.safe_load(Path("config/samples/random.yaml").read_text(encoding="utf-8"))


def small(name: str, *, trials: int = 2, command: list[str] | None = None) -> dict[str, Any]:
    """The sample with fewer trials; ``command`` takes the place of the training."""
    manifest: dict[str, Any] = copy.deepcopy(_SAMPLE)
    manifest["metadata"] = {"generateName": f"{name}-"}
    manifest["spec"] |= {
        "maxTrialCount": trials,
        "parallelTrialCount": min(trials, 2),
        "maxFailedTrialCount": 0,
    }
    if command:
        container(manifest)["command"] = [*command, "${trialParameters.learningRate}"]
        template = manifest["spec"]["trialTemplate"]
        (used,) = [p for p in template["trialParameters"] if p["name"] == "learningRate"]
        template["trialParameters"] = [used]
        parameters = manifest["spec"]["parameters"]
        manifest["spec"]["parameters"] = [p for p in parameters if p["name"] == used["reference"]]
    return manifest


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    """The training container of the template."""
    found: dict[str, Any] = manifest["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    return found
