"""What the process was told: flags over ``KFX_FLAGS`` over the katib-config file over defaults.

Read once at the start into one frozen value; nothing else in kfx looks at the command line.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kfx import __version__, flags
from kfx.flags import Flag, FlagError
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
    """Everything the process was told. Durations in seconds; addresses as ``host:port``, ``0`` for off."""

    metrics_addr: str
    healthz_addr: str
    debug_addr: str
    webhook_port: int
    cert_dir: str
    enable_leader_election: bool
    leader_election_id: str
    kubeconfig: str
    trial_resources: tuple[str, ...]
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
    core_namespace: str
    db_manager_address: str


def parse_trial_resource(text: str) -> str:
    """``Kind.version.group``; Katib's format (``v1beta1.KatibConfig`` ``trialResources``)."""
    kind, _, rest = text.partition(".")
    version, dot, _ = rest.partition(".")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", kind) or not version or not dot:
        raise ValueError("expected Kind.version.group, such as Job.v1.batch")
    return text


def parse_loopback_address(text: str) -> str:
    """``host:port`` where host is ``localhost`` or a loopback address, or ``0`` for off."""
    host = flags.parse_address(text).rpartition(":")[0].removeprefix("[").removesuffix("]")
    if text != "0" and not is_loopback(host):
        raise ValueError('expected a loopback address such as 127.0.0.1:6060 or [::1]:6060, or "0" for off')
    return text


def parse_registry(text: str) -> str:
    """``host`` or ``host:port``, as it stands in an image's name."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", text):
        raise ValueError("expected host or host:port, as in an image's name")
    return text


FLAGS: tuple[Flag, ...] = (
    Flag("metrics-addr", "address", ":8080", "where /metrics is served", flags.parse_address),
    Flag("healthz-addr", "address", ":18080", "where /healthz and /readyz are served", flags.parse_address),
    Flag(
        "debug-addr", "address", "0",
        "where /debug/tasks, queues, caches and memory are served; a loopback address, or 0 for off",
        parse_loopback_address,
    ),
    Flag("webhook-port", "port", 8443, "port of the admission webhooks (TLS)", flags.parse_port),
    Flag(
        "cert-dir", "directory", "/tmp/cert",  # noqa: S108 — Katib's place, a mounted Secret
        "tls.crt and tls.key of the webhooks, used when both are there; else kfx issues its own",
        flags.parse_text,
    ),
    Flag(
        "enable-leader-election", "bool", False,
        "let one replica of several run the controllers", flags.parse_bool,
    ),
    Flag(
        "leader-election-id", "name", "3fbc96e9.katib.kubeflow.org",
        "name of the Lease that the replicas share", flags.parse_text,
    ),
    Flag("katib-config", "file", "", "a KatibConfig whose init part sets these defaults", flags.parse_text),
    Flag("kubeconfig", "file", "", "how to reach the API server, when not from inside it", flags.parse_text),
    Flag(
        "trial-resources", "Kind.version.group", TRIAL_RESOURCES,
        "a kind of job that trials may run; repeat the flag for several", parse_trial_resource, repeated=True,
    ),
    Flag(
        "sqlite-path", "file", "/var/lib/kfx/observations.db",
        "where observations are kept; its folder is made", flags.parse_text,
    ),
    Flag(
        "db-manager-addr", "address", ":6789",
        "where metrics collectors report (gRPC api.v1.beta1.DBManager)", flags.parse_address,
    ),
    Flag(
        "collector-image", "image", f"ghcr.io/kubeflow/kfx:v{__version__}",
        "image of the injected metrics collector, when katib-config names none", flags.parse_text,
    ),
    Flag(
        "collector-sidecar", "form", "classic",
        "kfx's own collector as a container (classic), or as an init container that stays (native, from "
        "Kubernetes 1.29); auto: native where the API server can",
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
        "log-level", "level", "info", "debug, info, warning or error",
        flags.parse_choice("debug", "info", "warning", "error"),
    ),
    Flag(
        "log-format", "format", "auto", "json, text, or auto: text on a terminal",
        flags.parse_choice("json", "text", "auto"),
    ),
)  # fmt: skip


def load_config(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Config:
    """One Config from the command line and the environment.

    Raises :class:`kfx.flags.FlagError` (also for a katib-config file that cannot be used) and
    :class:`kfx.flags.HelpRequested`.
    """
    env = os.environ if environ is None else environ
    given = flags.parse_flags(FLAGS, argv)
    inherited = flags.parse_flags(FLAGS, shlex.split(env.get("KFX_FLAGS", "")))
    path = given.get("katib-config", inherited.get("katib-config", ""))
    stated = {**(_read_file(path) if path else {}), **inherited, **given}
    values = {flag.name.replace("-", "_"): stated.get(flag.name, flag.default) for flag in FLAGS}
    del values["katib_config"]
    core = env.get("KATIB_CORE_NAMESPACE", "kubeflow")
    return Config(**values, core_namespace=core, db_manager_address=_collectors_dial(env, core))


def _collectors_dial(env: Mapping[str, str], core: str) -> str:
    """Katib ``consts.getDBManagerAddr``: a variable that is set but empty counts as set."""
    host = env.get("KATIB_DB_MANAGER_SERVICE_IP", "katib-db-manager")
    namespace = env.get("KATIB_DB_MANAGER_SERVICE_NAMESPACE", core)
    port = env.get("KATIB_DB_MANAGER_SERVICE_PORT", "6789")
    return f"{host}.{namespace}:{port}" if namespace else f"{host}:{port}"


_FILE_KEYS = {
    "metricsAddr": "metrics-addr",
    "healthzAddr": "healthz-addr",
    "webhookPort": "webhook-port",
    "enableLeaderElection": "enable-leader-election",
    "leaderElectionID": "leader-election-id",
    "trialResources": "trial-resources",
}


def _read_file(path: str) -> dict[str, Any]:
    """The ``init.controller`` part of a KatibConfig file, by flag name."""
    try:
        document = msgspec.yaml.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FlagError(f'invalid value "{path}" for flag --katib-config: {reason}') from None
    part: Any = document
    for key in ("init", "controller"):
        part = (part or {}).get(key) if isinstance(part, dict | None) else part
    if not isinstance(part, dict | None):
        raise FlagError(f'invalid value "{path}" for flag --katib-config: init.controller is not a mapping')
    return _by_flag(path, part or {})


def _by_flag(path: str, part: Mapping[str, Any]) -> dict[str, Any]:
    known = {flag.name: flag for flag in FLAGS}
    found: dict[str, Any] = {}
    for key, name in _FILE_KEYS.items():
        value = part.get(key)
        if value in (None, "", []):
            continue
        flag = known[name]
        texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in _as_list(value)]
        try:
            values = tuple(flag.parse(text) for text in texts)
        except ValueError as error:
            raise FlagError(
                f'invalid value "{path}" for flag --katib-config: init.controller.{key} is "{value}": {error}'
            ) from None
        found[name] = values if flag.repeated else values[0]
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
