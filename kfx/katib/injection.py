"""What a pod of a trial gets: labels, its trial's name, the metrics collector, volumes, a wrapped command.

Pure: a pod's document and its Trial go in, JSON Patch operations come out. They only add and set, never
remove, so a field that kfx does not know survives; a pod that has everything already gives no operation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from kfx.apis.common import AlgorithmSetting
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.command import CommandError, wrap_command
from kfx.katib.compose import service_name
from kfx.katib.image_suggestion import Inside
from kfx.katib.katib_config import KatibConfigError, RuntimeConfig
from kfx.katib.names import LABEL_EXPERIMENT, LABEL_TRIAL
from kfx.katib.pod_shape import Container, Pod, PodSpec, read_security_context
from kfx.katib.sidecar import (
    METRICS_VOLUME,
    NATIVE_GRACE,
    STD_OUT_FILE,
    WRAPPED_KINDS,
    InjectionError,
    MetricsPlace,
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
_TRIAL_NAME_VARIABLE = {"name": TRIAL_NAME_ENV, "valueFrom": {"fieldRef": {"fieldPath": _TRIAL_NAME_PATH}}}
_NAME = attrgetter("name")

_NO_SPEC = PodSpec()

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


class _Mounts:
    """What is appended to the primary container's mounts and to the pod's volumes."""

    __slots__ = ("of_primary", "volumes")

    def __init__(self) -> None:
        self.of_primary: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []


class TrialPod(msgspec.Struct, frozen=True, gc=False):
    """A pod beside its Trial, and what injection asks of the two again and again; made by :meth:`of`.

    ``index``: the primary container's place among ``containers``. ``is_primary``: whether the pod, by its own
    labels, is one whose metrics count. ``was_here``: whether an earlier call has been answered for it.
    ``needs_collector``: whether a container must be added, as to a primary pod that does not push.
    """

    spec: PodSpec
    trial: Trial
    labels: Mapping[str, str]
    containers: Sequence[Container]
    index: int | None
    kind: str
    is_primary: bool
    was_here: bool
    needs_collector: bool

    @classmethod
    def of(cls, pod: Pod, trial: Trial) -> "TrialPod":
        """What is asked, answered once."""
        labels, spec = pod.labels, pod.spec or _NO_SPEC
        containers = spec.containers or ()
        names = [*map(_NAME, containers)]
        name = trial.spec.primary_container_name
        index = names.index(name) if name in names else None
        # such a pod has its trial's name twice
        was_here = labels.get(LABEL_TRIAL) == trial.metadata.name and (
            index is None or _names_trial(containers[index])
        )
        is_primary = (trial.spec.primary_pod_labels or {}).items() <= labels.items()
        kind = collector_kind(trial)
        needs = is_primary and kind != "Push" and not was_here
        return cls(spec, trial, labels, containers, index, kind, is_primary, was_here, needs)

    @property
    def commandless(self) -> Container | None:
        """The primary container whose image must say what it runs; ``None`` where that need not be known."""
        if self.index is None or self.kind not in WRAPPED_KINDS or not self.needs_collector:
            return None
        primary = self.containers[self.index]
        return None if primary.command else primary


def inject(
    pod: TrialPod,
    *,
    suggestion: Suggestion | None,
    config: RuntimeConfig,
    settings: InjectionSettings,
    image: Sequence[str] = (),
) -> Operations:
    """The operations that make a pod one of its Trial. Raises :class:`InjectionError`.

    ``suggestion`` is that of the trial's Experiment; it is only looked at where the pod ``needs_collector``.
    ``image``: what the image of the ``commandless`` container puts before its arguments.
    """
    trial, index = pod.trial, pod.index
    found: Operations = []
    _add_labels(found, pod.labels, trial)
    if index is None:
        if pod.is_primary and not pod.was_here:
            raise InjectionError(_without_primary(pod))
        return found
    primary = pod.containers[index]
    path = f"/spec/containers/{index}"
    if not _names_trial(primary):
        _append(found, f"{path}/env", primary.env, [_TRIAL_NAME_VARIABLE])
    if pod.needs_collector:
        if suggestion is None:
            raise InjectionError(
                f"Suggestion {trial.metadata.label(LABEL_EXPERIMENT)!r} of Trial "
                f"{trial.metadata.name} is not there; restore the label {LABEL_EXPERIMENT}, or the Experiment"
            )
        sidecar = _sidecar(pod, primary, suggestion, config, settings)
        place = metrics_place(trial)
        mounts = _add_collector(found, pod, suggestion, sidecar, place)
        _append(found, f"{path}/volumeMounts", primary.volume_mounts, mounts.of_primary)
        _append(found, "/spec/volumes", pod.spec.volumes, mounts.volumes)
        if place is not None and pod.kind in WRAPPED_KINDS:
            _add_wrapped(found, path, pod, primary, place, image)
    return found


def _without_primary(pod: TrialPod) -> str:
    names = ", ".join(str(container.name) for container in pod.containers) or "none"
    return (
        f"unable to find primary container {pod.trial.spec.primary_container_name} of Trial "
        f"{pod.trial.metadata.name} in pod containers: {names}; correct primaryContainerName or "
        "primaryPodLabels in the Experiment's trialTemplate"
    )


def _add_collector(
    found: Operations,
    pod: TrialPod,
    suggestion: Suggestion,
    sidecar: dict[str, Any],
    place: MetricsPlace | None,
) -> _Mounts:
    mounts = _Mounts()
    algorithm = suggestion.spec.algorithm
    if algorithm is not None and algorithm.algorithm_settings:
        _add_suggestion_volume(mounts, pod.trial, suggestion, algorithm.algorithm_settings)
    if place is not None:
        mount = {"name": METRICS_VOLUME, "mountPath": place.directory}
        mounts.of_primary.append(mount)
        mounts.volumes.append({"name": METRICS_VOLUME, "emptyDir": {}})
        sidecar["volumeMounts"] = [*(sidecar.get("volumeMounts") or ()), mount]
    _place_sidecar(found, pod.spec, sidecar)
    found.append({"op": "add", "path": "/spec/shareProcessNamespace", "value": True})
    return mounts


def _place_sidecar(found: Operations, pod_spec: PodSpec, sidecar: Mapping[str, Any]) -> None:
    """Only as an init container has a container a restart policy: kubelets let it stay beside the others.

    Its time to report is the pod's to end, which no training needs: SIGTERM ends its wrapping shell at once.
    """
    if "restartPolicy" not in sidecar:
        _append(found, "/spec/containers", pod_spec.containers, [sidecar])
        return
    _append(found, "/spec/initContainers", pod_spec.init_containers, [sidecar])
    if (pod_spec.termination_grace_period_seconds or 0) >= NATIVE_GRACE:
        return
    found.append({"op": "add", "path": "/spec/terminationGracePeriodSeconds", "value": NATIVE_GRACE})


def _sidecar(
    pod: TrialPod,
    primary: Container,
    suggestion: Suggestion,
    config: RuntimeConfig,
    settings: InjectionSettings,
) -> dict[str, Any]:
    trial = pod.trial
    if pod.kind == "Custom":
        return dict(custom_container(trial))
    try:
        entry = config.metrics_collector(pod.kind)
    except KatibConfigError as error:
        raise InjectionError(str(error)) from error
    args = collector_args(
        trial,
        entry,
        db_manager_address=settings.db_manager_address,
        early_stopping_address=_stopping_address(suggestion, settings),
    )
    if entry.image == settings.collector_image:
        return compose_own_sidecar(trial, entry, args, primary, pod.spec, native=settings.native_sidecar)
    copied = pod.containers[0].security_context
    is_copied = settings.inject_security_context and read_security_context(copied) is not None
    return compose_sidecar(trial, entry, args, copied if is_copied else None)


def _stopping_address(suggestion: Suggestion, settings: InjectionSettings) -> str:
    if settings.early_stopping_address and settings.inside.answers(suggestion.spec):
        return settings.early_stopping_address
    return f"{service_name(suggestion)}.{suggestion.metadata.namespace}:6788"


def _add_suggestion_volume(
    mounts: _Mounts, trial: Trial, suggestion: Suggestion, settings: Sequence[AlgorithmSetting]
) -> None:
    """The directory that population based training shares between trials."""
    path = next((each.value for each in settings if each.name == SUGGESTION_DIR and each.value), "")
    if not path:
        return
    sub_path = f"{suggestion.metadata.name}/{trial.metadata.name}"
    mounts.of_primary.append({"name": SUGGESTION_VOLUME, "mountPath": path, "subPath": sub_path})
    claim = {"claimName": service_name(suggestion)}
    mounts.volumes.append({"name": SUGGESTION_VOLUME, "persistentVolumeClaim": claim})


def _add_wrapped(
    found: Operations,
    path: str,
    pod: TrialPod,
    primary: Container,
    place: MetricsPlace,
    image: Sequence[str],
) -> None:
    trial = pod.trial
    try:
        wrapped = wrap_command(
            primary.command or (),
            primary.args or (),
            image=image,
            directory=place.directory,
            output=STD_OUT_FILE if pod.kind == "StdOut" else "",
            stoppable=bool(trial.spec.early_stopping_rules),
        )
    except CommandError as error:
        raise InjectionError(
            f"container {primary.name} of Trial {trial.metadata.name} cannot be wrapped: {error} "
            "in the Experiment's trialTemplate"
        ) from error
    found.append({"op": "add", "path": f"{path}/command", "value": [*wrapped.command]})
    found.append({"op": "add", "path": f"{path}/args", "value": [wrapped.script]})


def _add_labels(found: Operations, present: Mapping[str, str], trial: Trial) -> None:
    wanted = {**(trial.metadata.labels or {}), LABEL_TRIAL: trial.metadata.name}
    if not present:
        found.append({"op": "add", "path": "/metadata/labels", "value": wanted})
        return
    for key, value in wanted.items():
        if present.get(key) != value:
            found.append({"op": "add", "path": _label_path(key), "value": value})


def _names_trial(container: Container) -> bool:
    """Whether the container's environment has the trial's name from the label."""
    variables = container.env or ()
    if TRIAL_NAME_ENV not in map(_NAME, variables):  # goes through them without a step of Python
        return False
    for variable in variables:
        reference = variable.value_from and variable.value_from.field_ref
        if variable.name == TRIAL_NAME_ENV and reference and reference.field_path == _TRIAL_NAME_PATH:
            return True
    return False


def _append(found: Operations, path: str, present: Sequence[Any] | None, items: Sequence[Any]) -> None:
    """Operations that append to a list which may not be there yet."""
    if not items:
        return
    if not present:
        found.append({"op": "add", "path": path, "value": items})
        return
    path = f"{path}/-"
    for item in items:
        found.append({"op": "add", "path": path, "value": item})


@lru_cache(maxsize=256)
def _label_path(key: str) -> str:
    return f"/metadata/labels/{key.replace('~', '~0').replace('/', '~1')}"
