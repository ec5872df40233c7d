"""Trial templates that are kept in ConfigMaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kfx.apis.experiment import Experiment
from kfx.katib.trial_template import RenderError, template_from_config_map
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


class DocumentReader(Protocol):
    """Reads one object past the cache."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Template:
    """``text`` is ``None`` for an inline template; ``problem``: why there is none now."""

    text: str | None = None
    problem: str = ""


class TemplateReader:
    """Reads live, as it is asked only when trials are to be made. ``core_namespace``'s are for everybody."""

    def __init__(self, *, client: DocumentReader, core_namespace: str) -> None:
        self._client = client
        self._core_namespace = core_namespace

    async def read(self, experiment: Experiment) -> Template:
        """The template of ``experiment``, as far as it is not in the experiment itself."""
        source = experiment.spec.trial_template.config_map if experiment.spec.trial_template else None
        if source is None:
            return Template()
        found: Mapping[str, Any] | None
        try:
            found = await self._client.get_document(
                CONFIG_MAPS, source.config_map_namespace, source.config_map_name
            )
        except NotFound:
            found = None
        namespace = experiment.metadata.namespace
        try:
            text = template_from_config_map(
                source, found, namespace=namespace, core_namespace=self._core_namespace
            )
        except RenderError as error:
            return Template(problem=str(error))
        return Template(text)
