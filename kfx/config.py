"""What the process was told: flags over ``KFX_FLAGS`` over the file of ``--katib-config`` over defaults.

Read once at the start into one frozen value; nothing else in kfx looks at the command line.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kfx import __version__, flags
from kfx.config_file import CertGenerator, InitConfig, read_init
from kfx.flags import Flag, FlagError, HelpRequested
from kfx.runtime.address import is_loopback

TRIAL_RESOURCES = (
    "TrainJob.v1alpha1.trainer.kubeflow.org",
    "Job.v1.batch",
    "TFJob.v1.kubeflow.org",
    "PyTorchJob.v1.kubeflow.org",
    "MPIJob.v1.kubeflow.org",
    "XGBoostJob.v1.kubeflow.org",
)
"""The kinds of jobs that Katib's own installation names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the process was told. Durations in seconds; addresses as ``host:port``, ``0`` for off.

    ``tracing_by``: the flag or variable that asks for spans, ``""`` for none.
    ``strict_kinds``: refuse kinds that ``trial_resources`` does not name; under Katib's name only warn.
    ``warnings``: what was said and has no effect, to be logged once at the start.
    """

    metrics_addr: str
    metrics_secure: bool
    metrics_cert_dir: str
    healthz_addr: str
    debug_addr: str
    webhook_port: int
    cert_dir: str
    enable_leader_election: bool
    leader_election_id: str
    kubeconfig: str
    trial_resources: tuple[str, ...]
    experiment_suggestion_name: str
    suggestions: str
    enable_grpc_probe_in_suggestion: bool
    webhook_inject_securitycontext: bool
    db_manager: str
    sqlite_path: str
    db_manager_addr: str
    collector_image: str
    collector_sidecar: str
    insecure_registry: tuple[str, ...]
    metrics_wait: float
    image_wait: float
    shutdown_delay: float
    log_level: str
    log_format: str
    tracing_endpoint: str
    tracing_by: str
    core_namespace: str
    db_manager_address: str
    cert_generator: CertGenerator
    strict_kinds: bool
    warnings: tuple[str, ...]


_TRIAL_RESOURCE = re.compile(r"[A-Z][A-Za-z0-9]*\.[a-z0-9]+\.([a-z0-9]+([-.][a-z0-9]+)*)?")


def parse_trial_resource(text: str) -> str:
    """``Kind.version.group``; Katib's format (``v1beta1.KatibConfig`` ``trialResources``)."""
    if not _TRIAL_RESOURCE.fullmatch(text):
        raise ValueError("expected Kind.version.group, such as Job.v1.batch")
    return text


def parse_loopback_address(text: str) -> str:
    """``host:port`` where host is ``localhost`` or a loopback address, or ``0`` for off."""
    host = flags.parse_address(text).rpartition(":")[0].removeprefix("[").removesuffix("]")
    if text != "0" and not is_loopback(host):
        raise ValueError('expected a loopback address such as 127.0.0.1:6060 or [::1]:6060, or "0" for off')
    return text


def parse_endpoint(text: str) -> str:
    """The URL of a collector of spans, without credentials."""
    found = urlsplit(text)
    if found.scheme not in {"http", "https"} or not found.hostname or found.port == 0:
        raise ValueError("expected a URL such as http://collector:4318")
    if found.username or found.password:
        raise ValueError("put credentials into OTEL_EXPORTER_OTLP_HEADERS, not into the URL")
    return text


def parse_registry(text: str) -> str:
    """``host`` or ``host:port``, as it stands in an image's name."""
    found = re.fullmatch(r"[A-Za-z0-9.-]+(?::([0-9]{1,5}))?", text)
    if not found or (found[1] and not 0 < int(found[1]) < 65536):
        raise ValueError("expected host or host:port, as in an image's name")
    return text


def parse_image(text: str) -> str:
    """An image's name; what a container runtime makes of it is its own matter."""
    if not re.fullmatch(r"[A-Za-z0-9]\S*", text):
        raise ValueError(
            "expected an image such as ghcr.io/kubeflow/kfx:v1; leave the flag out for its default"
        )
    return text


FLAGS: tuple[Flag, ...] = (
    Flag("metrics-addr", "address", ":8080", "where /metrics is served", flags.parse_address),
    Flag(
        "metrics-secure", "bool", False,
        "serve /metrics over TLS, and to those only whom the API server lets get it (bearer token)",
        flags.parse_bool,
    ),
    Flag(
        "metrics-cert-dir", "directory", "",
        "tls.crt and tls.key of /metrics, with --metrics-secure; without it the webhooks' certificate serves",
        flags.parse_text,
    ),
    Flag("healthz-addr", "address", ":18080", "where /healthz and /readyz are served", flags.parse_address),
    Flag(
        "debug-addr", "address", "0",
        "where /debug/tasks, queues, caches and memory are served; a loopback address, or 0 for off",
        parse_loopback_address,
    ),
    Flag("webhook-port", "port", 8443, "port of the admission webhooks (TLS)", flags.parse_port),
    Flag(
        "cert-dir", "directory", "/tmp/cert",  # noqa: S108 — Katib's place, a mounted Secret
        "tls.crt and tls.key of the webhooks, used when both are there and init.certGenerator of "
        "--katib-config is not enabled; else kfx issues its own",
        flags.parse_stated,
    ),
    Flag(
        "enable-leader-election", "bool", False,
        "let one replica of several run the controllers", flags.parse_bool,
    ),
    Flag(
        "leader-election-id", "name", "3fbc96e9.katib.kubeflow.org",
        "name of the Lease that the replicas share", flags.parse_name,
    ),
    Flag("katib-config", "file", "", "a KatibConfig whose init part sets these defaults", flags.parse_text),
    Flag("kubeconfig", "file", "", "how to reach the API server, when not from inside it", flags.parse_text),
    Flag(
        "trial-resources", "Kind.version.group", TRIAL_RESOURCES,
        "a kind of job that trials may run; repeat the flag for several", parse_trial_resource, repeated=True,
    ),
    Flag(
        "experiment-suggestion-name", "name", "default",
        "how an Experiment's Suggestion is made; there is one way only", flags.parse_text,
    ),
    Flag(
        "suggestions", "place", "embedded",
        "where algorithms run: inside kfx, except those it has not (embedded), or each in the image that "
        "katib-config names (image; the default under the name katib-controller)",
        flags.parse_choice("embedded", "image"),
    ),
    Flag(
        "enable-grpc-probe-in-suggestion", "bool", True,
        "probe the containers of algorithms that run in images over gRPC",
        flags.parse_bool,
    ),
    Flag(
        "webhook-inject-securitycontext", "bool", False,
        "give the injected metrics collector the security context of the pod's first container",
        flags.parse_bool,
    ),
    Flag(
        "db-manager", "place", "embedded",
        "where observations are kept: inside kfx (embedded), or by the database manager that collectors "
        "report to (external; the default under the name katib-controller, and where "
        "KATIB_DB_MANAGER_SERVICE_IP or _NAMESPACE is set)",
        flags.parse_choice("embedded", "external"),
    ),
    Flag(
        "sqlite-path", "file", "/var/lib/kfx/observations.db",
        "where observations are kept with --db-manager=embedded; its folder is made", flags.parse_stated,
    ),
    Flag(
        "db-manager-addr", "address", ":6789",
        "where metrics collectors report with --db-manager=embedded (gRPC api.v1.beta1.DBManager)",
        flags.parse_address,
    ),
    Flag(
        "collector-image", "image", f"ghcr.io/kubeflow/kfx:v{__version__}",
        "image of the injected metrics collector, when katib-config names none", parse_image,
    ),
    Flag(
        "collector-sidecar", "form", "auto",
        "kfx's own collector as a container (classic), or as an init container that stays (native, from "
        "Kubernetes 1.29); auto: native where the API server can; any other image is a container always",
        flags.parse_choice("auto", "native", "classic"),
    ),
    Flag(
        "insecure-registry", "host:port", (),
        "a registry that is asked for an image's entry point without TLS; repeat the flag for several",
        parse_registry, repeated=True,
    ),
    Flag(
        "metrics-wait", "duration", 120.0,
        "how long after its job's success a trial's metrics may be missing", flags.parse_duration,
    ),
    Flag(
        "image-wait", "duration", 60.0,
        "how long a pod may fail to pull its image before its trial fails", flags.parse_duration,
    ),
    Flag(
        "shutdown-delay", "duration", 0.0,
        "how long webhooks and collectors are still served after SIGTERM, while /readyz says no already",
        flags.parse_duration,
    ),
    Flag(
        "log-level", "level", "info", "the least that is logged: debug, info, warning or error",
        flags.parse_choice("debug", "info", "warning", "error"),
    ),
    Flag(
        "log-format", "format", "auto", "json, text, or auto: text on a terminal, json elsewhere",
        flags.parse_choice("json", "text", "auto"),
    ),
    Flag(
        "tracing-endpoint", "URL", "",
        "where spans go by OTLP over HTTP, such as http://collector:4318; needs kfx[otel]", parse_endpoint,
    ),
)  # fmt: skip


def load_config(
    argv: Sequence[str], environ: Mapping[str, str] | None = None, *, program: str = "kfx"
) -> Config:
    """One Config from the command line and the environment. ``program``: the name or path it was started as.

    Raises :class:`kfx.flags.FlagError` (also for a katib-config file that cannot be used) and
    :class:`kfx.flags.HelpRequested`.
    """
    env = os.environ if environ is None else environ
    given = flags.parse_flags(FLAGS, argv)
    inherited = _inherited(env.get("KFX_FLAGS", ""))
    path = given.get("katib-config", inherited.get("katib-config", ""))
    file = read_init(path, FLAGS) if path else InitConfig()
    stated = {**_defaults_of(program, env), **file.values, **inherited, **given}
    values = {flag.name.replace("-", "_"): stated.get(flag.name, flag.default) for flag in FLAGS}
    del values["katib_config"]
    if values["metrics_cert_dir"] and not values["metrics_secure"]:
        raise FlagError("--metrics-cert-dir is of no use without --metrics-secure: give both or neither")
    core = _core_namespace(env)
    return Config(
        **values,
        tracing_by=_who_asks_for_spans(values["tracing_endpoint"], env),
        core_namespace=core,
        db_manager_address=_collectors_dial(env, core),
        cert_generator=file.cert_generator,
        strict_kinds=not _is_katibs(program),
        warnings=(*file.warnings, *_without_effect(values, stated)),
    )


def _is_katibs(program: str) -> bool:
    return os.path.basename(program) == "katib-controller"


def _defaults_of(program: str, env: Mapping[str, str]) -> dict[str, Any]:
    """By the flag's name, the defaults that differ where kfx stands in Katib's own surroundings.

    The variable of the port does not count: the kubelet puts it into every pod beside the Service.
    """
    if _is_katibs(program):
        return {"suggestions": "image", "db-manager": "external"}
    if any(f"KATIB_DB_MANAGER_SERVICE_{name}" in env for name in ("IP", "NAMESPACE")):
        return {"db-manager": "external"}
    return {}


def _inherited(text: str) -> dict[str, Any]:
    """The flags in KFX_FLAGS, split as a shell would. Raises FlagError."""
    try:
        return flags.parse_flags(FLAGS, shlex.split(text))
    except ValueError as error:
        raise FlagError(f'invalid value "{text}" for variable KFX_FLAGS: {error}') from None
    except FlagError as error:
        raise type(error)(f"{error} (in KFX_FLAGS)") from None
    except HelpRequested:
        raise FlagError("KFX_FLAGS holds -h, which belongs on the command line") from None


def _without_effect(values: Mapping[str, Any], stated: Mapping[str, Any]) -> Iterator[str]:
    name = values["experiment_suggestion_name"]
    if name not in ("", "default"):
        yield f'--experiment-suggestion-name is "{name}": there is only "default", which is used'
    if values["db_manager"] == "external":
        for name in ("sqlite-path", "db-manager-addr"):
            if name in stated:
                yield f"--{name} has no effect with --db-manager=external: the database manager keeps them"


def _core_namespace(env: Mapping[str, str]) -> str:
    """Where katib-config and the certificate are. Unlike Katib, kfx names an empty variable at once."""
    name = env.get("KATIB_CORE_NAMESPACE", "kubeflow")
    if not flags.DNS_LABEL.fullmatch(name):
        raise FlagError(f'invalid value "{name}" for variable KATIB_CORE_NAMESPACE: expected a namespace')
    return name


def _who_asks_for_spans(endpoint: str, env: Mapping[str, str]) -> str:
    """OpenTelemetry's own variables count, too. Raises FlagError for a protocol that is not spoken."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if endpoint:
        return "--tracing-endpoint"
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    asking = next((name for name in names if env.get(name)), "")
    if not asking or env.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return ""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if env.get(name, "http/protobuf") != "http/protobuf":
            raise FlagError(
                f"{name} is {env[name]!r}, but spans are sent as http/protobuf only: set it to that and "
                f"{asking} to the collector's HTTP port (4318), or OTEL_TRACES_EXPORTER=none for no spans"
            )
    return asking


def _collectors_dial(env: Mapping[str, str], core: str) -> str:
    """Katib ``consts.getDBManagerAddr``: a variable that is set but empty counts as set.

    Unlike Katib, kfx names a port that is none at once: every collector would fail by it.
    """
    host = env.get("KATIB_DB_MANAGER_SERVICE_IP", "katib-db-manager")
    namespace = env.get("KATIB_DB_MANAGER_SERVICE_NAMESPACE", core)
    port = env.get("KATIB_DB_MANAGER_SERVICE_PORT", "6789")
    try:
        flags.parse_port(port or "6789")
    except ValueError as error:
        raise FlagError(
            f'invalid value "{port}" for variable KATIB_DB_MANAGER_SERVICE_PORT: {error}'
        ) from None
    return f"{host}.{namespace}:{port}" if namespace else f"{host}:{port}"
