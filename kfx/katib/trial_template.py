"""The job of one trial: a template, its parameters and the trial's own name.

Pure. Called by the Experiment's planner for each new trial, and piecewise by the validator. The texts at the
start of each error are Katib's (package ``manifest``), the remedy behind them is ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import re2

from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import ConfigMapSource, Experiment, TrialParameterSpec, TrialTemplate
from kfx.katib.document import MAX_BYTES, DocumentError, compact_json, parse_object
from kfx.katib.substitution import substitute

META_KEYS = ("Name", "Namespace", "Kind", "APIVersion", "Annotations", "Labels")
DROPPED_METADATA = (
    "generateName",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "resourceVersion",
    "uid",
)
TEMPLATE_LABEL = ("katib.kubeflow.org/component", "trial-templates")

# RE2, since the standard library takes quadratic time for references that are never closed
_META_REFERENCE = re2.compile(r"\$\{trialSpec\.(.+?)\}")
_META_INDEX = re2.compile(r"(.+)\[(.+)\]")
_SHOWN = 300
_LONGEST_REFERENCE = 4096


class RenderError(Exception):
    """The template gives no job; the message begins with Katib's text and ends with the remedy."""


def render_trial(
    experiment: Experiment,
    trial_name: str,
    assignments: Sequence[ParameterAssignment],
    template_text: str | None,
) -> dict[str, Any]:
    """The manifest of the trial's job, named and placed as the trial, without an owner.

    ``template_text`` is the text of the ConfigMap the template names (:func:`template_from_config_map`) and
    is not looked at for an inline template. Raises :class:`RenderError`.
    """
    template = experiment.spec.trial_template or TrialTemplate()
    text = template_source(template, template_text)
    source = _parse(text)
    values = _values(template.trial_parameters, assignments, _Meta(trial_name, experiment, source))
    try:
        found = substitute(text, values, source)
    except DocumentError as error:
        raise RenderError(f"failed to convert string to unstructured: {error}") from error
    if not isinstance(found.get("kind"), str) or not found["kind"]:
        raise RenderError("failed to convert string to unstructured: Object 'Kind' is missing; add kind")
    return _named(found, trial_name, experiment.metadata.namespace)


def template_source(template: TrialTemplate, config_map_text: str | None) -> str:
    """The template as text: the inline ``trialSpec`` as compact JSON, or the ConfigMap's.

    Raises :class:`RenderError`.
    """
    if template.trial_spec is None:
        if config_map_text is None:
            raise RenderError("configMap not found: give trialSpec, or a configMap that exists")
        return config_map_text
    try:
        if len(msgspec.json.encode(template.trial_spec)) > MAX_BYTES:
            raise RenderError(f"trialSpec is longer than {MAX_BYTES} bytes; shorten it")
        return compact_json(template.trial_spec)
    except ValueError as error:
        raise RenderError(
            f"failed to convert unstructured to string: {error}; use finite numbers in trialSpec"
        ) from error


def template_from_config_map(
    source: ConfigMapSource,
    config_map: Mapping[str, Any] | None,
    *,
    namespace: str,
    core_namespace: str,
) -> str:
    """The template text of a ConfigMap document, ``None`` where there is none.

    Read is only what lies in the Experiment's ``namespace``, in kfx's own, or carries the label of template
    ConfigMaps; nothing of the content is ever repeated. Raises :class:`RenderError`.
    """
    where = f"ConfigMap {source.config_map_namespace}/{source.config_map_name}"
    labels = ((config_map or {}).get("metadata") or {}).get("labels") or {}
    shared = labels.get(TEMPLATE_LABEL[0]) == TEMPLATE_LABEL[1]
    if source.config_map_namespace not in (namespace, core_namespace) and not shared:
        raise RenderError(
            f"configMap not found: no template {where} that namespace {namespace!r} may use; copy it there, "
            f"or label it {TEMPLATE_LABEL[0]}={TEMPLATE_LABEL[1]}"
        )
    if config_map is None:
        raise RenderError(f"configMap not found: {where}; create it, or correct trialTemplate.configMap")
    text = (config_map.get("data") or {}).get(source.template_path)
    if not isinstance(text, str):
        raise RenderError(
            f"unable to find trial template in ConfigMap: TemplatePath: {source.template_path}, {where}; "
            "set templatePath to a key of its data"
        )
    return text


def is_meta_reference(reference: str) -> bool:
    """Whether a trial parameter takes its value from the trial itself (Katib ``isMetaKey``)."""
    match = _META_REFERENCE.search(reference) if len(reference) <= _LONGEST_REFERENCE else None
    if match is None:
        return False
    index = _META_INDEX.search(match[1])
    return (index[1] if index else match[1]) in META_KEYS


class _Meta:
    """What ``${trialSpec.<key>}`` means for one trial."""

    def __init__(self, trial_name: str, experiment: Experiment, template: Mapping[str, Any]) -> None:
        metadata = template.get("metadata")
        self._metadata = metadata if isinstance(metadata, Mapping) else {}
        self._plain = {
            "Name": trial_name,
            "Namespace": experiment.metadata.namespace,
            "Kind": str(template.get("kind") or ""),
            "APIVersion": str(template.get("apiVersion") or ""),
        }

    def value(self, reference: str, key: str) -> str:
        """The value for ``key``, the text between ``${trialSpec.`` and ``}``. Raises :class:`RenderError`."""
        match = _META_INDEX.search(key)
        name, index = (match[1], match[2]) if match else (key, "")
        if name in self._plain:
            return self._plain[name]
        if name not in META_KEYS:
            raise RenderError(
                f"illegal reference of trial metadata: {reference}; use one of {', '.join(META_KEYS)}"
            )
        entries = self._metadata.get(name.lower())
        found = entries.get(index) if isinstance(entries, Mapping) else None
        if not isinstance(found, str):
            raise RenderError(
                f"illegal reference of trial metadata: {reference}; failed to fetch {name[:-1]}: {index}; "
                f"set metadata.{name.lower()} in the template, refer to it as ${{trialSpec.{name}[<key>]}}"
            )
        return found


def _values(
    parameters: Sequence[TrialParameterSpec], assignments: Sequence[ParameterAssignment], meta: _Meta
) -> dict[str, str]:
    """Placeholder name to value; every assignment must be used exactly once."""
    assigned = {assignment.name: assignment.value for assignment in assignments}
    found, used = {}, 0
    for parameter in parameters:
        if match := _META_REFERENCE.search(parameter.reference):
            found[parameter.name] = meta.value(parameter.reference, match[1])
            continue
        if parameter.reference not in assigned:
            raise RenderError(
                "unable to find non-meta parameter from TrialParameters in ParameterAssignment: parameter: "
                f"{parameter.reference}, parameter assignment: {_go_map(assigned)}; "
                "let its reference name an entry of spec.parameters"
            )
        found[parameter.name] = assigned[parameter.reference]
        used += 1
    if len(assignments) != used:
        raise RenderError(
            "unable to find parameter from ParameterAssignment in TrialParameters: parameter assignments: "
            f"{_go_list(assignments)}, non-meta trial parameter count: {used}; "
            "let each of spec.parameters be the reference of exactly one trial parameter"
        )
    return found


def _parse(text: str) -> dict[str, Any]:
    try:
        return parse_object(text)
    except DocumentError as error:
        raise RenderError(
            f"failed to convert string to unstructured: {error}; correct the template"
        ) from error


def _named(document: dict[str, Any], name: str, namespace: str) -> dict[str, Any]:
    metadata = document.get("metadata")
    kept = {
        key: value
        for key, value in (metadata if isinstance(metadata, dict) else {}).items()
        if key not in DROPPED_METADATA
    }
    return {**document, "metadata": {**kept, "name": name, "namespace": namespace}}


def _go_map(values: Mapping[str, str]) -> str:
    return _short("map[" + " ".join(f"{name}:{values[name]}" for name in sorted(values)) + "]")


def _go_list(assignments: Sequence[ParameterAssignment]) -> str:
    return _short("[" + " ".join(f"{{{item.name} {item.value}}}" for item in assignments) + "]")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
