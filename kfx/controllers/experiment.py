"""Reads an Experiment with all that belongs to it, and writes what has been decided."""

import time
from collections.abc import Callable
from dataclasses import replace

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.controllers.pace import StatusPace
from kfx.controllers.prepare import Prepare, as_it_is
from kfx.controllers.tallies import TrialTallies
from kfx.controllers.templates import TemplateReader
from kfx.controllers.unreadable_trials import UnreadableTrials
from kfx.katib.budget import ExperimentSeen, RenderTrial, needs_template
from kfx.katib.experiment import is_completed, plan_experiment
from kfx.katib.names import is_controlled_by
from kfx.katib.trial_template import render_trial
from kfx.katib.unreadable import explain_unreadable, plan_unreadable_experiment
from kfx.kube.model import KubeObject
from kfx.runtime.reconcile import Request, Result, StaleRead, TerminalError
from kfx.runtime.store import Lister
from kfx.runtime.writer import Writer


class ExperimentReconciler:
    """Keeps as many trials going as an Experiment asks for, and tells how far it is."""

    def __init__(
        self,
        *,
        experiments: Lister[Experiment],
        suggestions: Lister[Suggestion],
        trials: TrialTallies,
        templates: TemplateReader,
        writer: Writer,
        now: Callable[[], str],
        prepare: Prepare = as_it_is,
        pace: StatusPace | None = None,
    ) -> None:
        self._experiments = experiments
        self._suggestions = suggestions
        self._trials = trials
        self._templates = templates
        self._writer = writer
        self._now = now
        self._prepare = prepare
        self._pace = pace or StatusPace(time.monotonic)
        self._unreadable = UnreadableTrials(trials, time.monotonic)
        self._render: RenderTrial = render_trial

    async def reconcile(self, request: Request) -> Result:
        unreadable = self._experiments.unreadable(request)
        if unreadable is not None:
            return await self._writer.apply(unreadable, plan_unreadable_experiment(unreadable, self._now()))
        experiment = self._experiments.get(request)
        if experiment is None:
            return Result()
        seen = await self._look(experiment, request)
        plan = self._pace.hold_back(experiment, plan_experiment(seen, self._now()))
        return await self._writer.apply(experiment, self._unreadable.remind(experiment, plan))

    async def _look(self, experiment: Experiment, request: Request) -> ExperimentSeen:
        prepared = self._prepare(experiment)
        seen = ExperimentSeen(
            experiment=experiment if isinstance(prepared, str) else prepared,
            trials=self._trials.counted(experiment),
            suggestion=self._suggestion_of(experiment, request),
            render=self._render,
            refusal=prepared if isinstance(prepared, str) else "",
        )
        if seen.refusal or is_completed(experiment) or not needs_template(seen):
            return seen
        template = await self._templates.read(seen.experiment)
        return replace(seen, template_text=template.text, template_problem=template.problem)

    def _suggestion_of(self, experiment: Experiment, request: Request) -> Suggestion | None:
        """Raises StaleRead while a former experiment's goes, TerminalError for one that is of no use."""
        found = self._suggestions.get(request)
        problem = self._what_is_wrong_with(found, experiment, request)
        if problem is None:
            return found
        if is_completed(experiment) or experiment.metadata.deletion_timestamp is not None:
            return None
        raise problem

    def _what_is_wrong_with(
        self, found: Suggestion | None, experiment: Experiment, request: Request
    ) -> Exception | None:
        unreadable = self._suggestions.unreadable(request)
        if unreadable is not None:
            return TerminalError(explain_unreadable(unreadable))
        if found is None or is_controlled_by(found.metadata.controller, experiment):
            return None
        if _is_of_namesake(found, experiment):
            return StaleRead(f"{found} belongs to an Experiment that had this name before")
        return TerminalError(
            f"{found} exists already and is not controlled by this Experiment: "
            "delete it, or give the Experiment another name"
        )


def _is_of_namesake(obj: KubeObject, experiment: Experiment) -> bool:
    owner = obj.metadata.controller
    return (
        owner is not None and owner.kind == experiment.resource.kind and owner.uid != experiment.metadata.uid
    )
