"""Rules about the job that a template describes: V35, V36, the kinds that are allowed, the container."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from kfx.apis.experiment import Experiment
from kfx.katib.job_kinds import is_denied
from kfx.katib.job_schema import find_problems
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.field_error import invalid, required

_PATH = "spec.trialTemplate"
_MAX_PROBLEMS = 5
_MAX_DEPTH = 20
_NESTED = (dict, list)
_WRAPPED = ("StdOut", "File", "TensorFlowEvent")


def check_document(
    document: Mapping[str, Any], experiment: Experiment, context: ValidationContext, findings: Findings
) -> None:
    """V35 and V36 of a template with test values in it, and whether kfx would run that kind."""
    api_version, kind = document.get("apiVersion"), document["kind"]
    if not isinstance(api_version, str) or not api_version:
        detail = "set apiVersion in the template, for example batch/v1"
        findings.errors.append(required(_PATH, detail))
        return
    if (api_version, kind) == ("batch/v1", "Job"):
        _check_job(document, findings)
    _check_kind(api_version, kind, context, findings)
    _check_container(document, experiment, findings)


def _check_job(document: Mapping[str, Any], findings: Findings) -> None:
    """V36: fields and types only; a value the API server would refuse is left to it."""
    problems = itertools.islice(find_problems(document, "Job"), _MAX_PROBLEMS)
    texts = [problem.text for problem in problems]
    if texts:
        detail = f"the template is no batch/v1 Job: {'; '.join(texts)}"
        findings.errors.append(invalid(_PATH, "", detail))


def _check_kind(api_version: str, kind: str, context: ValidationContext, findings: Findings) -> None:
    """A kind outside ``--trial-resources`` is refused, or only warned about where kfx stands in for Katib."""
    group, _, version = api_version.rpartition("/")
    name = f"{kind}.{version}.{group}"
    denied = is_denied(group, kind)
    if name in context.trial_resources and not denied:
        return
    known = ", ".join(context.trial_resources)
    text = f"no trial may run kind {name}; use one of {known}"
    remedy = f"{text}, or start kfx with --trial-resources {name}"
    near = [other for other in context.trial_resources if other.lower() == name.lower()]
    if near:
        remedy = f"no trial may run kind {name}; write {near[0].partition('.')[0]}, in these letters"
    if denied:
        findings.errors.append(invalid(_PATH, name, text))
    elif context.strict_kinds:
        findings.errors.append(invalid(_PATH, name, remedy))
    else:
        findings.warn(
            f"{_PATH}: kind {name} is not among --trial-resources ({', '.join(near) or known}); "
            "it is followed all the same, if kfx may list and watch it"
        )


def _check_container(document: Mapping[str, Any], experiment: Experiment, findings: Findings) -> None:
    """What the pod webhook will refuse later, or cannot do by itself: to know the command it wraps (K10)."""
    template, collectors = experiment.spec.trial_template, experiment.spec.metrics_collector_spec
    name = template.primary_container_name if template else ""
    lists = list(_container_lists(document, 0))
    if not name or not lists:
        return
    path = f"{_PATH}.primaryContainerName"
    found = [item for items in lists for item in items if item.get("name") == name]
    if not found:
        findings.warn(f"{path}: the template has no container {name!r}; its pods will be refused")
    kind = collectors.collector.kind if collectors and collectors.collector else "StdOut"
    if kind in _WRAPPED and any(not item.get("command") for item in found):
        findings.warn(
            f"{path}: container {name!r} has no command: what its image runs is read from the registry as "
            "each pod is made, which is refused where that fails; set command to be sure"
        )


def _container_lists(value: Any, depth: int) -> Iterator[list[Mapping[str, Any]]]:
    """The ``containers`` of every pod template in a job, whatever its kind."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, _NESTED):
                yield from _container_lists(item, depth + 1)
        return
    for key, item in value.items():
        if key == "containers" and isinstance(item, list):
            yield [container for container in item if isinstance(container, dict)]
        elif isinstance(item, _NESTED):
            yield from _container_lists(item, depth + 1)
