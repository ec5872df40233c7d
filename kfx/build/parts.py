"""What the other parts are made of: clients, caches, the election, who speaks as whom."""

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from kfx import __version__
from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.config import Config
from kfx.controllers import indexes
from kfx.controllers.exchanges import Exchanges
from kfx.controllers.foreign import ForeignController, Self, foreign_gauge
from kfx.controllers.gauges import KATIB_COUNTERS
from kfx.controllers.jobs import parse_trial_resources
from kfx.controllers.prepare import Preparer
from kfx.controllers.tallies import TrialTallies
from kfx.controllers.templates import TemplateReader
from kfx.katib.compaction import compact
from kfx.katib.katib_config import CONFIG_MAP, KatibConfigError, RuntimeConfig
from kfx.katib.validation import ValidationContext
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.transport import Transport
from kfx.registry.client import RegistryClient
from kfx.runtime.cache import Cache
from kfx.runtime.certs import CertificateSource, FileCertificates
from kfx.runtime.events import EventRecorder
from kfx.runtime.leader import AlwaysLeader, LeaderElector, own_identity
from kfx.runtime.lease import ApiLeaseLock
from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reconcile import Request
from kfx.runtime.writer import Writer
from kfx.services.algorithm_client import AlgorithmClient, Dial, dial_cluster_ip
from kfx.services.external_store import ExternalStore
from kfx.store.observations import ObservationStore
from kfx.webhooks.config_reader import KatibConfigReader

if TYPE_CHECKING:
    from kfx.runtime.spans import Spans

AGENT = f"kfx/{__version__}"
WITHOUT_JOBS = "trials of this kind wait, and say why"


class Parts:
    """The parts that others share, made once. ``transport`` leads to the API server of ``credentials``.

    ``stop``: once it is set, readiness says so. ``spans`` records reconciles and reviews, if there is one.
    ``dial``: how the Services of algorithms are reached. ``algorithms``: those that run inside kfx.
    """

    def __init__(
        self,
        config: Config,
        credentials: Credentials,
        transport: Transport,
        store: ObservationStore | ExternalStore,
        stop: asyncio.Event | None = None,
        *,
        spans: "Spans | None" = None,
        dial: Dial = dial_cluster_ip,
    ) -> None:
        self.metrics = RuntimeMetrics()
        for name, (text, labels) in KATIB_COUNTERS.items():
            self.metrics.register_counter(name, text, labels)
        self.config = config
        self.store = store
        self.stop = stop or asyncio.Event()
        self.spans = spans
        self.loop_lag = LoopLag(self.metrics)
        self.lease = _lease_of(config, credentials)
        self.reader = Client(transport, user_agent=AGENT, observe=self.metrics.observe_request)
        self.foreign = self._foreign_controller(credentials)
        self.elector = self._elect()
        self.client = Client(
            transport, user_agent=AGENT, fence=self.elector.check, observe=self.metrics.observe_request
        )
        self.cache = Cache(self.reader, metrics=self.metrics)
        self.experiments = self.cache.informer(Experiment)
        self.suggestions = self.cache.informer(Suggestion)
        self.trials = self.cache.informer(Trial, indexers=indexes.TRIAL_INDEXERS, transform=compact)
        self.tallies = TrialTallies()
        self.algorithms = ALGORITHMS if config.suggestions == "embedded" else {}
        self._dial = dial
        kinds = parse_trial_resources(config.trial_resources)
        self.jobs = {kind: self.cache.dynamic(kind, optional=WITHOUT_JOBS) for kind in kinds}
        self.templates = TemplateReader(client=self.reader, core_namespace=config.core_namespace)
        self.katib_config = self._config_reader()
        self.prepare = Preparer(self.validation_context)
        self.registries = RegistryClient(user_agent=AGENT, plain_http=config.insecure_registry)
        self.recorders: dict[str, EventRecorder] = {}

    def _foreign_controller(self, credentials: Credentials) -> ForeignController:
        """A pod's host name is its own."""
        namespace = credentials.own_namespace()
        pod = Request(namespace, socket.gethostname()) if namespace else None
        return ForeignController(
            self.reader,
            namespace=self.config.core_namespace,
            own=Self(image=self.config.collector_image, pod=pod, lease=self.lease),
            gauge=foreign_gauge(self.metrics.registry),
        )

    def _config_reader(self) -> KatibConfigReader:
        core = self.config.core_namespace
        config_maps = self.cache.informer(
            ConfigMap, namespace=core, field_selector=f"metadata.name={CONFIG_MAP}"
        )
        return KatibConfigReader(
            config_maps=config_maps,
            core_namespace=core,
            collector_image=self.config.collector_image,
            built_ins=self.config.suggestions == "embedded",
        )

    def _elect(self) -> AlwaysLeader | LeaderElector:
        if self.lease is None:
            return AlwaysLeader()
        lock = ApiLeaseLock(self.reader, self.lease.namespace, self.lease.name)
        return LeaderElector(lock, own_identity(), metrics=self.metrics)

    def recording(self, component: str) -> tuple[EventRecorder, Writer]:
        recorder = self.recorder(component)
        return recorder, Writer(self.client, recorder, self.metrics)

    def recorder(self, component: str) -> EventRecorder:
        """One for each component: it gathers and limits what all that speak as that component say."""
        if component not in self.recorders:
            self.recorders[component] = EventRecorder(self.reader, component, metrics=self.metrics)
        return self.recorders[component]

    def validation_context(self) -> ValidationContext:
        config: RuntimeConfig | str
        try:
            config = self.katib_config.read()
        except KatibConfigError as error:
            config = str(error)
        return ValidationContext(
            algorithms=tuple(self.algorithms),
            config=config,
            trial_resources=self.config.trial_resources,
            strict_kinds=self.config.strict_kinds,
            collector_image=self.config.collector_image,
        )

    @cached_property
    def exchanges(self) -> Exchanges:
        """Talks with algorithms that run in images."""
        address = self.config.db_manager_address
        return Exchanges(partial(AlgorithmClient, db_manager_address=address, dial=self._dial))

    @cached_property
    def metrics_certificates(self) -> Sequence[CertificateSource]:
        """One at most, where a flag names it; no server keeps it fresh, so the manager does."""
        folder = self.config.metrics_cert_dir
        return [FileCertificates(folder, flag="--metrics-cert-dir")] if folder else []


def _lease_of(config: Config, credentials: Credentials) -> Request | None:
    if not config.enable_leader_election:
        return None
    return Request(credentials.own_namespace() or config.core_namespace, config.leader_election_id)


def utc_now() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
