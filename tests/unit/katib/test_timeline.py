"""One trial from the Experiment's creation to its end: the plans, in order, as people read them.

Plans are folded into values, nothing more: no versions, no server. What the server makes of them is for
the cluster tests.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from kfx.apis.common import NameValue
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import plan_experiment
from kfx.katib.job_state import JobState, Phase
from kfx.katib.suggestion import SuggestionSeen, plan_suggestion, wanted
from kfx.katib.tally import Tally
from kfx.katib.trial import JobSeen, TrialSeen, needs_observation, plan_trial
from kfx.kube.model import Condition, KubeObject, to_builtins
from kfx.runtime.plan import Plan
from tests.golden_files import assert_golden
from tests.katib_objects import JOBS, NOW, RUN_SPEC, experiment, observed


class Story:
    """The objects as they stand, and what was decided so far."""

    def __init__(self, **spec: Any) -> None:
        self.lines: list[str] = []
        self.experiment = experiment(finalizers=(), **spec)
        self.suggestion: Suggestion | None = None
        self.trials: dict[str, Trial] = {}
        self.jobs: dict[str, JobState] = {}

    def tell(self) -> None:
        """Let every controller look until none of them has anything to write."""
        while self._look():
            pass

    def finish_job(self, state: JobState) -> None:
        """What the job controller does to every job that runs."""
        self.lines.append(f"# jobs: {state.phase.value}")
        self.jobs = dict.fromkeys(self.jobs, state)

    def _look(self) -> bool:
        looks = [self._look_at_experiment, self._look_at_suggestion]
        looks += [self._trial_look(name) for name in self.trials]
        wrote = [look() for look in looks]
        return any(wrote)

    def _look_at_experiment(self) -> bool:
        seen = ExperimentSeen(
            experiment=self.experiment,
            trials=Tally.of(self.trials.values()),
            suggestion=self.suggestion,
            render=lambda _, name, *__: RUN_SPEC | {"metadata": {"name": name}},
        )
        plan = plan_experiment(seen, NOW)
        self.experiment = self._perform("experiment", self.experiment, plan)
        return plan != Plan()

    def _look_at_suggestion(self) -> bool:
        found = self.suggestion
        if found is None:
            return False
        asked = wanted(found)
        answer = [(NameValue(name="x", value=str(i)),) for i in range(asked)] if asked else None
        seen = SuggestionSeen(
            suggestion=found,
            experiment=self.experiment,
            trials=Tally.of(self.trials.values()),
            answer=answer,
        )
        plan = plan_suggestion(seen, NOW)
        self.suggestion = self._perform("suggestion", found, plan)
        return plan != Plan()

    def _trial_look(self, name: str) -> Callable[[], bool]:
        def look() -> bool:
            found, state = self.trials[name], self.jobs.get(name)
            seen = TrialSeen(
                trial=found,
                resource=JOBS,
                job=JobSeen(f"{name}-job") if state is not None else None,
                state=state,
            )
            if needs_observation(seen):
                seen = replace(seen, observation=observed("0.5"))
            plan = plan_trial(seen, NOW)
            self.trials[name] = self._perform("trial", found, plan)
            return plan != Plan()

        return look

    def _perform(self, who: str, owner: Any, plan: Plan) -> Any:
        if plan == Plan():
            return owner
        metadata = msgspec.structs.replace(
            owner.metadata,
            uid=owner.metadata.uid or f"{owner.metadata.name}-uid",
            finalizers=(*(owner.metadata.finalizers or ()), *plan.add_finalizers),
        )
        owner = msgspec.structs.replace(owner, metadata=metadata)
        for name in plan.add_finalizers:
            self.lines.append(f"{who}: finalizer {name}")
        owner = self._status(who, owner, plan.intent)
        for create in plan.create:
            self._create(who, create.manifest)
        for patch in plan.patch:
            self._patch(who, patch.changes)
        owner = self._status(who, owner, plan.status)
        for delete in plan.delete:
            self.lines.append(
                f"{who}: delete {delete.resource.kind} {self._short(delete.name)} {delete.propagation}"
            )
            del self.jobs[delete.name]
        self.lines += [f"{who}: event {n.type} {n.reason}: {self._short(n.message)}" for n in plan.notes]
        self.lines += [f"{who}: count {count.metric}" for count in plan.counts]
        return owner

    def _status(self, who: str, owner: Any, status: Any) -> Any:
        if status is None or status == owner.status:
            return owner
        before, after = to_builtins(owner.status), to_builtins(status)
        for key, value in after.items():
            if before.get(key) != value:
                shown = _words(status.conditions) if key == "conditions" else self._short(str(value))
                self.lines.append(f"{who}: status {key} = {shown}")
        self.lines += [f"{who}: status {key} removed" for key in before if key not in after]
        return msgspec.structs.replace(owner, status=status)

    def _create(self, who: str, manifest: Any) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        requests = manifest["spec"].get("requests")
        self.lines.append(
            f"{who}: create {kind} {self._short(name)}" + (f", requests {requests}" if requests else "")
        )
        if kind == "Suggestion":
            self.suggestion = _made(Suggestion, manifest)
        elif kind == "Trial":
            self.trials[name] = _made(Trial, manifest)
            self.lines[-1] = self.lines[-1].replace(name, self._short(name))
        else:
            self.jobs[name] = JobState(Phase.RUNNING)

    def _patch(self, who: str, changes: Any) -> None:
        assert self.suggestion is not None
        if "spec" in changes:
            self.lines.append(f"{who}: patch Suggestion requests = {changes['spec']['requests']}")
            spec = msgspec.structs.replace(self.suggestion.spec, **changes["spec"])
            self.suggestion = msgspec.structs.replace(self.suggestion, spec=spec)
            return
        after = msgspec.structs.replace(
            self.suggestion.status,
            conditions=msgspec.convert(changes["status"]["conditions"], tuple[Condition, ...]),
        )
        self.lines.append(f"{who}: patch Suggestion conditions = {_words(after.conditions)}")
        self.suggestion = msgspec.structs.replace(self.suggestion, status=after)

    def _short(self, text: str) -> str:
        for number, name in enumerate(self.trials, 1):
            text = text.replace(name, f"<trial {number}>")
        return text


def _made(kind: type[KubeObject], manifest: Any) -> Any:
    manifest = manifest | {"metadata": manifest["metadata"] | {"uid": f"{manifest['metadata']['name']}-uid"}}
    return msgspec.json.decode(msgspec.json.encode(manifest), type=kind)


def _words(found: tuple[Condition, ...]) -> str:
    return ", ".join(f"{c.type}={c.status[0]} ({c.reason})" for c in found)


def test_one_trial_to_success() -> None:
    story = Story(most=1, parallel=1)
    story.tell()
    story.finish_job(
        JobState(Phase.SUCCEEDED, "CompletionsReached", "Reached expected number of succeeded pods")
    )
    story.tell()
    assert_golden("timeline/one_trial_to_success.txt", "\n".join(story.lines) + "\n")


def test_one_trial_to_failure() -> None:
    story = Story(most=1, parallel=1, most_failed=0)
    story.tell()
    story.finish_job(
        JobState(Phase.FAILED, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    )
    story.tell()
    assert_golden("timeline/one_trial_to_failure.txt", "\n".join(story.lines) + "\n")


def test_two_rounds_of_two_trials() -> None:
    story = Story(most=4, parallel=2, policy="LongRunning")
    story.tell()
    for _ in range(2):
        story.finish_job(JobState(Phase.SUCCEEDED))
        story.tell()
    assert isinstance(story.experiment, Experiment)
    assert story.experiment.status.trials_succeeded == 4
    assert_golden("timeline/two_rounds_of_two_trials.txt", "\n".join(story.lines) + "\n")
