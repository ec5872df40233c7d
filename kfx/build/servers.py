"""What is served: webhooks, health, metrics, debug pages, gRPC."""

import os
import time
from collections.abc import Sequence
from functools import partial

from kfx.build.controllers import TRIAL
from kfx.build.parts import AGENT, Parts
from kfx.controllers import indexes
from kfx.katib.image_suggestion import Inside
from kfx.katib.injection import InjectionSettings
from kfx.registry.docker_config import DockerConfig, docker_config_path
from kfx.runtime.access import AccessReviewer
from kfx.runtime.admission import AdmissionHandler, AdmissionServer
from kfx.runtime.certs import CertificateSource, SelfSigned
from kfx.runtime.controller import Controller
from kfx.runtime.debug import DebugServer
from kfx.runtime.health import Check, HealthServer, MetricsServer, ping, unless_stopping
from kfx.runtime.manager import Server
from kfx.services.db_manager import DBManager
from kfx.services.external_store import ExternalStore
from kfx.services.grpc_server import GrpcServer
from kfx.services.health import Health
from kfx.webhooks.certificates import certificate_source
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from kfx.webhooks.experiment_validator import ExperimentValidator
from kfx.webhooks.image_commands import ImageCommands
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector
from kfx.webhooks.settings_reader import SettingsReader

WATCH_SILENCE = 180.0  # seconds; bookmarks come every minute, and an idle watch is cut after 70 s


def build_servers(parts: Parts, controllers: Sequence[Controller]) -> Sequence[Server]:
    """All, in the order in which they start."""
    certificates = certificate_source(
        parts.config,
        parts.reader,
        metrics=parts.metrics,
        user_agent=f"{AGENT} certificates",
        permitted=parts.foreign.gone,
    )
    admission = AdmissionServer(
        port=parts.config.webhook_port,
        handlers=build_handlers(parts),
        certificates=certificates,
        metrics=parts.metrics,
    )
    checks: dict[str, Check] = {
        "readyz": unless_stopping(parts.stop, admission.ready),
        "informers": partial(informers_ready, parts),
        "watches": partial(watches_ready, parts),
        "foreign-controller": parts.foreign.check,
    }
    if isinstance(certificates, SelfSigned):
        checks["certificates"] = certificates.ready
    liveness = {"healthz": ping, "loop": parts.loop_lag.check, "leader-election": parts.elector.alive}
    queues = {each.name: each.queue.state for each in controllers}
    remarks = {"db-manager": parts.store.check} if isinstance(parts.store, ExternalStore) else {}
    return (
        HealthServer(parts.config.healthz_addr, checks, liveness=liveness, remarks=remarks),
        DebugServer(parts.config.debug_addr, queues=queues, caches=parts.cache.states),
        _metrics_server(parts, certificates),
        admission,
        *_grpc_servers(parts),
    )


def _grpc_servers(parts: Parts) -> Sequence[Server]:
    """None where collectors report to another database manager."""
    if isinstance(parts.store, ExternalStore):
        return ()
    db_manager = DBManager(parts.store, namespaces_of=partial(_namespaces_of, parts))
    addresses = {"--db-manager-addr": parts.config.db_manager_addr}
    return (GrpcServer(addresses, [db_manager, Health(parts.store.ping)]),)


def _metrics_server(parts: Parts, certificates: CertificateSource) -> MetricsServer:
    """Secured: with ``certificates``, those of the webhooks, unless a flag names others."""
    addr, registry = parts.config.metrics_addr, parts.metrics.registry
    if not parts.config.metrics_secure:
        return MetricsServer(addr, registry)
    source = next(iter(parts.metrics_certificates), certificates)
    access = AccessReviewer(parts.reader, user_agent=f"{AGENT} metrics")
    return MetricsServer(addr, registry, tls=source.ssl_context(), access=access)


def build_handlers(parts: Parts) -> Sequence[AdmissionHandler]:
    """Katib's three webhooks."""
    validator = ExperimentValidator(
        client=parts.reader,
        templates=parts.templates,
        config=parts.katib_config,
        algorithms=parts.algorithms,
        trial_resources=parts.config.trial_resources,
        strict_kinds=parts.config.strict_kinds,
        collector_image=parts.config.collector_image,
    )
    injector = PodInjector(
        client=parts.reader,
        owners=OwnerWalk(client=parts.reader, jobs=parts.jobs),
        trials=parts.trials,
        suggestions=parts.suggestions,
        config=parts.katib_config,
        images=ImageCommands(
            client=parts.reader,
            registries=parts.registries,
            docker=DockerConfig(docker_config_path(os.environ), clock=time.monotonic),
            clock=time.monotonic,
        ),
        settings=SettingsReader(
            InjectionSettings(
                db_manager_address=parts.config.db_manager_address,
                collector_image=parts.config.collector_image,
                early_stopping_address=f"katib-db-manager.{parts.config.core_namespace}:6788",
                inside=Inside(parts.algorithms),
                inject_security_context=parts.config.webhook_inject_securitycontext,
            ),
            form=parts.config.collector_sidecar,
            client=parts.reader,
        ),
        recorder=parts.recorder(TRIAL),
    )
    handlers = (ExperimentDefaulter(), validator, injector)
    return handlers if parts.spans is None else [parts.spans.handler(each) for each in handlers]


def informers_ready(parts: Parts) -> str | None:
    """For readiness: the kinds without a first list, and those that may not be read."""
    return "; ".join(parts.cache.unsynced()) or None


def watches_ready(parts: Parts) -> str | None:
    """For readiness: the kinds of which nothing is heard."""
    return "; ".join(parts.cache.silent(WATCH_SILENCE)) or None


def _namespaces_of(parts: Parts, trial: str) -> Sequence[str]:
    found = parts.trials.by_index(indexes.BY_NAME, trial)
    return [each.metadata.namespace for each in found]
