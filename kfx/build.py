"""Makes every part of the process and joins them; the only module that knows them all."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kfx import __version__
from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap, Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.config import Config
from kfx.controllers import indexes
from kfx.controllers.experiment import ExperimentReconciler
from kfx.controllers.failures import PREFIX, FailureReporter
from kfx.controllers.gauges import KATIB_COUNTERS, experiments_gauge, trials_gauge
from kfx.controllers.job_finder import JobFinder
from kfx.controllers.jobs import JobLister, parse_trial_resources
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.pods import PodObserver
from kfx.controllers.prepare import Preparer
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.controllers.templates import TemplateReader
from kfx.controllers.trial import TrialReconciler
from kfx.katib.compaction import compact
from kfx.katib.injection import InjectionSettings
from kfx.katib.katib_config import CONFIG_MAP, KatibConfigError, RuntimeConfig
from kfx.katib.validation import ValidationContext
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, CredentialsError, load_credentials
from kfx.kube.model import KubeObject
from kfx.kube.transport import Transport
from kfx.runtime.access import AccessReviewer
from kfx.runtime.address import InvalidAddress, ListenError
from kfx.runtime.admission import AdmissionHandler, AdmissionServer
from kfx.runtime.cache import Cache
from kfx.runtime.certs import CertificateSource, FileCertificates, Identity, SelfSigned
from kfx.runtime.controller import Controller
from kfx.runtime.debug import DebugServer
from kfx.runtime.events import EventRecorder
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner, EnqueueRequestsFromMapFunc
from kfx.runtime.health import Check, HealthServer, MetricsServer, ping, unless_stopping
from kfx.runtime.leader import AlwaysLeader, LeaderElector, own_identity
from kfx.runtime.lease import ApiLeaseLock
from kfx.runtime.log import get_logger
from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.manager import Manager, Server
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.pki import CertificateError
from kfx.runtime.reconcile import Reconciler
from kfx.runtime.store import Lister
from kfx.runtime.tracing import recording_spans
from kfx.runtime.writer import Writer
from kfx.services.db_manager import DBManager
from kfx.services.grpc_server import GrpcServer
from kfx.services.health import Health
from kfx.store.errors import StoreError
from kfx.store.observations import ObservationStore
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from kfx.webhooks.experiment_validator import ExperimentValidator
from kfx.webhooks.owners import OwnerWalk
from kfx.webhooks.pod_injector import PodInjector

if TYPE_CHECKING:
    from kfx.runtime.spans import Spans

AGENT = f"kfx/{__version__}"
GRACE_PERIOD = 20.0  # seconds after --shutdown-delay for work in hand; the rest then closes within 10 s
WATCH_SILENCE = 180.0  # seconds; bookmarks come every minute, and an idle watch is cut after 70 s
SERVICE = "katib-controller"
WEBHOOK_CONFIGURATION = "katib.kubeflow.org"
CERTIFICATE_SECRET = "katib-webhook-cert"  # noqa: S105 — a name
FORESEEN = (CredentialsError, StoreError, ListenError, InvalidAddress, CertificateError)
"""What keeps kfx from running until a person mends it; the text names the flag or file and the remedy."""
EXPERIMENT, SUGGESTION, TRIAL = "experiment-controller", "suggestion-controller", "trial-controller"

T = TypeVar("T", bound=KubeObject)

log = get_logger("kfx")


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Run kfx until ``stop`` is set.

    Raises what is in FORESEEN where it cannot start, LeadershipLost where another replica took over (each
    alone or in an ExceptionGroup), and TimeoutError where work in hand did not end in time.
    """
    credentials = load_credentials(config.kubeconfig)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(ObservationStore.open(config.sqlite_path))
        spans = None
        if config.tracing_by:
            spans = await stack.enter_async_context(
                recording_spans("kfx", __version__, endpoint=config.tracing_endpoint)
            )
        opening = spans.transport(credentials) if spans else Transport.open(credentials)
        transport = await stack.enter_async_context(opening)
        asked_by = config.tracing_by or "off"
        log.info("starting", version=__version__, server=credentials.server, tracing=asked_by)
        await Wiring(config, credentials, transport, store, stop, spans=spans).manager().run(stop)


class Wiring:
    """Every part, made once. ``transport`` leads to the API server of ``credentials``.

    ``stop``: once it is set, readiness says so. ``spans`` records reconciles and reviews, if there is one.
    """

    def __init__(
        self,
        config: Config,
        credentials: Credentials,
        transport: Transport,
        store: ObservationStore,
        stop: asyncio.Event | None = None,
        *,
        spans: "Spans | None" = None,
    ) -> None:
        self.metrics = RuntimeMetrics()
        for name, (text, labels) in KATIB_COUNTERS.items():
            self.metrics.register_counter(name, text, labels)
        self._config = config
        self._store = store
        self._stop = stop or asyncio.Event()
        self._spans = spans
        self._loop_lag = LoopLag(self.metrics)
        self._reader = Client(transport, user_agent=AGENT, observe=self.metrics.observe_request)
        self._elector = self._elect(credentials)
        self._client = Client(
            transport, user_agent=AGENT, fence=self._elector.check, observe=self.metrics.observe_request
        )
        self._cache = Cache(self._reader, metrics=self.metrics)
        self._experiments = self._cache.informer(Experiment)
        self._suggestions = self._cache.informer(Suggestion)
        self._trials = self._cache.informer(Trial, indexers=indexes.TRIAL_INDEXERS, transform=compact)
        kinds = parse_trial_resources(config.trial_resources)
        self._jobs = {kind: self._cache.dynamic(kind) for kind in kinds}
        self._templates = TemplateReader(client=self._reader, core_namespace=config.core_namespace)
        self._katib_config = self._config_reader()
        self._prepare = Preparer(self._validation_context)
        self._recorders: dict[str, EventRecorder] = {}

    def manager(self) -> Manager:
        """The life of it all."""
        controllers = [self._experiment(), self._suggestion(), self._trial()]
        self._watch(*controllers)
        return Manager(
            servers=self._servers(controllers),
            cache=self._cache,
            elector=self._elector,
            controllers=controllers,
            background=[self._loop_lag, *self._metrics_certificates, *self._recorders.values()],
            shutdown_delay=self._config.shutdown_delay,
            grace_period=GRACE_PERIOD,
        )

    def _config_reader(self) -> KatibConfigReader:
        core = self._config.core_namespace
        return KatibConfigReader(
            config_maps=self._cache.informer(
                ConfigMap, namespace=core, field_selector=f"metadata.name={CONFIG_MAP}"
            ),
            core_namespace=core,
            collector_image=self._config.collector_image,
        )

    def _elect(self, credentials: Credentials) -> AlwaysLeader | LeaderElector:
        if not self._config.enable_leader_election:
            return AlwaysLeader()
        namespace = credentials.own_namespace() or self._config.core_namespace
        lock = ApiLeaseLock(self._reader, namespace, self._config.leader_election_id)
        return LeaderElector(lock, own_identity(), metrics=self.metrics)

    def _watch(self, experiment: Controller, suggestion: Controller, trial: Controller) -> None:
        """Which change of what concerns whom."""
        itself, registry = EnqueueRequestForObject(), self.metrics.registry
        of_experiment = EnqueueRequestForOwner("kubeflow.org", "Experiment")
        watch = self._cache.watch
        watch(Experiment, itself, experiment.queue)
        watch(Trial, of_experiment, experiment.queue)
        watch(Suggestion, of_experiment, experiment.queue)
        watch(Suggestion, itself, suggestion.queue)
        watch(Trial, itself, trial.queue)
        for kind in self._jobs:
            watch(kind, EnqueueRequestForOwner("kubeflow.org", "Trial"), trial.queue)
        of_pod = EnqueueRequestsFromMapFunc(indexes.trial_of_pod)
        watch(Pod, of_pod, trial.queue, label_selector=indexes.TRIAL_PODS)
        watch(Experiment, experiments_gauge(registry), experiment.queue)
        watch(Trial, trials_gauge(registry), trial.queue)

    def _experiment(self) -> Controller:
        recorder, writer = self._recording(EXPERIMENT)
        reconciler = ExperimentReconciler(
            experiments=self._experiments,
            suggestions=self._suggestions,
            trials=self._trials,
            templates=self._templates,
            writer=writer,
            now=utc_now,
            prepare=self._prepare,
        )
        return self._controller(EXPERIMENT, reconciler, self._experiments, recorder)

    def _suggestion(self) -> Controller:
        recorder, writer = self._recording(SUGGESTION)
        reconciler = SuggestionReconciler(
            suggestions=self._suggestions,
            experiments=self._experiments,
            trials=self._trials,
            algorithms=ALGORITHMS,
            writer=writer,
            now=utc_now,
            prepare=self._prepare,
        )
        return self._controller(SUGGESTION, reconciler, self._suggestions, recorder, prefix="")

    def _trial(self) -> Controller:
        recorder, writer = self._recording(TRIAL)
        pods = self._cache.informer(Pod, indexers=indexes.POD_INDEXERS, label_selector=indexes.TRIAL_PODS)
        reconciler = TrialReconciler(
            trials=self._trials,
            jobs=JobFinder(jobs=JobLister(self._jobs), client=self._reader, now=utc_now),
            pods=PodObserver(pods=pods, clock=time.monotonic, patience=self._config.image_wait),
            metrics=MetricsObserver(
                observations=self._store, clock=time.monotonic, patience=self._config.metrics_wait
            ),
            writer=writer,
            recorder=recorder,
            now=utc_now,
        )
        return self._controller(TRIAL, reconciler, self._trials, recorder)

    def _controller(
        self,
        name: str,
        reconciler: Reconciler,
        objects: Lister[T],
        recorder: EventRecorder,
        *,
        prefix: str = PREFIX,
    ) -> Controller:
        report = FailureReporter(objects, recorder, prefix=prefix)
        if self._spans is not None:
            reconciler = self._spans.reconciler(name, reconciler)
        return Controller(name, reconciler, metrics=self.metrics, report=report)

    def _recording(self, component: str) -> tuple[EventRecorder, Writer]:
        recorder = self._recorder(component)
        return recorder, Writer(self._client, recorder, self.metrics)

    def _recorder(self, component: str) -> EventRecorder:
        """One for each component: it gathers and limits what all that speak as that component say."""
        if component not in self._recorders:
            self._recorders[component] = EventRecorder(self._reader, component, metrics=self.metrics)
        return self._recorders[component]

    def _servers(self, controllers: Sequence[Controller]) -> Sequence[Server]:
        certificates = self._certificates()
        admission = AdmissionServer(
            port=self._config.webhook_port,
            handlers=self._handlers(),
            certificates=certificates,
            metrics=self.metrics,
        )
        checks: dict[str, Check] = {
            "readyz": unless_stopping(self._stop, admission.ready),
            "informers": self._informers_ready,
            "watches": self._watches_ready,
        }
        if isinstance(certificates, SelfSigned):
            checks["certificates"] = certificates.ready
        liveness = {"healthz": ping, "loop": self._loop_lag.check}
        queues = {each.name: each.queue.state for each in controllers}
        db_manager = DBManager(self._store, namespaces_of=self._namespaces_of)
        return (
            HealthServer(self._config.healthz_addr, checks, liveness=liveness),
            DebugServer(self._config.debug_addr, queues=queues, caches=self._cache.states),
            self._metrics_server(certificates),
            admission,
            GrpcServer(
                {"--db-manager-addr": self._config.db_manager_addr}, [db_manager, Health(self._store.ping)]
            ),
        )

    def _metrics_server(self, certificates: CertificateSource) -> MetricsServer:
        """Secured: with ``certificates``, those of the webhooks, unless a flag names others."""
        addr, registry = self._config.metrics_addr, self.metrics.registry
        if not self._config.metrics_secure:
            return MetricsServer(addr, registry)
        source = next(iter(self._metrics_certificates), certificates)
        access = AccessReviewer(self._reader, user_agent=f"{AGENT} metrics")
        return MetricsServer(addr, registry, tls=source.ssl_context(), access=access)

    @cached_property
    def _metrics_certificates(self) -> Sequence[CertificateSource]:
        """One at most, where a flag names it; no server keeps it fresh, so the manager does."""
        folder = self._config.metrics_cert_dir
        return [FileCertificates(folder, flag="--metrics-cert-dir")] if folder else []

    def _handlers(self) -> Sequence[AdmissionHandler]:
        validator = ExperimentValidator(
            client=self._reader,
            templates=self._templates,
            config=self._katib_config,
            algorithms=tuple(ALGORITHMS),
            trial_resources=self._config.trial_resources,
        )
        injector = PodInjector(
            client=self._reader,
            owners=OwnerWalk(client=self._reader, jobs=self._jobs),
            trials=self._trials,
            suggestions=self._suggestions,
            config=self._katib_config,
            settings=InjectionSettings(
                db_manager_address=self._config.db_manager_address,
                collector_image=self._config.collector_image,
            ),
            recorder=self._recorder(TRIAL),
        )
        handlers = (ExperimentDefaulter(), validator, injector)
        return handlers if self._spans is None else [self._spans.handler(each) for each in handlers]

    def _certificates(self) -> CertificateSource:
        """Files that are there win; else kfx issues its own and tells the webhooks whom to trust."""
        folder = Path(self._config.cert_dir)
        if all((folder / name).is_file() for name in ("tls.crt", "tls.key")):
            return FileCertificates(folder, metrics=self.metrics)
        namespace = self._config.core_namespace
        host = f"{SERVICE}.{namespace}"
        return SelfSigned(
            self._reader,
            namespace=namespace,
            secret_name=CERTIFICATE_SECRET,
            identity=Identity(
                common_name="katib-ca",
                organization="katib",
                dns_names=(f"{host}.svc", f"{host}.svc.cluster.local", host, SERVICE),
            ),
            webhook_configurations=(WEBHOOK_CONFIGURATION,),
            user_agent=f"{AGENT} certificates",
        )

    def _informers_ready(self) -> str | None:
        return "; ".join(self._cache.unsynced()) or None

    def _watches_ready(self) -> str | None:
        return "; ".join(self._cache.silent(WATCH_SILENCE)) or None

    def _namespaces_of(self, trial: str) -> Sequence[str]:
        found = self._trials.by_index(indexes.BY_NAME, trial)
        return [each.metadata.namespace for each in found]

    def _validation_context(self) -> ValidationContext:
        config: RuntimeConfig | str
        try:
            config = self._katib_config.read()
        except KatibConfigError as error:
            config = str(error)
        return ValidationContext(
            algorithms=tuple(ALGORITHMS), config=config, trial_resources=self._config.trial_resources
        )


def utc_now() -> str:
    """Now, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
