"""Rules about a change of a stored Experiment: V6 to V8. Both sides must be defaulted alike."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kfx.apis.experiment import Experiment, ExperimentSpec
from kfx.katib import conditions
from kfx.katib.quantity import QuantityError, parse_quantity
from kfx.katib.validation.field_error import FieldError, forbidden, invalid

_RESTARTABLE_POLICIES = ("LongRunning", "FromVolume")
_MAX_TRIALS_REACHED = "ExperimentMaxTrialsReached"


def spec_changed(new: Experiment, old: Experiment) -> bool:
    """Whether the two specs differ in meaning: absent, null and empty are one."""
    return _meaning(new.spec) != _meaning(old.spec)


def check_update(new: Experiment, old: Experiment) -> Iterator[FieldError]:
    """V6 to V8, for a spec that has changed."""
    spec = new.spec
    completed = conditions.has_any(old.status.conditions, (conditions.SUCCEEDED, conditions.FAILED))
    if completed and not _is_restartable(old):
        detail = (
            "a completed Experiment may be changed only if it stopped at maxTrialCount and had resumePolicy "
            f"{' or '.join(_RESTARTABLE_POLICIES)} from the start; create a new Experiment"
        )
        yield invalid("spec.resumePolicy", spec.resume_policy, detail)
    if spec.max_trial_count is not None and spec.max_trial_count <= old.status.trials:
        detail = f"must be greater than the {old.status.trials} trials there are already; raise it"
        yield invalid("spec.maxTrialCount", spec.max_trial_count, detail)
    if _meaning(_without_counts(spec)) != _meaning(_without_counts(old.spec)):
        detail = (
            "only spec.parallelTrialCount, spec.maxTrialCount and spec.maxFailedTrialCount may be changed; "
            "create a new Experiment for anything else"
        )
        yield forbidden("spec", detail)


def _is_restartable(old: Experiment) -> bool:
    succeeded = conditions.find(old.status.conditions, conditions.SUCCEEDED)
    stopped = succeeded is not None and (succeeded.status, succeeded.reason) == ("True", _MAX_TRIALS_REACHED)
    return stopped and old.spec.resume_policy in _RESTARTABLE_POLICIES


def _without_counts(spec: ExperimentSpec) -> ExperimentSpec:
    return msgspec.structs.replace(
        spec, parallel_trial_count=None, max_trial_count=None, max_failed_trial_count=None
    )


def _meaning(spec: ExperimentSpec) -> tuple[Any, ...]:
    """A value that is equal for equal meanings. Inside the trial's own template every byte has one."""
    spec = _with_plain_container(spec)
    template = spec.trial_template
    if template is None:
        return (spec, "")
    plain = msgspec.structs.replace(
        template, trial_spec=None, primary_pod_labels=template.primary_pod_labels or None
    )
    own = "" if template.trial_spec is None else msgspec.json.encode(template.trial_spec, order="sorted")
    return (msgspec.structs.replace(spec, trial_template=plain), own)


def _with_plain_container(spec: ExperimentSpec) -> ExperimentSpec:
    """The custom container is typed in Katib: empty members count as absent, quantities by value."""
    collectors = spec.metrics_collector_spec
    collector = collectors.collector if collectors is not None else None
    if collectors is None or collector is None or collector.custom_collector is None:
        return spec
    container = _plain(collector.custom_collector)
    resources = container.get("resources")
    if isinstance(resources, Mapping):
        container["resources"] = {name: _by_value(given) for name, given in resources.items()}
    own = msgspec.structs.replace(collector, custom_collector=container)
    return msgspec.structs.replace(
        spec, metrics_collector_spec=msgspec.structs.replace(collectors, collector=own)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: found for key, item in value.items() if (found := _plain(item)) not in (None, "", [], {})
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _by_value(given: Any) -> Any:
    try:
        return {name: parse_quantity(text) for name, text in given.items()}
    except (AttributeError, QuantityError):
        return given
