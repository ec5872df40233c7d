from collections.abc import Sequence
from typing import Any

import pytest

from kfx.apis.experiment import ConfigMapSource, Experiment, TrialParameterSpec, TrialTemplate
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.controllers.experiment import ExperimentReconciler
from kfx.controllers.pace import ExperimentPace
from kfx.controllers.templates import CONFIG_MAPS, TemplateReader
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.names import EXPERIMENT_FINALIZER
from kfx.kube.model import Unreadable, to_builtins
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request, StaleRead, TerminalError
from tests.katib_objects import NOW, experiment, owner, said, suggestion, trial, unreadable
from tests.unit.controllers.parts import Live, Plans, Seconds, store_of, tallies_of

KEY = Request("ns", "e")
PARAMETERS = (TrialParameterSpec(name="x", reference="x"),)
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "t", "args": ["${trialParameters.x}"]}]}}},
}
OF = experiment("Created", template=TrialTemplate(trial_spec=JOB, trial_parameters=PARAMETERS))


async def reconcile(
    of: Experiment | Unreadable | None,
    found: Suggestion | Unreadable | None = None,
    trials: Sequence[Trial] = (),
    live: Live | None = None,
    **more: Any,
) -> Plan:
    plans = Plans()
    reconciler = ExperimentReconciler(
        experiments=store_of(of),
        suggestions=store_of(found),
        trials=tallies_of(*trials),
        templates=TemplateReader(client=live or Live(), core_namespace="kubeflow"),
        writer=plans,  # type: ignore[arg-type]
        now=lambda: NOW,
        **more,
    )
    await reconciler.reconcile(KEY)
    return plans.last if plans.made else Plan()


async def test_an_experiment_that_is_gone_needs_nothing() -> None:
    assert await reconcile(None) == Plan()


async def test_assignments_become_trials_with_the_template_filled_in() -> None:
    found = await reconcile(OF, suggestion("Running", requests=3, names=("e-a", "e-b")))
    jobs = [create.manifest["spec"]["runSpec"] for create in found.create]
    assert [job["metadata"]["name"] for job in jobs] == ["e-a", "e-b"]
    args = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in jobs]
    assert args == [["0"], ["1"]]


async def test_the_next_request_waits_for_the_answer_to_the_last_and_trials_are_made_at_once() -> None:
    pace = ExperimentPace(Seconds())
    first = await reconcile(OF, suggestion("Created", "Running", requests=1, names=("e-a",)), pace=pace)
    assert [patch.changes for patch in first.patch] == [{"spec": {"requests": 3}}]
    again = await reconcile(OF, suggestion("Created", "Running", requests=2, names=("e-a",)), pace=pace)
    assert (again.patch, len(again.create)) == ((), 1)


async def test_a_template_that_misses_a_parameter_is_told_with_an_event() -> None:
    template = TrialTemplate(trial_spec=JOB, trial_parameters=(TrialParameterSpec(name="x", reference="y"),))
    found = await reconcile(
        experiment("Created", template=template), suggestion("Running", requests=3, names=("e-a",))
    )
    assert said(found.status.conditions) == ["Created"]
    assert found.create == ()
    assert found.notes[0].message.startswith("Failed to reconcile: unable to find non-meta parameter")


async def test_a_template_in_a_config_map_is_read_when_trials_are_to_be_made() -> None:
    source = ConfigMapSource(config_map_name="c", config_map_namespace="ns", template_path="t")
    text = "apiVersion: batch/v1\nkind: Job\nspec: {x: '${trialParameters.x}'}"
    live = Live({(CONFIG_MAPS, "ns", "c"): {"metadata": {}, "data": {"t": text}}})
    of = experiment("Created", template=TrialTemplate(config_map=source, trial_parameters=PARAMETERS))
    assert (await reconcile(of, suggestion("Running", requests=3), live=live)).create == ()
    assert live.reads == 0
    found = await reconcile(of, suggestion("Running", requests=3, names=("e-a",)), live=live)
    assert found.create[0].manifest["spec"]["runSpec"]["spec"] == {"x": "0"}


async def test_a_config_map_that_is_missing_is_waited_for_with_an_event() -> None:
    source = ConfigMapSource(config_map_name="c", config_map_namespace="ns", template_path="t")
    of = experiment("Created", template=TrialTemplate(config_map=source, trial_parameters=PARAMETERS))
    found = await reconcile(of, suggestion("Running", requests=3, names=("e-a",)))
    assert found.create == ()
    assert found.requeue_after == 30
    assert "configMap not found" in found.notes[0].message


async def test_trials_of_a_namesake_are_not_counted_but_foreign_ones_are() -> None:
    former = trial("Running", name="former")
    former = Trial(
        metadata=type(former.metadata)(
            name="former",
            namespace="ns",
            labels=former.metadata.labels,
            owner_references=owner("Experiment", "e", "earlier"),
        ),
        status=former.status,
    )
    foreign = Trial(
        metadata=type(former.metadata)(name="foreign", namespace="ns", labels=former.metadata.labels),
        status=former.status,
    )
    found = await reconcile(OF, suggestion("Running", requests=3), [former, foreign])
    assert found.status.running_trial_list == ("foreign",)


WRONG = "Expected `int`, got `str` - at `$.spec.maxTrialCount`"


class TestUnreadable:
    """It does not decode, and no webhook was there to say so."""

    async def test_one_that_has_not_begun_fails_in_the_words_of_the_webhook(self) -> None:
        found = await reconcile(unreadable(Experiment, WRONG))
        with pytest.raises(ExperimentDecodeError) as refused:
            decode_experiment({"spec": {"maxTrialCount": "12"}})
        assert said(found.status.conditions) == ["Created", "Failed"]
        assert found.status.conditions[-1].message == str(refused.value)
        assert found.add_finalizers == (EXPERIMENT_FINALIZER,)
        assert to_builtins(found.status)["currentOptimalTrial"] == {"observation": {}}
        assert [n.reason for n in found.notes] == ["ExperimentFailed"]
        assert [c.metric for c in found.counts] == ["katib_experiment_created_total"]

    async def test_one_that_is_being_deleted_lets_go(self) -> None:
        found = await reconcile(
            unreadable(Experiment, WRONG, "Created", deleting=True, finalizers=(EXPERIMENT_FINALIZER,))
        )
        assert found.release == (EXPERIMENT_FINALIZER,)
        assert [c.metric for c in found.counts] == ["katib_experiment_deleted_total"]
        assert await reconcile(unreadable(Experiment, WRONG, deleting=True)) == Plan()

    async def test_one_that_has_begun_waits_for_its_correction(self) -> None:
        found = await reconcile(unreadable(Experiment, WRONG, "Created", "Running"))
        text = "spec.maxTrialCount: expected int, found str; write the value without quotes"
        assert found == Plan(notes=(Note("Warning", "ReconcileError", f"Failed to reconcile: {text}"),))

    async def test_one_that_has_ended_stays_as_it_is(self) -> None:
        assert await reconcile(unreadable(Experiment, WRONG, "Created", "Failed")) == Plan()

    async def test_a_suggestion_that_does_not_decode_is_named(self) -> None:
        stand_in = unreadable(Suggestion, "Expected `int`, got `str` - at `$.spec.requests`")
        with pytest.raises(TerminalError, match=r"Suggestion ns/e cannot be read: spec.requests: .*delete"):
            await reconcile(OF, stand_in)
        assert await reconcile(experiment("Created", "Succeeded"), stand_in) == Plan()


class TestForeignSuggestion:
    """The name is taken."""

    async def test_a_namesakes_is_waited_out(self) -> None:
        with pytest.raises(StaleRead):
            await reconcile(OF, suggestion(experiment_uid="earlier"))

    async def test_anybody_elses_is_an_error_with_the_remedy(self) -> None:
        found = suggestion()
        found = Suggestion(metadata=type(found.metadata)(name="e", namespace="ns"))
        with pytest.raises(TerminalError, match=r"Suggestion ns/e exists already .* delete it"):
            await reconcile(OF, found)

    async def test_a_completed_experiment_does_not_touch_it(self) -> None:
        of = experiment("Created", "Succeeded")
        assert await reconcile(of, suggestion("Created", "Running", experiment_uid="earlier")) == Plan()


async def test_what_no_webhook_has_seen_is_prepared_and_may_be_refused() -> None:
    found = await reconcile(OF, prepare=lambda _: "spec.objective is required; add it")
    assert said(found.status.conditions) == ["Created", "Failed"]
    assert found.status.conditions[-1].message == "spec.objective is required; add it"


async def test_nothing_changed_writes_nothing() -> None:
    found, trials = suggestion("Running", requests=3, names=("e-1",)), [trial("Running")]
    once = await reconcile(OF, found, trials)
    settled = Experiment(metadata=OF.metadata, spec=OF.spec, status=once.status)
    assert await reconcile(settled, found, trials) == Plan()
