"""Rules about the trial template: V19 to V36, and what a Trial could not be made from."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import re2

from kfx.apis.experiment import ConfigMapSource, Experiment, TrialTemplate
from kfx.katib.document import DocumentError, parse_object
from kfx.katib.substitution import PLACEHOLDER, placeholder
from kfx.katib.trial_template import DROPPED_METADATA, RenderError, is_meta_reference, template_source
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.field_error import FieldError, invalid, required
from kfx.katib.validation.job_template import check_document

_PATH = "spec.trialTemplate"
_PARAMETERS = f"{_PATH}.trialParameters"
# RE2, since the standard library takes quadratic time for placeholders that are never closed
_LEFT_OVER = re2.compile(r"\$\{trialParameters\..+?\}")
_MAX_NAMED = 300
_TEST_VALUE = "test-value"


def check_trial_template(experiment: Experiment, context: ValidationContext, findings: Findings) -> None:
    """V19 to V36; stops where nothing sensible can follow."""
    template = experiment.spec.trial_template
    if template is None:
        findings.errors.append(required(_PATH, "describe the job of each trial under spec.trialTemplate"))
        return
    _check_head(template, findings)
    if (stop := _missing_source(template)) is not None:
        findings.errors.append(stop)
        return
    text = _template_text(template, context, findings)
    if text is None:
        return
    before = len(findings.errors)
    rest = _check_references(experiment, template, text, findings)
    if rest is None:
        return
    _check_left_over(rest, template, findings)
    _check_parsed(experiment, rest, context, findings)
    if len(findings.errors) == before:
        _check_all_used(experiment, template, findings)


def _check_head(template: TrialTemplate, findings: Findings) -> None:
    """V20 and V21."""
    if not template.primary_container_name:
        detail = "name the container that trains, as it is called in the job's pod template"
        findings.errors.append(required(f"{_PATH}.primaryContainerName", detail))
    if not template.success_condition or not template.failure_condition:
        detail = (
            "set successCondition and failureCondition; they have defaults only for an inline trialSpec of "
            "kind Job, TrainJob, TFJob, PyTorchJob, XGBoostJob or MPIJob"
        )
        findings.errors.append(required(_PATH, detail))


def _missing_source(template: TrialTemplate) -> FieldError | None:
    """V22 to V25, of which only the first counts."""
    if not template.trial_parameters:
        return required(_PARAMETERS, "list at least one trial parameter, with name and reference")
    if template.trial_spec is None and template.config_map is None:
        return required(f"{_PATH}.TrialSource", "set spec.trialTemplate.trialSpec or .configMap")
    if template.trial_spec is not None and template.config_map is not None:
        return required(_PATH, "only one of trialSpec and configMap may be given; remove one")
    if template.config_map is not None and not _is_complete(template.config_map):
        return required(f"{_PATH}.configMap", "set configMapName, configMapNamespace and templatePath")
    return None


def _is_complete(source: ConfigMapSource) -> bool:
    return bool(source.config_map_name and source.config_map_namespace and source.template_path)


def _template_text(template: TrialTemplate, context: ValidationContext, findings: Findings) -> str | None:
    """V26; the text of a ConfigMap must parse even before anything is put in."""
    if template.config_map is not None and context.template_error:
        findings.errors.append(invalid(_PATH, "", context.template_error))
        return None
    try:
        text = template_source(template, context.template_text)
        if template.config_map is not None:
            parse_object(text)
    except RenderError as error:
        findings.errors.append(invalid(_PATH, "", str(error)))
        return None
    except DocumentError as error:
        detail = f"the ConfigMap's template does not parse: {error}; put placeholders in quotes"
        findings.errors.append(invalid(_PATH, "", detail))
        return None
    return text


def _check_references(
    experiment: Experiment, template: TrialTemplate, text: str, findings: Findings
) -> str | None:
    """V27 to V31. The text with each accepted parameter filled in, ``None`` after a parameter it lacks."""
    present = {match[1] for match in PLACEHOLDER.finditer(text)}
    known = _Declared(experiment)
    names: set[str] = set()
    references: set[str] = set()
    for index, parameter in enumerate(template.trial_parameters):
        if findings.enough:
            return None
        path, name, reference = f"{_PARAMETERS}[{index}]", parameter.name, parameter.reference
        if not name or not reference or "{" in name or "}" in name:
            detail = "set name and reference, the name without curly braces"
            findings.errors.append(invalid(path, "", detail))
            continue
        if name in names:
            detail = "the name is taken by an earlier trial parameter; give each its own"
            findings.errors.append(invalid(f"{path}.name", name, detail))
            continue
        if reference in references:
            detail = "an earlier trial parameter has this reference; use that one's placeholder twice instead"
            findings.errors.append(invalid(f"{path}.reference", reference, detail))
            continue
        names.add(name)
        references.add(reference)
        if reference not in known and not is_meta_reference(reference):
            findings.errors.append(invalid(f"{path}.reference", reference, known.refusal(reference)))
        if name not in present:
            detail = _no_placeholder(name, present - names)
            findings.errors.append(invalid(f"{path}.name", name, detail))
            return None
    return PLACEHOLDER.sub(lambda match: _TEST_VALUE if match[1] in names else match[0], text)


class _Declared:
    """V30: what a trial parameter may refer to; anything where there are no parameters, as with nasConfig."""

    def __init__(self, experiment: Experiment) -> None:
        self._names = {parameter.name: None for parameter in experiment.spec.parameters}
        self._shown = _joined(self._names)

    def __contains__(self, reference: str) -> bool:
        return not self._names or reference in self._names

    def refusal(self, reference: str) -> str:
        return (
            f"nothing declares {reference[:_MAX_NAMED]!r}; refer to one of spec.parameters ({self._shown}) "
            "or to ${trialSpec.Name}, ${trialSpec.Namespace} and their like"
        )


def _joined(names: Iterable[str]) -> str:
    text = ", ".join(name[:_MAX_NAMED] for name in itertools.islice(names, _MAX_NAMED))
    return text if len(text) <= _MAX_NAMED else f"{text[:_MAX_NAMED]}…"


def _no_placeholder(name: str, unfilled: Collection[str]) -> str:
    shown = _joined(placeholder(other) for other in sorted(unfilled))
    also = f" (still unfilled there: {shown})" if shown else ""
    wanted = placeholder(name[:_MAX_NAMED])
    return f"the template holds no {wanted}{also}; put it there, or drop the trial parameter"


def _check_left_over(text: str, template: TrialTemplate, findings: Findings) -> None:
    """V32."""
    left = sorted({match[0] for match in itertools.islice(_LEFT_OVER.finditer(text), _MAX_NAMED)})
    if not left:
        return
    known = _joined(parameter.name for parameter in template.trial_parameters if parameter.name)
    detail = (
        f"nothing declares {_joined(left)}; add an entry with that name to "
        f"{_PARAMETERS}, or use one of those there: {known}"
    )
    findings.errors.append(invalid(_PATH, "", detail))


def _check_parsed(experiment: Experiment, text: str, context: ValidationContext, findings: Findings) -> None:
    """V33 to V36 and the list of kinds, on the template with test values in it."""
    try:
        document = parse_object(text)
        if not isinstance(document.get("kind"), str) or not document["kind"]:
            raise DocumentError("Object 'Kind' is missing; set kind, for example Job")
    except DocumentError as error:
        findings.errors.append(invalid(_PATH, "", f"the template does not parse: {error}"))
        return
    _check_metadata(document.get("metadata"), findings)
    check_document(document, experiment, context, findings)


def _check_metadata(metadata: Any, findings: Findings) -> None:
    """V34, and what is not taken over from a template."""
    if not isinstance(metadata, Mapping):
        return
    if metadata.get("name") or metadata.get("namespace"):
        detail = "the job is named and placed as its trial; remove metadata.name and metadata.namespace"
        findings.errors.append(invalid(_PATH, "", detail))
    dropped = [key for key in DROPPED_METADATA if metadata.get(key)]
    if dropped:
        fields = ", ".join(f"metadata.{key}" for key in dropped)
        findings.warn(f"{_PATH}: {fields} of the template will be dropped; remove it")


def _check_all_used(experiment: Experiment, template: TrialTemplate, findings: Findings) -> None:
    """Every parameter must be some trial parameter's reference, or no trial can ever be rendered."""
    used = {parameter.reference for parameter in template.trial_parameters}
    missing = sorted({parameter.name for parameter in experiment.spec.parameters} - used)
    if missing:
        detail = (
            f"nothing refers to spec.parameters {_joined(missing)}; add a trial parameter with that "
            "reference, or remove the parameter"
        )
        findings.errors.append(invalid(_PARAMETERS, missing, detail))
