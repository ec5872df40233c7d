"""kfx's three webhooks with full caches: ``python -m hack.bench.operators.webhooks PORT CERTDIR``."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from hack.bench import reviews
from hack.bench.operators.admission import main
from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.config import TRIAL_RESOURCES
from kfx.controllers.jobs import parse_trial_resource
from kfx.controllers.templates import TemplateReader
from kfx.katib.injection import InjectionSettings
from kfx.katib.names import LABEL_INJECTION
from kfx.kube.decode import decoder_for, unstructured_decoder_for
from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.registry.client import RegistryClient
from kfx.runtime.admission import AdmissionHandler
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from kfx.webhooks.experiment_validator import NAMESPACES, ExperimentValidator
from kfx.webhooks.image_commands import ImageCommands
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector
from kfx.webhooks.settings_reader import SettingsReader

COLLECTOR = "example.org/kfx:1"
CORE = "kubeflow"

T = TypeVar("T", bound=KubeObject)


class Server:
    """In place of the API server: knows its version and the namespace, and fails any other read."""

    async def request(self, method: str, path: str) -> Mapping[str, Any]:
        if (method, path) != ("GET", "/version"):
            raise LookupError(f"{method} {path} reads past the caches")
        return {"major": "1", "minor": "36"}

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        if resource != NAMESPACES:
            raise LookupError(f"{resource} {namespace}/{name} is read past the caches")
        return {"metadata": {"name": name, "labels": {LABEL_INJECTION: "enabled"}}}

    async def get(self, kind: type[T], namespace: str, name: str) -> T:
        raise LookupError(f"{kind.resource} {namespace}/{name} is read past the caches")


def filled(decode: Callable[[bytes], T], document: Mapping[str, Any]) -> Store[T]:
    """A cache of one object."""
    store: Store[T] = Store()
    store.put(decode(msgspec.json.encode(document)))
    return store


def handlers() -> Sequence[AdmissionHandler]:
    """As kfx joins them, with what they read in the caches."""
    server = Server()
    jobs = parse_trial_resource("Job.v1.batch")
    config = KatibConfigReader(config_maps=Store[ConfigMap](), core_namespace=CORE, collector_image=COLLECTOR)
    validator = ExperimentValidator(
        client=server,
        templates=TemplateReader(client=server, core_namespace=CORE),
        config=config,
        algorithms=ALGORITHMS,
        trial_resources=TRIAL_RESOURCES,
    )
    injector = PodInjector(
        client=server,
        owners=OwnerWalk(client=server, jobs={jobs: filled(unstructured_decoder_for(jobs), reviews.job())}),
        trials=filled(decoder_for(Trial), reviews.trial()),
        suggestions=filled(decoder_for(Suggestion), reviews.suggestion()),
        config=config,
        images=ImageCommands(
            client=server, registries=RegistryClient(user_agent="bench"), clock=time.monotonic
        ),
        settings=SettingsReader(
            InjectionSettings(db_manager_address=f"katib-db-manager.{CORE}:6789", collector_image=COLLECTOR),
            form="auto",
            client=server,
        ),
    )
    return ExperimentDefaulter(), validator, injector


if __name__ == "__main__":
    main(handlers())
