"""The run-time part of ConfigMap ``katib-config``: images and resources of collectors and services.

Pure: the ConfigMap's data goes in, look-ups with Katib's error texts come out. What the ConfigMap does not
name is answered by kfx's own tables (:func:`with_built_ins`); an entry that is present wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from kfx.apis.katib_config import (
    API_VERSION,
    KIND,
    EarlyStoppingEntry,
    KatibConfigFile,
    MetricsCollectorEntry,
    ResourceRequirements,
    RuntimeSection,
    SuggestionEntry,
)
from kfx.katib.document import DocumentError, parse_value
from kfx.katib.experiment_document import drop_nulls
from kfx.katib.quantity import QuantityError, parse_quantity

CONFIG_MAP = "katib-config"
CONFIG_KEY = "katib-config.yaml"
BUILT_IN_COLLECTORS = ("StdOut", "File")

_DEFAULT_REQUESTS = {"cpu": "50m", "memory": "10Mi", "ephemeral-storage": "500Mi"}
_DEFAULT_LIMITS = {"cpu": "500m", "memory": "100Mi", "ephemeral-storage": "5Gi"}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_VOLUME_MOUNT_PATH = "/opt/katib/data"
_OLD_KEYS = ("metrics-collector-sidecar", "suggestion", "early-stopping")

T = TypeVar("T")
Entry = TypeVar("Entry", SuggestionEntry, EarlyStoppingEntry, MetricsCollectorEntry)


class KatibConfigError(Exception):
    """The configuration does not answer; the text begins as Katib's and ends with the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Entries by algorithm or kind, with defaults filled in."""

    suggestions: Mapping[str, SuggestionEntry]
    early_stoppings: Mapping[str, EarlyStoppingEntry]
    metrics_collectors: Mapping[str, MetricsCollectorEntry]

    def suggestion(self, algorithm: str) -> SuggestionEntry:
        """The entry of a suggestion service. Raises :class:`KatibConfigError`."""
        missing = f"failed to find suggestion config for algorithm: {algorithm}"
        return _found(self.suggestions, algorithm, missing, f"algorithm name: {algorithm}")

    def early_stopping(self, algorithm: str) -> EarlyStoppingEntry:
        """The entry of an early-stopping service. Raises :class:`KatibConfigError`."""
        missing = f"failed to find early stopping config for algorithm: {algorithm}"
        return _found(self.early_stoppings, algorithm, missing, f"algorithm name: {algorithm}")

    def metrics_collector(self, kind: str) -> MetricsCollectorEntry:
        """The entry of a metrics collector. Raises :class:`KatibConfigError`."""
        missing = f"failed to find metrics collector config for kind: {kind}"
        return _found(self.metrics_collectors, kind, missing, f"metrics collector kind: {kind}")


EMPTY_CONFIG = RuntimeConfig(
    suggestions=MappingProxyType({}),
    early_stoppings=MappingProxyType({}),
    metrics_collectors=MappingProxyType({}),
)


def parse_runtime_config(data: Mapping[str, str]) -> RuntimeConfig:
    """The data of ConfigMap ``katib-config``, in today's form or in that of three JSON keys (to v0.15).

    Of two entries of one name the last counts. Raises :class:`KatibConfigError`.
    """
    runtime = _parse_new(data[CONFIG_KEY]).runtime if CONFIG_KEY in data else _parse_old(data)
    suggestions = [_with_volume(_defaulted(entry)) for entry in runtime.suggestions]
    early_stoppings = [_defaulted(entry) for entry in runtime.early_stoppings]
    collectors = [_defaulted(entry) for entry in runtime.metrics_collectors]
    return RuntimeConfig(
        suggestions={entry.algorithm_name: entry for entry in suggestions},
        early_stoppings={entry.algorithm_name: entry for entry in early_stoppings},
        metrics_collectors={entry.kind: entry for entry in collectors},
    )


def with_built_ins(config: RuntimeConfig, *, collector_image: str) -> RuntimeConfig:
    """The configuration with kfx's own collectors where it names none."""
    own = {
        kind: _defaulted(MetricsCollectorEntry(kind=kind, image=collector_image))
        for kind in BUILT_IN_COLLECTORS
    }
    return replace(config, metrics_collectors={**own, **config.metrics_collectors})


def default_resources(given: ResourceRequirements) -> ResourceRequirements:
    """Katib's defaults for cpu, memory and ephemeral storage; a negative quantity removes its entry.

    A request above a limit that is only our default raises that limit. Raises
    :class:`kfx.katib.quantity.QuantityError`, naming the quantity.
    """
    requests = _with_defaults("requests", given.requests or {}, _DEFAULT_REQUESTS)
    limits = _with_defaults("limits", given.limits or {}, _DEFAULT_LIMITS)
    stated = given.limits or {}
    for name in _DEFAULT_LIMITS:
        ours = name in limits and (name not in stated or parse_quantity(stated[name]) == 0)
        if ours and name in requests and parse_quantity(requests[name]) > parse_quantity(limits[name]):
            limits[name] = requests[name]
    return msgspec.structs.replace(given, requests=requests, limits=limits)


def _with_defaults(part: str, given: Mapping[str, Any], defaults: Mapping[str, str]) -> dict[str, Any]:
    found = dict(given)
    amounts = {name: _amount(f"resources.{part}.{name}", value) for name, value in given.items()}
    for name, default in defaults.items():
        amount = amounts.get(name, 0)
        if amount == 0:
            found[name] = default
        elif amount < 0:
            del found[name]
    return found


def _amount(place: str, value: Any) -> Fraction:
    try:
        return parse_quantity(value)
    except QuantityError as error:
        raise QuantityError(f"{place}: {error}") from None


def _defaulted(entry: Entry) -> Entry:
    policy = entry.image_pull_policy if entry.image_pull_policy in _PULL_POLICIES else "IfNotPresent"
    try:
        resources = default_resources(entry.resources)
    except QuantityError as error:
        raise KatibConfigError(
            f"failed to decode ConfigMap {CONFIG_MAP}: {_subject(entry)}: {error}"
        ) from error
    return msgspec.structs.replace(entry, image_pull_policy=policy, resources=resources)


def _subject(entry: Entry) -> str:
    if isinstance(entry, MetricsCollectorEntry):
        return f"metrics collector kind {entry.kind}"
    return f"algorithm name {entry.algorithm_name}"


def _with_volume(entry: SuggestionEntry) -> SuggestionEntry:
    """Katib's defaults of a suggestion's volume (``setSuggestionConfigs``); no PV stays none."""
    claim = dict(entry.persistent_volume_claim_spec or {})
    modes, resources = claim.get("accessModes") or [], claim.get("resources") or {}
    if not isinstance(modes, list) or not isinstance(resources, Mapping):
        raise KatibConfigError(
            f"failed to decode ConfigMap {CONFIG_MAP}: {_subject(entry)}: persistentVolumeClaimSpec: "
            "write a list for accessModes and an object for resources"
        )
    requests = resources.get("requests") or {"storage": "1Gi"}
    claim |= {"accessModes": modes or ["ReadWriteOnce"], "resources": {**resources, "requests": requests}}
    volume = entry.persistent_volume_spec
    return msgspec.structs.replace(
        entry,
        volume_mount_path=entry.volume_mount_path or _VOLUME_MOUNT_PATH,
        persistent_volume_claim_spec=claim,
        persistent_volume_spec={**volume, "persistentVolumeReclaimPolicy": "Delete"} if volume else volume,
    )


def _found(entries: Mapping[str, Entry], name: str, missing: str, subject: str) -> Entry:
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise KatibConfigError(f"{missing} in ConfigMap: {CONFIG_MAP}; add an entry, or use one of: {known}")
    if not entries[name].image.strip():
        raise KatibConfigError(
            f"required value for image configuration of {subject}; set image in ConfigMap {CONFIG_MAP}"
        )
    return entries[name]


def _parse_new(text: str) -> KatibConfigFile:
    found = _convert(_parsed(text, CONFIG_KEY), KatibConfigFile, CONFIG_KEY)
    if (found.api_version or API_VERSION, found.kind or KIND) != (API_VERSION, KIND):
        raise KatibConfigError(
            f"failed to decode {CONFIG_KEY} in ConfigMap {CONFIG_MAP}: no kind {found.kind!r} is registered "
            f"for version {found.api_version!r}; write apiVersion: {API_VERSION}, kind: {KIND}"
        )
    return found


def _parse_old(data: Mapping[str, str]) -> RuntimeSection:
    if not any(key in data for key in _OLD_KEYS):
        raise KatibConfigError(
            f"failed to find {CONFIG_KEY} in ConfigMap: {CONFIG_MAP}; add the key, or delete the ConfigMap "
            "to use what is built in"
        )
    collectors = _old_entries(data, "metrics-collector-sidecar", MetricsCollectorEntry)
    suggestions = _old_entries(data, "suggestion", SuggestionEntry)
    early_stoppings = _old_entries(data, "early-stopping", EarlyStoppingEntry)
    return RuntimeSection(
        metrics_collectors=tuple(msgspec.structs.replace(e, kind=name) for name, e in collectors),
        suggestions=tuple(msgspec.structs.replace(e, algorithm_name=name) for name, e in suggestions),
        early_stoppings=tuple(msgspec.structs.replace(e, algorithm_name=name) for name, e in early_stoppings),
    )


def _old_entries(data: Mapping[str, str], key: str, kind: type[T]) -> list[tuple[str, T]]:
    found = _parsed(data.get(key, ""), key)
    if not isinstance(found, Mapping):
        raise KatibConfigError(f"failed to decode {key} in ConfigMap {CONFIG_MAP}: write an object")
    return [
        (name, _convert({} if entry is None else entry, kind, f"{key} ({name})"))
        for name, entry in found.items()
    ]


def _parsed(text: str, key: str) -> Any:
    """The text's value; one that says nothing is an object without fields."""
    try:
        found = parse_value(text)
        return {} if found is None else found
    except DocumentError as error:
        raise KatibConfigError(f"failed to decode {key} in ConfigMap {CONFIG_MAP}: {error}") from error


def _convert(document: Any, kind: type[T], key: str) -> T:
    try:
        plain = drop_nulls(document) if isinstance(document, Mapping) else document
        return msgspec.convert(plain, kind, strict=True)
    except msgspec.ValidationError as error:
        raise KatibConfigError(
            f"failed to decode {key} in ConfigMap {CONFIG_MAP}: {error}; correct the field"
        ) from error
