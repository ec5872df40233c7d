"""How little of a Trial must stay in memory: what trials have in common once, of an ended one no job.

Measured by ``python -m hack.bench memory``.
"""

from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from typing import TypeVar

import msgspec

from kfx.apis.apps import Deployment, Service
from kfx.apis.common import MetricsCollectorSpec, NameValue, Observation
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial, TrialSpec, TrialStatus
from kfx.katib.trial import is_completed
from kfx.kube.model import Condition, ObjectMeta

T = TypeVar("T")
D = TypeVar("D", Deployment, Service)

SHARED = 4096
"""Values remembered for sharing; what falls out is only held twice."""

replace = msgspec.structs.replace


def compact(trial: Trial) -> Trial:
    """The same trial, on its own memory: nothing of it is a view of the message it came in.

    Of an ended trial's ``run_spec`` only ``apiVersion`` and ``kind`` are kept: nothing of it runs any more.
    """
    return replace(
        trial,
        metadata=_compact_metadata(trial.metadata),
        spec=_compact_spec(trial.spec, ended=is_completed(trial)),
        status=_compact_status(trial.status),
    )


def only_made_for_suggestions(found: D) -> D:
    """The same Deployment or Service; of one that no Suggestion controls, only the name and the version.

    Those of the whole cluster are followed, since Katib gives them no label of its own.
    """
    metadata = found.metadata
    owner = metadata.controller
    kept = ObjectMeta(
        name=metadata.name,
        namespace=intern(metadata.namespace),
        uid=metadata.uid,
        resource_version=metadata.resource_version,
    )
    if owner is None or owner.kind != Suggestion.resource.kind:
        return type(found)(metadata=kept)
    kept = replace(
        kept,
        deletion_timestamp=metadata.deletion_timestamp,
        owner_references=metadata.owner_references,
    )
    return replace(found, metadata=kept)


def _compact_metadata(metadata: ObjectMeta) -> ObjectMeta:
    return replace(
        metadata,
        namespace=intern(metadata.namespace),
        creation_timestamp=_interned(metadata.creation_timestamp),
        labels=_shared_mapping(metadata.labels),
        owner_references=_shared(metadata.owner_references),
        finalizers=_shared(metadata.finalizers),
    )


def _compact_spec(spec: TrialSpec, *, ended: bool) -> TrialSpec:
    return replace(
        spec,
        objective=_shared(spec.objective),
        parameter_assignments=tuple(map(_compact_assignment, spec.parameter_assignments)),
        metrics_collector=_compact_collector(spec.metrics_collector),
        run_spec=_shared_raw(_head_of(spec.run_spec)) if ended else spec.run_spec.copy(),
        labels=_shared_mapping(spec.labels),
        primary_container_name=intern(spec.primary_container_name),
        success_condition=intern(spec.success_condition),
        failure_condition=intern(spec.failure_condition),
    )


def _compact_assignment(assignment: NameValue) -> NameValue:
    return NameValue(name=intern(assignment.name), value=_shared(assignment.value))


def _compact_collector(found: MetricsCollectorSpec) -> MetricsCollectorSpec:
    custom = found.collector is not None and found.collector.custom_collector is not None
    return found if custom else _shared(found)  # a custom one holds a mapping, which has no hash


def _compact_status(status: TrialStatus) -> TrialStatus:
    return replace(
        status,
        start_time=_interned(status.start_time),
        completion_time=_interned(status.completion_time),
        last_reconcile_time=_interned(status.last_reconcile_time),
        conditions=tuple(map(_compact_condition, status.conditions)),
        observation=_compact_observation(status.observation),
    )


def _compact_condition(condition: Condition) -> Condition:
    return Condition(
        type=intern(condition.type),
        status=intern(condition.status),
        reason=intern(condition.reason),
        message=_shared(condition.message),
        last_update_time=_interned(condition.last_update_time),
        last_transition_time=_interned(condition.last_transition_time),
    )


def _compact_observation(observation: Observation | None) -> Observation | None:
    if observation is None:
        return None
    return Observation(
        metrics=tuple(
            replace(
                each,
                name=intern(each.name),
                min=_shared(each.min),
                max=_shared(each.max),
                latest=_shared(each.latest),
            )
            for each in observation.metrics
        )
    )


def _interned(text: str | None) -> str | None:
    return intern(text) if text is not None else None


class _Head(msgspec.Struct, rename="camel", omit_defaults=True):
    api_version: str = ""
    kind: str = ""


_head_decoder = msgspec.json.Decoder(_Head)


def _head_of(run_spec: msgspec.Raw) -> bytes:
    try:
        return msgspec.json.encode(_head_decoder.decode(run_spec))
    except msgspec.DecodeError:
        return b"{}"


@lru_cache(maxsize=SHARED)
def _shared(value: T) -> T:
    """The first value that was equal to this one."""
    return value


@lru_cache(maxsize=SHARED)
def _shared_raw(text: bytes) -> msgspec.Raw:
    return msgspec.Raw(text)


def _shared_mapping(mapping: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return None if mapping is None else _mapping_of(tuple(mapping.items()))


@lru_cache(maxsize=SHARED)
def _mapping_of(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {intern(key): value for key, value in items}
