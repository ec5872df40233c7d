"""The container that collects a trial's metrics, and where it finds them. Pure."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from msgspec import Raw

from kfx.apis.common import FileSystemPath
from kfx.apis.katib_config import MetricsCollectorEntry
from kfx.apis.trial import Trial
from kfx.katib.katib_config import BUILT_IN_COLLECTORS, CONFIG_MAP
from kfx.katib.pod_shape import (
    Container,
    PodShapeError,
    PodSpec,
    SecurityContext,
    check_container,
    read_security_context,
)
from kfx.kube.model import to_builtins

STD_OUT_FILE = "/var/log/katib/metrics.log"
METRICS_VOLUME = "metrics-volume"
WRAPPED_KINDS = ("StdOut", "File", "TensorFlowEvent")
OWN_COMMAND = ("kfx", "metrics-collector")
NATIVE_GRACE = 360
"""Seconds that a native sidecar needs after the training's end: its patience with a store that is away, and
some more. The kubelet kills it once the pod's ``terminationGracePeriodSeconds`` are over, by default 30."""


class InjectionError(Exception):
    """The pod cannot be given its collector; the message names container or field, and the remedy."""


@dataclass(frozen=True, slots=True)
class MetricsPlace:
    """``path`` is what the collector reads, ``directory`` is mounted in it and in the training container."""

    path: str
    directory: str


def collector_kind(trial: Trial) -> str:
    """The kind of the trial's collector, ``""`` where none is named."""
    collector = trial.spec.metrics_collector.collector
    return collector.kind if collector is not None else ""


def collector_name(trial: Trial) -> str:
    """The collecting container's name."""
    kind = collector_kind(trial)
    if kind == "Custom":
        return str(custom_container(trial).get("name") or "")
    return _name_for(kind)


def _name_for(kind: str) -> str:
    return "metrics-logger-and-collector" if kind in ("StdOut", "File") else "metrics-collector"


def custom_container(trial: Trial) -> Mapping[str, Any]:
    """The user's own collector. Raises :class:`InjectionError`."""
    collector = trial.spec.metrics_collector.collector
    if collector is None or collector.custom_collector is None:
        raise InjectionError(
            f"Trial {trial.metadata.name}: spec.metricsCollector.collector.customCollector is missing; "
            "a collector of kind Custom needs its container there"
        )
    try:
        check_container(collector.custom_collector)
    except PodShapeError as error:
        raise InjectionError(
            f"Trial {trial.metadata.name}: spec.metricsCollector.collector.customCollector is no container: "
            f"{error}; correct it in the Experiment"
        ) from None
    return collector.custom_collector


def metrics_place(trial: Trial) -> MetricsPlace | None:
    """Where the metrics lie, ``None`` for kinds without files. Raises :class:`InjectionError`."""
    kind = collector_kind(trial)
    source = trial.spec.metrics_collector.source
    given = source.file_system_path if source is not None else None
    if kind == "StdOut":
        return _STD_OUT_PLACE
    if kind == "Custom":
        if given is None or not given.path:
            return None
        return _beside(given.path) if given.kind == "File" else MetricsPlace(given.path, given.path)
    if kind not in ("File", "TensorFlowEvent"):
        return None
    path = (given or FileSystemPath()).path
    if not path:
        raise InjectionError(
            f"Trial {trial.metadata.name}: spec.metricsCollector.source.fileSystemPath.path is missing; "
            f"a collector of kind {kind} needs it"
        )
    return _beside(path) if kind == "File" else MetricsPlace(path, path)


def _beside(path: str) -> MetricsPlace:
    return MetricsPlace(path, posixpath.dirname(path) or ".")


_STD_OUT_PLACE = _beside(STD_OUT_FILE)


def compose_sidecar(
    trial: Trial, entry: MetricsCollectorEntry, args: list[str], security: Mapping[str, Any] | Raw | None
) -> dict[str, Any]:
    """The container without its volume mount; ``args`` are those of :func:`collector_args`."""
    found: dict[str, Any] = {
        "name": _name_for(collector_kind(trial)),
        "image": entry.image,
        "imagePullPolicy": entry.image_pull_policy,
        "args": args,
        "resources": to_builtins(entry.resources),
    }
    if security is not None:
        found["securityContext"] = security
    return found


def compose_own_sidecar(
    trial: Trial,
    entry: MetricsCollectorEntry,
    args: list[str],
    primary: Container,
    pod_spec: PodSpec,
    *,
    native: bool,
) -> dict[str, Any]:
    """kfx's own collector, the only one whose abilities, command and user are known.

    ``native``: an init container that stays; it is told so, as it then ends by SIGTERM and not by itself.
    Raises :class:`InjectionError` for what it cannot do, and :class:`kfx.katib.pod_shape.PodShapeError`.
    """
    _check_ability(trial, collector_kind(trial))
    stays = ["-native", "true"] if native else []
    sidecar = compose_sidecar(trial, entry, [*args, *stays], own_security_context(primary, pod_spec))
    sidecar["command"] = list(OWN_COMMAND)
    if native:
        sidecar["restartPolicy"] = "Always"
    return sidecar


def _check_ability(trial: Trial, kind: str) -> None:
    """Refuse what would end the collector at once, and the trial with it, after all of the training."""
    problem = remedy = ""
    if kind not in BUILT_IN_COLLECTORS:
        problem = f"reads no metrics of kind {kind} yet, only of {' and '.join(BUILT_IN_COLLECTORS)}"
        remedy = f"name an image that does, such as Katib's, for {kind} in ConfigMap {CONFIG_MAP}"
    elif trial.spec.early_stopping_rules:
        problem = "knows no early stopping yet"
        remedy = f"name Katib's image for {kind} in ConfigMap {CONFIG_MAP}, or remove earlyStopping"
    if problem:
        raise InjectionError(f"Trial {trial.metadata.name}: kfx's own metrics collector {problem}; {remedy}")


def collector_args(
    trial: Trial,
    entry: MetricsCollectorEntry,
    *,
    db_manager_address: str,
    early_stopping_address: str,
) -> list[str]:
    """Flags and values in Katib's order (``getMetricsCollectorArgs``). Raises :class:`InjectionError`."""
    spec, kind = trial.spec, collector_kind(trial)
    if spec.objective is None:
        raise InjectionError(
            f"Trial {trial.metadata.name}: spec.objective is missing, nobody knows which metric to collect; "
            "delete the Trial, the Experiment makes a new one"
        )
    metrics = ";".join([spec.objective.objective_metric_name, *spec.objective.additional_metric_names])
    args = ["-t", trial.metadata.name, "-m", metrics, "-o-type", spec.objective.type]
    args += ("-s-db", db_manager_address)
    place, source = metrics_place(trial), spec.metrics_collector.source
    if place is not None:
        args += ("-path", place.path)
    if source is not None and source.filter is not None and source.filter.metrics_format:
        args += ["-f", ";".join(source.filter.metrics_format)]
    if kind == "StdOut":
        args += ("-format", "TEXT")
    elif kind == "File" and source is not None and source.file_system_path is not None:
        args += ["-format", source.file_system_path.format]
    if entry.wait_all_processes is not None:
        args += ["-w", str(entry.wait_all_processes).lower()]
    for rule in spec.early_stopping_rules:
        args += ["-stop-rule", f"{rule.name};{rule.value};{rule.comparison};{rule.start_step}"]
    if spec.early_stopping_rules:
        args += ["-s-earlystop", early_stopping_address]
    return args


def own_security_context(primary: Container, pod_spec: PodSpec) -> Mapping[str, Any]:
    """A restricted context for kfx's own collector, as the user of what it handles.

    That is the primary container's user as far as it is stated, else root, as Katib's image runs. Without
    these two capabilities root could neither end a process of the image's own user nor write beside its
    files.
    """
    stated = _stated(primary, pod_spec)
    user = stated.run_as_user
    if user is None and not stated.run_as_non_root:
        user = 0
    return _restricted(user, stated.run_as_group)


@lru_cache(maxsize=64)
def _restricted(user: int | None, group: int | None) -> Mapping[str, Any]:
    """Of the few that there are; nobody changes it."""
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    found: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if user is not None:
        found["runAsUser"] = user
    if group is not None:
        found["runAsGroup"] = group
    if user == 0:
        capabilities["add"] = ["DAC_OVERRIDE", "KILL"]
    else:
        found["runAsNonRoot"] = True
    return found


def _stated(primary: Container, pod_spec: PodSpec) -> SecurityContext:
    """The pod's, and over it the container's own."""
    of_pod = read_security_context(pod_spec.security_context) or _NOT_STATED
    own = read_security_context(primary.security_context)
    if own is None:
        return of_pod
    return SecurityContext(
        run_as_user=of_pod.run_as_user if own.run_as_user is None else own.run_as_user,
        run_as_group=of_pod.run_as_group if own.run_as_group is None else own.run_as_group,
        run_as_non_root=of_pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root,
    )


_NOT_STATED = SecurityContext()
