"""An Experiment and its Suggestion through whatever users and jobs do, in any order.

Plans are folded into values until nobody has anything to write, and then the promises have to hold: as many
trials as there are places, no more than the maximum ever, no point twice, no name twice, and rest.
"""

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kfx.apis.common import NameValue
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import is_completed, plan_experiment
from kfx.katib.suggestion import SuggestionSeen, made, next_number, plan_suggestion, wanted
from kfx.katib.summary import PENDING, state_of
from kfx.katib.tally import Tally
from kfx.kube.model import Condition
from kfx.runtime.plan import Plan
from tests.katib_objects import NOW, RUN_SPEC, experiment, trial

MOST, PARALLEL = 8, 4
ENDS = ["Succeeded", "Failed", "MetricsUnavailable"]


class Model(RuleBasedStateMachine):
    """What stands on the server, and what ever stood there."""

    @initialize()
    def begin(self) -> None:
        self.experiment = experiment(parallel=2, most=MOST, finalizers=())
        self.suggestion: Suggestion | None = None
        self.trials: dict[str, Trial] = {}
        self.versions = 0
        self.points: dict[str, str] = {}  # by name, of all that were ever assigned
        self.history: list[dict[str, Trial]] = []
        self.deleted = 0
        self.lost = False  # trials, of which a Suggestion that is made again cannot know
        self.renewed = False  # by a Suggestion that knows nothing of the one before
        self.settle()

    @rule(end=st.sampled_from(ENDS), number=st.integers(0, PARALLEL))
    def a_job_ends(self, end: str, number: int) -> None:
        running = [t for t in self.trials.values() if state_of(t) == c.RUNNING]
        if running:
            name = running[number % len(running)].metadata.name
            value = "0.5" if end == "Succeeded" else None
            self.put(name, "Created", "-Running", end, value=value)
        self.settle()

    @rule(number=st.integers(0, MOST))
    def somebody_deletes_a_trial(self, number: int) -> None:
        if self.trials and not is_completed(self.experiment):
            del self.trials[list(self.trials)[number % len(self.trials)]]
            self.deleted += 1
            self.lost = True
        self.settle()

    @rule(parallel=st.integers(1, PARALLEL))
    def somebody_changes_the_number_of_places(self, parallel: int) -> None:
        spec = msgspec.structs.replace(self.experiment.spec, parallel_trial_count=parallel)
        self.experiment = msgspec.structs.replace(self.experiment, spec=spec)
        before = len(self.trials)
        self.settle()
        self.lost |= len(self.trials) < before

    @rule()
    def somebody_deletes_the_suggestion(self) -> None:
        if not is_completed(self.experiment):
            self.suggestion = None
            self.renewed = True
            self.deleted += 1
        self.settle()

    @rule(back=st.integers(1, 6))
    def the_cache_shows_trials_as_they_were(self, back: int) -> None:
        """The rest of what it shows is new; writes of the Experiment and its Suggestion would be refused."""
        self.look_at_experiment(self.history[-back:][0])
        self.settle()

    @precondition(lambda self: self.trials)
    @rule()
    def trials_start(self) -> None:
        for name, found in self.trials.items():
            if state_of(found) == PENDING:
                self.put(name, "Created", "Running")
        self.settle()

    @invariant()
    def promises_hold(self) -> None:
        spec = self.experiment.spec
        active = [t for t in self.trials.values() if state_of(t) in {PENDING, c.RUNNING}]
        ended = len(self.trials) - len(active)
        if is_completed(self.experiment):
            assert len(self.trials) == MOST
            return
        assert len(active) == min(spec.parallel_trial_count or 0, MOST - ended)
        if self.suggestion is None:
            return  # it is made again once it is needed
        status = self.suggestion.status
        listed = [each.name for each in status.suggestions]
        assert len(listed) == len(set(listed)) == status.suggestion_count
        if self.renewed:
            there = {*self.trials, *listed}
            assert self.lost or len({self.points[name] for name in there}) == len(there)
            return
        assert set(self.trials) <= set(listed)
        assert len(listed) - len(self.trials) <= self.deleted  # nothing is asked for that is not needed
        assert made(status) == len(self.points)
        assert len(set(self.points.values())) == len(self.points)

    def settle(self) -> None:
        for _ in range(40):
            if not (self.look_at_experiment() | self.look_at_suggestion()):
                return
        raise AssertionError("they never come to rest")

    def look_at_experiment(self, cached: dict[str, Trial] | None = None) -> bool:
        seen = ExperimentSeen(
            experiment=self.experiment,
            trials=Tally.of((self.trials if cached is None else cached).values()),
            suggestion=self.suggestion,
            render=lambda *_: RUN_SPEC,
        )
        plan = plan_experiment(seen, NOW)
        for create in plan.create:
            self.create(create.manifest)
        for patch in plan.patch:
            self.patch(patch.changes)
        self.experiment = with_status(self.experiment, plan)
        for delete in plan.delete:
            there = self.trials.get(delete.name)
            if there is not None and there.metadata.resource_version == delete.resource_version:
                assert state_of(there) in {PENDING, c.RUNNING}
                del self.trials[delete.name]
        self.history.append(dict(self.trials))
        if plan.add_finalizers:
            metadata = msgspec.structs.replace(self.experiment.metadata, finalizers=plan.add_finalizers)
            self.experiment = msgspec.structs.replace(self.experiment, metadata=metadata)
        return plan != Plan()

    def look_at_suggestion(self) -> bool:
        found = self.suggestion
        if found is None:
            return False
        asked, first = wanted(found), next_number(found.status, Tally.of(self.trials.values()))
        answer = [(NameValue(name="x", value=str(i)),) for i in range(first, first + asked)]
        tally = Tally.of(self.trials.values())
        seen = SuggestionSeen(
            suggestion=found, experiment=self.experiment, trials=tally, answer=answer if asked else None
        )
        plan = plan_suggestion(seen, NOW)
        self.suggestion = with_status(found, plan)
        for each in self.suggestion.status.suggestions:
            self.points[each.name] = each.parameter_assignments[0].value
        return plan != Plan()

    def create(self, manifest: Any) -> None:
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "Suggestion":
            document = {**manifest, "metadata": {**manifest["metadata"], "uid": "s-uid", "generation": 1}}
            self.suggestion = msgspec.convert(document, Suggestion)
            return
        if name in self.trials:
            return  # it is refused, and is ours
        self.put(name, "Created")
        active = [t for t in self.trials.values() if state_of(t) in {PENDING, c.RUNNING}]
        assert len(active) <= (self.experiment.spec.parallel_trial_count or 0)
        assert len(self.trials) <= MOST

    def put(self, name: str, *words: str, value: str | None = None) -> None:
        found = trial(*words, name=name, age=len(self.points) % 60, value=value)
        self.versions += 1
        metadata = msgspec.structs.replace(found.metadata, resource_version=str(self.versions))
        self.trials[name] = msgspec.structs.replace(found, metadata=metadata)

    def patch(self, changes: Any) -> None:
        assert self.suggestion is not None
        if "spec" in changes:
            metadata = msgspec.structs.replace(
                self.suggestion.metadata, generation=self.suggestion.metadata.generation + 1
            )
            spec = msgspec.structs.replace(self.suggestion.spec, **changes["spec"])
            self.suggestion = msgspec.structs.replace(self.suggestion, metadata=metadata, spec=spec)
            return
        document = msgspec.to_builtins(self.suggestion.status) | changes["status"]
        status = msgspec.convert(document, type(self.suggestion.status))
        assert all(isinstance(each, Condition) for each in status.conditions)
        self.suggestion = msgspec.structs.replace(self.suggestion, status=status)


def with_status(owner: Any, plan: Plan) -> Any:
    status = plan.status if plan.status is not None else plan.intent
    return owner if status is None else msgspec.structs.replace(owner, status=status)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
