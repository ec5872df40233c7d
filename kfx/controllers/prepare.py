"""What is done to an Experiment that no webhook has seen."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from kfx.apis.experiment import Experiment, ExperimentSpec
from kfx.katib import conditions as c
from kfx.katib.defaults import default_experiment
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.validation import ValidationContext, aggregate, validate_experiment
from kfx.kube.model import to_builtins

# defaults and validates; the text of what is wrong where the experiment cannot be followed
Prepare = Callable[[Experiment], Experiment | str]

REMEMBERED = 1000


def as_it_is(experiment: Experiment) -> Experiment:
    """Nothing: the webhooks have done it."""
    return experiment


class Preparer:
    """Defaults every Experiment in memory, and judges it as long as it has not begun.

    Where webhooks are registered they have done both, and nothing changes. Each generation is looked at
    once. ``context``: what the rules need beside the Experiment; a template in a ConfigMap is left to
    rendering, which waits for one that is not there yet.
    """

    def __init__(self, context: Callable[[], ValidationContext]) -> None:
        self._context = context
        self._known: OrderedDict[str, tuple[int, ExperimentSpec | str | None]] = OrderedDict()

    def __call__(self, experiment: Experiment) -> Experiment | str:
        """The Experiment with its defaults, or why it is refused."""
        metadata = experiment.metadata
        known = self._known.get(metadata.uid)
        if known is None or known[0] != metadata.generation:
            known = self._known[metadata.uid] = (metadata.generation, self._look(experiment))
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        found = known[1]
        if found is None:
            return experiment
        return found if isinstance(found, str) else msgspec.structs.replace(experiment, spec=found)

    def _look(self, experiment: Experiment) -> ExperimentSpec | str | None:
        """The specification with its defaults, ``None`` where it has them, or what is wrong with it."""
        document = to_builtins(experiment)
        try:
            defaulted = default_experiment(document)
            found = experiment if defaulted == document else decode_experiment(defaulted)
        except ExperimentDecodeError as error:
            return str(error)
        return self._judge(found) or (None if found is experiment else found.spec)

    def _judge(self, experiment: Experiment) -> str:
        template = experiment.spec.trial_template
        begun = any(condition.type != c.CREATED for condition in experiment.status.conditions)
        if begun or (template is not None and template.config_map is not None):
            return ""
        findings = validate_experiment(experiment, None, self._context())
        return aggregate(findings.errors) if findings.errors else ""
