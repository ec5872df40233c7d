"""Rules about the name and the numbers of trials: V1 to V5."""

import re
from collections.abc import Iterator

from kfx.apis.experiment import Experiment
from kfx.katib.validation.field_error import FieldError, invalid

MAX_NAME = 40
MAX_LABEL = 63
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def check_name(experiment: Experiment) -> Iterator[FieldError]:
    """V1: the name begins those of trials, and with the algorithm's makes a DNS label."""
    name = experiment.metadata.name
    algorithm = experiment.spec.algorithm.algorithm_name if experiment.spec.algorithm else ""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        detail = (
            "name must consist of lower case letters, digits and '-', begin with a letter, end with a letter "
            f"or digit, and have at most {MAX_NAME} characters; rename the Experiment"
        )
        yield invalid("metadata.name", name, detail)
    elif len(name) + 1 + len(algorithm) > MAX_LABEL:
        detail = (
            f"name and algorithm make {name}-{algorithm[:MAX_LABEL]}, longer than the {MAX_LABEL} characters "
            "of a DNS label; shorten the name"
        )
        yield invalid("metadata.name", name, detail)


def check_counts(experiment: Experiment) -> Iterator[FieldError]:
    """V2 to V5: each number on its own, then against the number of trials in all."""
    spec = experiment.spec
    failed, most, parallel = spec.max_failed_trial_count, spec.max_trial_count, spec.parallel_trial_count
    if failed is not None and failed < 0:
        yield invalid("spec.maxFailedTrialCount", failed, "must not be negative; write 0 or more")
    if most is not None and most <= 0:
        yield invalid("spec.maxTrialCount", most, "must be greater than 0; leave it out for no limit")
    if parallel is not None and parallel <= 0:
        yield invalid("spec.parallelTrialCount", parallel, "must be greater than 0; leave it out for 3")
    if most is None:
        return
    if failed is not None and failed > most:
        yield invalid(
            "spec.maxFailedTrialCount", failed, f"must not exceed spec.maxTrialCount {most}; lower it"
        )
    if parallel is not None and parallel > most:
        yield invalid(
            "spec.parallelTrialCount", parallel, f"must not exceed spec.maxTrialCount {most}; lower it"
        )
