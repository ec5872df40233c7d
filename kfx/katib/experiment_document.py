"""An Experiment as it came over the wire, read strictly into its type.

Stands between the webhooks, which get documents, and the rules, which want types. The type errors are those
that Go's decoder would raise; the CRDs carry no schema, so nobody else finds them.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kfx.apis.experiment import Experiment
from kfx.katib.job_schema import find_problems

_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_GOT = re.compile(r"Expected `(?P<want>.+)`, got `(?P<got>.+)`")
_OPAQUE = frozenset({"trialSpec"})
_NESTED = (dict, list)


class ExperimentDecodeError(Exception):
    """The document is no Experiment; the message names the field and the remedy."""


def decode_experiment(document: Mapping[str, Any]) -> Experiment:
    """The typed Experiment. ``null`` counts as absent, unknown fields are ignored.

    Raises :class:`ExperimentDecodeError`.
    """
    plain = {"metadata": {}, **drop_nulls(document)}
    try:
        found = msgspec.convert(plain, Experiment, strict=True)
    except msgspec.ValidationError as error:
        raise ExperimentDecodeError(_explain(str(error))) from error
    _check_opaque(found)
    return found


def explain_problem(problem: str) -> str:
    """What is wrong with an Experiment, as :func:`decode_experiment` says it, from msgspec's own words."""
    return _explain(problem)


def is_being_deleted(document: Mapping[str, Any]) -> bool:
    """Whether the object only waits for its finalizers, whose removal nothing must stand in the way of."""
    metadata = document.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("deletionTimestamp") is not None


def drop_nulls(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without members that are ``null``, save inside the trial's own template."""
    if b"null" not in msgspec.json.encode(document):
        return dict(document)
    return _drop_members(document)


def _drop_members(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _drop(item) if isinstance(item, _NESTED) and key not in _OPAQUE else item
        for key, item in document.items()
        if item is not None
    }


def _drop(value: dict[str, Any] | list[Any]) -> Any:
    if isinstance(value, dict):
        return _drop_members(value)
    return [_drop(item) if isinstance(item, _NESTED) else item for item in value]


def _check_opaque(experiment: Experiment) -> None:
    """The two parts that are kept as they came: the template needs a kind, the container its types."""
    template, collector = experiment.spec.trial_template, experiment.spec.metrics_collector_spec
    if template is not None and template.trial_spec is not None:
        kind = template.trial_spec.get("kind")
        if not isinstance(kind, str) or not kind:
            raise ExperimentDecodeError(
                "spec.trialTemplate.trialSpec: Object 'Kind' is missing; set kind, for example Job"
            )
    if collector is None or collector.collector is None or collector.collector.custom_collector is None:
        return
    path = "spec.metricsCollectorSpec.collector.customCollector"
    for problem in find_problems(collector.collector.custom_collector, "Container", path):
        if not problem.unknown:
            raise ExperimentDecodeError(problem.text)


def _explain(text: str) -> str:
    match = _AT.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    path = path.replace("[...]", "[*]") or "the document"
    types = _GOT.search(what)
    if types is None:
        return f"{path}: {what[:1].lower()}{what[1:]}; correct the field"
    want = types["want"].replace(" | null", "")
    return f"{path}: expected {want}, found {types['got']}; {_remedy(want, types['got'])}"


def _remedy(want: str, got: str) -> str:
    if got == "str" and want in ("int", "float", "bool"):
        return "write the value without quotes"
    if want == "str":
        return "put the value in quotes"
    return "correct the type of the field"
