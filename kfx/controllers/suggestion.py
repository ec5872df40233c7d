"""Reads a Suggestion, asks its algorithm, in this process or in an image, and writes what it answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfx.algorithms import Algorithm
from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.controllers.image_suggestion import ImageSuggestions
from kfx.controllers.prepare import Prepare, as_it_is
from kfx.controllers.tallies import TrialTallies
from kfx.katib.image_suggestion import Inside
from kfx.katib.katib_config import KatibConfigError
from kfx.katib.names import is_controlled_by
from kfx.katib.suggestion import (
    SuggestionSeen,
    has_ended,
    needs_validation,
    needs_volume,
    next_number,
    overlay_settings,
    plan_suggestion,
    wanted,
)
from kfx.katib.tally import Tally
from kfx.katib.unreadable import plan_unreadable_suggestion
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request, Result, TerminalError
from kfx.runtime.store import Lister
from kfx.runtime.writer import Writer

CONFIG_POLL = 30.0  # seconds until katib-config is looked at again, where it does not answer


class SuggestionReconciler:
    """Keeps as many assignments in a Suggestion's status as its specification requests.

    ``algorithms``: those that run inside kfx; without any, each runs in an image. ``images``: the others.
    """

    def __init__(
        self,
        *,
        suggestions: Lister[Suggestion],
        experiments: Lister[Experiment],
        trials: TrialTallies,
        algorithms: Mapping[str, Algorithm],
        images: ImageSuggestions,
        writer: Writer,
        now: Callable[[], str],
        prepare: Prepare = as_it_is,
    ) -> None:
        self._suggestions = suggestions
        self._experiments = experiments
        self._trials = trials
        self._algorithms = algorithms
        self._inside = Inside(algorithms)
        self._images = images
        self._writer = writer
        self._now = now
        self._prepare = prepare

    async def reconcile(self, request: Request) -> Result:
        unreadable = self._suggestions.unreadable(request)
        if unreadable is not None:
            return await self._writer.apply(unreadable, plan_unreadable_suggestion(unreadable))
        suggestion = self._suggestions.get(request)
        if suggestion is None:
            self._images.forget(request)
            return Result()
        try:
            plan = self._plan(suggestion, request)
        except KatibConfigError as error:  # corrected in a ConfigMap, of which nobody wakes us
            note = Note("Warning", "ReconcileError", str(error))
            plan = Plan(notes=(note,), requeue_after=CONFIG_POLL)
        return await self._writer.apply(suggestion, plan)

    def _plan(self, suggestion: Suggestion, request: Request) -> Plan:
        experiment = self._experiment_of(suggestion, request)
        if has_ended(suggestion):
            return self._images.clean_up(suggestion)
        if experiment is None:
            seen = SuggestionSeen(suggestion=suggestion, experiment=None)
            return plan_suggestion(seen, self._now())
        trials = self._trials.owned(experiment)
        if self._needs_image(suggestion):
            return self._images.plan(suggestion, experiment, trials, self._now())
        return plan_suggestion(self._look(suggestion, experiment, trials), self._now())

    def _needs_image(self, suggestion: Suggestion) -> bool:
        """Whether it needs one, and there is one; who has none is told so by kfx's own refusal.

        Where all algorithms run in images, katib-config answers for those that it does not name, too.
        """
        if not self._algorithms:
            return True
        if self._inside.answers(suggestion.spec):
            return False
        algorithm = suggestion.spec.algorithm
        return algorithm is not None and self._images.entry(algorithm.algorithm_name) is not None

    def _look(self, suggestion: Suggestion, experiment: Experiment, trials: Tally) -> SuggestionSeen:
        problem = self._validate(experiment) if needs_validation(suggestion) else ""
        answer = None if problem else self._ask(suggestion, experiment, trials)
        return SuggestionSeen(
            suggestion=suggestion,
            experiment=experiment,
            trials=trials,
            problem=problem,
            answer=answer,
            claim=self._claim_of(experiment) if needs_volume(suggestion) else {},
        )

    def _experiment_of(self, suggestion: Suggestion, request: Request) -> Experiment | None:
        """The experiment this Suggestion was made for, while it is followed at all."""
        if self._experiments.unreadable(request) is not None:
            return None
        found = self._experiments.get(request)
        if found is None or found.metadata.deletion_timestamp is not None:
            return None
        if not is_controlled_by(suggestion.metadata.controller, found):
            return None
        prepared = self._prepare(found)
        return None if isinstance(prepared, str) else prepared

    def _claim_of(self, experiment: Experiment) -> Mapping[str, Any]:
        entry = self._images.entry(_algorithm_name(experiment))
        return (entry.persistent_volume_claim_spec or {}) if entry is not None else {}

    def _validate(self, experiment: Experiment) -> str:
        name = _algorithm_name(experiment)
        algorithm = self._algorithms.get(name)
        if algorithm is None:
            known = ", ".join(sorted(self._algorithms))
            return f"ValidateAlgorithmSettings Error: unknown algorithm name {name}; there are {known}"
        problem = algorithm.validate(experiment)
        if problem:
            return f"ValidateAlgorithmSettings Error: {problem}"
        stopping = experiment.spec.early_stopping
        if stopping is not None and stopping.algorithm_name:
            return (
                f"ValidateEarlyStoppingSettings Error: unknown algorithm name {stopping.algorithm_name}; "
                "remove spec.earlyStopping, no such algorithm runs inside kfx"
            )
        return ""

    def _ask(
        self, suggestion: Suggestion, experiment: Experiment, trials: Tally
    ) -> Sequence[tuple[ParameterAssignment, ...]] | None:
        count = wanted(suggestion)
        if not count:
            return None
        name = _algorithm_name(experiment)
        algorithm = self._algorithms.get(name)
        if algorithm is None:
            # one that another controller has begun: it would wait for ever
            known = ", ".join(sorted(self._algorithms))
            raise TerminalError(f"algorithm {name} does not run inside kfx, which has {known}; start anew")
        overlaid = overlay_settings(experiment, suggestion)
        return algorithm.suggest(overlaid, trials.told(), next_number(suggestion.status, trials), count)


def _algorithm_name(experiment: Experiment) -> str:
    return experiment.spec.algorithm.algorithm_name if experiment.spec.algorithm is not None else ""
