"""``/validate-experiment``: what could never run is refused before it is stored."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from kfx.algorithms import Algorithm
from kfx.apis.experiment import Experiment
from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.katib_config import KatibConfigError, RuntimeConfig
from kfx.katib.names import LABEL_INJECTION
from kfx.katib.validation import Findings, ValidationContext, aggregate, is_free_update, validate_experiment
from kfx.kube.errors import ApiError, NotFound, TransportError
from kfx.kube.resource import Resource
from kfx.runtime.admission import AdmissionRequest, Allowed, Denied, Verdict
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_reader import read_experiment, read_stored_experiment

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)


class DocumentReader(Protocol):
    """Reads one object past the cache."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


class Template(Protocol):
    """``text`` is ``None`` for an inline template; ``problem`` says why there is none."""

    @property
    def text(self) -> str | None: ...

    @property
    def problem(self) -> str: ...


class TemplateReader(Protocol):
    """Reads the ConfigMap that an Experiment's template names."""

    async def read(self, experiment: Experiment) -> Template: ...


class ExperimentValidator:
    """Looks up what the rules need and lets them judge.

    ``algorithms``, ``early_stoppings``: what this process answers itself. ``trial_resources``: kinds of jobs
    as ``Kind.version.group``; others are refused, or with ``strict_kinds`` off only warned about.
    ``collector_image``: kfx's own.
    """

    path = "/validate-experiment"

    def __init__(
        self,
        *,
        client: DocumentReader,
        templates: TemplateReader,
        config: KatibConfigReader,
        algorithms: Mapping[str, Algorithm],
        early_stoppings: Collection[str] = (),
        trial_resources: Collection[str],
        strict_kinds: bool = True,
        collector_image: str = "",
    ) -> None:
        self._client = client
        self._templates = templates
        self._config = config
        self._algorithms = algorithms
        self._early_stoppings = early_stoppings
        self._trial_resources = trial_resources
        self._strict_kinds = strict_kinds
        self._collector_image = collector_image

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """Namespace, rules, left-over volume; a change of metadata alone always passes."""
        document = read_experiment(request)
        if document is None:
            return Allowed()
        try:
            new = decode_experiment(document)
            old = _decode_stored(read_stored_experiment(request))
        except ExperimentDecodeError as error:
            return Denied(str(error))
        if old is not None and is_free_update(new, old):
            return Allowed()
        refusal = await self._check_namespace(request.namespace, new.metadata.name)
        if refusal is not None:
            return refusal
        findings = validate_experiment(new, old, await self._context(new))
        if findings.errors:
            return Denied(aggregate(findings.errors))
        self._doubt_settings(new, findings)
        if old is None and new.spec.resume_policy == "FromVolume":
            refusal = await self._check_volume(new)
        return refusal or Allowed(warnings=findings.warnings)

    def _doubt_settings(self, experiment: Experiment, findings: Findings) -> None:
        """Katib asks the algorithm only once its service runs, and the Experiment fails then (K16)."""
        name = experiment.spec.algorithm.algorithm_name if experiment.spec.algorithm else ""
        problem = self._algorithms[name].validate(experiment) if name in self._algorithms else None
        if problem is not None:
            findings.warn(f"the Experiment will fail, algorithm {name} refuses it: {problem}")

    async def _context(self, experiment: Experiment) -> ValidationContext:
        config: RuntimeConfig | str
        try:
            config = self._config.read()
        except KatibConfigError as error:
            config = str(error)
        text, problem = await self._template(experiment)
        return ValidationContext(
            algorithms=self._algorithms,
            early_stoppings=self._early_stoppings,
            config=config,
            trial_resources=self._trial_resources,
            strict_kinds=self._strict_kinds,
            collector_image=self._collector_image,
            template_text=text,
            template_error=problem,
        )

    async def _template(self, experiment: Experiment) -> tuple[str | None, str]:
        template = experiment.spec.trial_template
        source = template.config_map if template is not None else None
        if source is None or not (source.config_map_name and source.config_map_namespace):
            return None, ""
        try:
            found = await self._templates.read(experiment)
        except (ApiError, TransportError) as error:
            where = f"{source.config_map_namespace}/{source.config_map_name}"
            return None, f"configMap not found: ConfigMap {where} cannot be read now ({error}); try again"
        return found.text, found.problem

    async def _check_namespace(self, name: str, experiment: str) -> Denied | None:
        try:
            namespace = await self._client.get_document(NAMESPACES, "", name)
        except (ApiError, TransportError) as error:
            message = f"cannot read namespace {name} of Experiment {experiment}: {error}; try again"
            return Denied(message, code=500)
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        if labels.get(LABEL_INJECTION) == "enabled":
            return None
        return Denied(
            f"cannot create the Experiment {experiment!r} in namespace {name!r}: the namespace lacks the "
            f"label {LABEL_INJECTION}: enabled, without which no metrics are collected; run "
            f"kubectl label namespace {name} {LABEL_INJECTION}=enabled"
        )

    async def _check_volume(self, experiment: Experiment) -> Denied | None:
        """A volume left by an earlier Experiment of that name would be taken for this one's."""
        algorithm = experiment.spec.algorithm.algorithm_name if experiment.spec.algorithm else ""
        name = f"{experiment.metadata.name}-{algorithm}-{experiment.metadata.namespace}"
        try:
            await self._client.get_document(PERSISTENT_VOLUMES, "", name)
        except NotFound:
            return None
        except (ApiError, TransportError) as error:
            return Denied(f"cannot tell whether PersistentVolume {name} exists: {error}; try again")
        return Denied(
            f"PersistentVolume {name} of an earlier Experiment is not deleted yet; wait for it, or run "
            f"kubectl delete persistentvolume {name}"
        )


def _decode_stored(document: Mapping[str, Any] | None) -> Experiment | None:
    """The stored Experiment with today's defaults, so that a new default is no change of the user's."""
    if document is None:
        return None
    decode_experiment(document)
    return decode_experiment(default_experiment(document))
