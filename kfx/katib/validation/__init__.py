"""Whether an Experiment can ever run. Pure: everything that must be looked up comes in a context.

One module per section of an Experiment, one function per group of rules; the names V1 to V58 are those of the
table of rules. A rule refuses only what surely fails later, anything else is a warning.
"""

from kfx.apis.experiment import Experiment
from kfx.katib.validation.algorithm import (
    check_algorithm,
    check_early_stopping,
    check_early_stopping_suits,
    check_resume_policy,
)
from kfx.katib.validation.collector import check_collector
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.counts import check_counts, check_name
from kfx.katib.validation.field_error import FieldError, aggregate
from kfx.katib.validation.objective import check_objective, doubt_objective
from kfx.katib.validation.parameters import check_parameters, check_space
from kfx.katib.validation.trial_template import check_trial_template
from kfx.katib.validation.update import check_update, spec_changed

__all__ = [
    "FieldError",
    "Findings",
    "ValidationContext",
    "aggregate",
    "is_free_update",
    "validate_experiment",
]


def validate_experiment(new: Experiment, old: Experiment | None, context: ValidationContext) -> Findings:
    """All faults of ``new``, in Katib's order; ``old`` is the stored Experiment, defaulted alike."""
    findings = Findings()
    if old is not None and is_free_update(new, old):
        return findings
    spec, errors = new.spec, findings.errors
    errors += check_name(new)
    errors += check_counts(new)
    if old is not None:
        errors += check_update(new, old)
    if objective_errors := list(check_objective(spec.objective)):
        errors += objective_errors
        return findings
    if spec.objective is not None:
        doubt_objective(spec.objective, findings)
    errors += check_algorithm(spec, context)
    errors += check_early_stopping(spec, context)
    errors += check_resume_policy(spec)
    check_trial_template(new, context, findings)
    errors += check_space(spec)
    check_parameters(spec, findings)
    check_collector(spec.metrics_collector_spec, context, findings)
    check_early_stopping_suits(spec, context, findings)
    return findings


def is_free_update(new: Experiment, old: Experiment) -> bool:
    """Whether nothing is to be checked: only metadata changes, or the object is going."""
    return new.metadata.deletion_timestamp is not None or not spec_changed(new, old)
