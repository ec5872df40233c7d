"""What a pod of a trial gets: labels, its trial's name, the metrics collector, volumes, a wrapped command.

Pure: a pod's document and its Trial go in, JSON Patch operations come out. They only add and set, never
remove, so a field that kfx does not know survives; a pod that has everything already gives no operation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.command import CommandError, wrap_command
from kfx.katib.compose import service_name
from kfx.katib.image_suggestion import Inside
from kfx.katib.katib_config import KatibConfigError, RuntimeConfig
from kfx.katib.names import LABEL_EXPERIMENT, LABEL_TRIAL
from kfx.katib.sidecar import (
    METRICS_VOLUME,
    NATIVE_GRACE,
    STD_OUT_FILE,
    WRAPPED_KINDS,
    InjectionError,
    collector_args,
    collector_kind,
    compose_own_sidecar,
    compose_sidecar,
    custom_container,
    metrics_place,
)

SUGGESTION_VOLUME = "suggestion-volume"
SUGGESTION_DIR = "suggestion_trial_dir"
TRIAL_NAME_ENV = "KATIB_TRIAL_NAME"
_TRIAL_NAME_PATH = f"metadata.labels['{LABEL_TRIAL}']"

Operations = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionSettings:
    """What all pods share. ``host:port`` addresses. ``early_stopping_address``: where an early stop is told
    of trials whose algorithm and rule are among ``inside``; of others, to the Suggestion's Service, as in
    Katib, and so of all where it is empty. ``collector_image``: kfx's own, the only one whose command is set,
    and the only one that ``native_sidecar`` makes an init container that stays.
    """

    db_manager_address: str
    collector_image: str
    early_stopping_address: str = ""
    inside: Inside = field(default_factory=Inside)
    inject_security_context: bool = False
    native_sidecar: bool = False


@dataclass(slots=True)
class _Additions:
    """What is appended to the primary container and the pod."""

    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)


def is_primary(pod: Mapping[str, Any], trial: Trial) -> bool:
    """Whether the pod, by its own labels, is one whose metrics count."""
    return (trial.spec.primary_pod_labels or {}).items() <= _labels(pod).items()


def needs_collector(pod: Mapping[str, Any], trial: Trial) -> bool:
    """Whether a container must be added: to a primary pod that does not push and was not here before."""
    return is_primary(pod, trial) and collector_kind(trial) != "Push" and not _was_here(pod, trial)


def find_commandless(pod: Mapping[str, Any], trial: Trial) -> Mapping[str, Any] | None:
    """The primary container whose image must say what it runs; ``None`` where that need not be known."""
    index = _primary_index(pod, trial)
    if index is None or collector_kind(trial) not in WRAPPED_KINDS or not needs_collector(pod, trial):
        return None
    primary = _containers(pod)[index]
    return None if primary.get("command") else primary


def _was_here(pod: Mapping[str, Any], trial: Trial) -> bool:
    """Whether an earlier call has been answered for this pod, which then has its trial's name twice."""
    if _labels(pod).get(LABEL_TRIAL) != trial.metadata.name:
        return False
    index = _primary_index(pod, trial)
    return index is None or _names_trial(_containers(pod)[index])


def inject(
    pod: Mapping[str, Any],
    trial: Trial,
    *,
    suggestion: Suggestion | None,
    config: RuntimeConfig,
    settings: InjectionSettings,
    image: Sequence[str] = (),
) -> Operations:
    """The operations that make ``pod`` a pod of ``trial``. Raises :class:`InjectionError`.

    ``suggestion`` is that of the trial's Experiment; it is only looked at where :func:`needs_collector`.
    ``image``: what the image of the container that :func:`find_commandless` found puts before its arguments.
    """
    index = _primary_index(pod, trial)
    found = _label_operations(pod, trial)
    if index is not None:
        found += _env_operations(_containers(pod)[index], index)
    elif is_primary(pod, trial) and not _was_here(pod, trial):
        names = ", ".join(str(container.get("name")) for container in _containers(pod)) or "none"
        raise InjectionError(
            f"unable to find primary container {trial.spec.primary_container_name} of Trial "
            f"{trial.metadata.name} in pod containers: {names}; correct primaryContainerName or "
            "primaryPodLabels in the Experiment's trialTemplate"
        )
    if index is not None and needs_collector(pod, trial):
        if suggestion is None:
            raise InjectionError(
                f"Suggestion {trial.metadata.label(LABEL_EXPERIMENT)!r} of Trial "
                f"{trial.metadata.name} is not there; restore the label {LABEL_EXPERIMENT}, or the Experiment"
            )
        sidecar = _sidecar(pod, _containers(pod)[index], trial, suggestion, config, settings)
        found += _collector_operations(pod, trial, index, suggestion, sidecar)
        found += _wrap_operations(_containers(pod)[index], index, trial, image)
    return found


def _collector_operations(
    pod: Mapping[str, Any], trial: Trial, index: int, suggestion: Suggestion, sidecar: dict[str, Any]
) -> Operations:
    primary, place = _containers(pod)[index], metrics_place(trial)
    added = _Additions()
    _add_suggestion_volume(added, trial, suggestion)
    if place is not None:
        mount = {"name": METRICS_VOLUME, "mountPath": place.directory}
        added.mounts.append(mount)
        added.volumes.append({"name": METRICS_VOLUME, "emptyDir": {}})
        sidecar["volumeMounts"] = [*(sidecar.get("volumeMounts") or ()), mount]
    return [
        *_place_sidecar(pod["spec"], sidecar),
        {"op": "add", "path": "/spec/shareProcessNamespace", "value": True},
        *_append(f"/spec/containers/{index}", primary, "volumeMounts", added.mounts),
        *_append("/spec", pod["spec"], "volumes", added.volumes),
    ]


def _place_sidecar(pod_spec: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Operations:
    """Only as an init container has a container a restart policy: kubelets let it stay beside the others.

    Its time to report is the pod's to end, which no training needs: SIGTERM ends its wrapping shell at once.
    """
    if "restartPolicy" not in sidecar:
        return _append("/spec", pod_spec, "containers", [sidecar])
    placed = _append("/spec", pod_spec, "initContainers", [sidecar])
    if (pod_spec.get("terminationGracePeriodSeconds") or 0) >= NATIVE_GRACE:
        return placed
    grace = {"op": "add", "path": "/spec/terminationGracePeriodSeconds", "value": NATIVE_GRACE}
    return [*placed, grace]


def _sidecar(
    pod: Mapping[str, Any],
    primary: Mapping[str, Any],
    trial: Trial,
    suggestion: Suggestion,
    config: RuntimeConfig,
    settings: InjectionSettings,
) -> dict[str, Any]:
    if collector_kind(trial) == "Custom":
        return dict(custom_container(trial))
    try:
        entry = config.metrics_collector(collector_kind(trial))
    except KatibConfigError as error:
        raise InjectionError(str(error)) from error
    args = collector_args(
        trial,
        entry,
        db_manager_address=settings.db_manager_address,
        early_stopping_address=_stopping_address(suggestion, settings),
    )
    if entry.image == settings.collector_image:
        return compose_own_sidecar(trial, entry, args, primary, pod["spec"], native=settings.native_sidecar)
    copied = _containers(pod)[0].get("securityContext") if settings.inject_security_context else None
    return compose_sidecar(trial, entry, args, copied)


def _stopping_address(suggestion: Suggestion, settings: InjectionSettings) -> str:
    if settings.early_stopping_address and settings.inside.answers(suggestion.spec):
        return settings.early_stopping_address
    return f"{service_name(suggestion)}.{suggestion.metadata.namespace}:6788"


def _add_suggestion_volume(added: _Additions, trial: Trial, suggestion: Suggestion) -> None:
    """The directory that population based training shares between trials."""
    settings = suggestion.spec.algorithm.algorithm_settings if suggestion.spec.algorithm else ()
    path = next((each.value for each in settings if each.name == SUGGESTION_DIR and each.value), "")
    if not path:
        return
    sub_path = f"{suggestion.metadata.name}/{trial.metadata.name}"
    added.mounts.append({"name": SUGGESTION_VOLUME, "mountPath": path, "subPath": sub_path})
    claim = {"claimName": service_name(suggestion)}
    added.volumes.append({"name": SUGGESTION_VOLUME, "persistentVolumeClaim": claim})


def _wrap_operations(
    primary: Mapping[str, Any], index: int, trial: Trial, image: Sequence[str]
) -> Operations:
    kind, place = collector_kind(trial), metrics_place(trial)
    if kind not in WRAPPED_KINDS or place is None:
        return []
    try:
        wrapped = wrap_command(
            primary.get("command") or (),
            primary.get("args") or (),
            image=image,
            directory=place.directory,
            output=STD_OUT_FILE if kind == "StdOut" else "",
            stoppable=bool(trial.spec.early_stopping_rules),
        )
    except CommandError as error:
        raise InjectionError(
            f"container {primary.get('name')} of Trial {trial.metadata.name} cannot be wrapped: {error} "
            "in the Experiment's trialTemplate"
        ) from error
    base = f"/spec/containers/{index}"
    return [
        {"op": "add", "path": f"{base}/command", "value": list(wrapped.command)},
        {"op": "add", "path": f"{base}/args", "value": [wrapped.script]},
    ]


def _label_operations(pod: Mapping[str, Any], trial: Trial) -> Operations:
    present = _labels(pod)
    wanted = {**(trial.metadata.labels or {}), LABEL_TRIAL: trial.metadata.name}
    missing = {key: value for key, value in wanted.items() if present.get(key) != value}
    if not present:
        return [{"op": "add", "path": "/metadata/labels", "value": missing}]
    return [
        {"op": "add", "path": f"/metadata/labels/{_escape(key)}", "value": value}
        for key, value in missing.items()
    ]


def _env_operations(primary: Mapping[str, Any], index: int) -> Operations:
    if _names_trial(primary):
        return []
    variable = {"name": TRIAL_NAME_ENV, "valueFrom": {"fieldRef": {"fieldPath": _TRIAL_NAME_PATH}}}
    return _append(f"/spec/containers/{index}", primary, "env", [variable])


def _names_trial(container: Mapping[str, Any]) -> bool:
    """Whether the container's environment has the trial's name from the label."""
    for variable in container.get("env") or ():
        if variable.get("name") == TRIAL_NAME_ENV:
            reference = (variable.get("valueFrom") or {}).get("fieldRef") or {}
            if reference.get("fieldPath") == _TRIAL_NAME_PATH:
                return True
    return False


def _append(path: str, parent: Mapping[str, Any], key: str, items: Sequence[Any]) -> Operations:
    """Operations that append to a list which may not be there yet."""
    if not items:
        return []
    if not parent.get(key):
        return [{"op": "add", "path": f"{path}/{key}", "value": list(items)}]
    return [{"op": "add", "path": f"{path}/{key}/-", "value": item} for item in items]


def _primary_index(pod: Mapping[str, Any], trial: Trial) -> int | None:
    names = [container.get("name") for container in _containers(pod)]
    name = trial.spec.primary_container_name
    return names.index(name) if name in names else None


def _containers(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (pod.get("spec") or {}).get("containers") or ()
    return found


def _labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    return (pod.get("metadata") or {}).get("labels") or {}


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
