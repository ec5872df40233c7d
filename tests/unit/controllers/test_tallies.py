"""Each Experiment has its own trials, whatever other Experiments are called."""

import msgspec

from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.controllers.tallies import TrialTallies
from kfx.katib.tally import Tally
from kfx.runtime.event import Event
from tests.katib_objects import experiment, owner, trial, unreadable
from tests.unit.controllers.parts import tallies_of

E = experiment()


def changed(found: Trial, **metadata: object) -> Trial:
    return msgspec.structs.replace(found, metadata=msgspec.structs.replace(found.metadata, **metadata))


def names(tally: Tally) -> list[str]:
    return [t.metadata.name for t in tally]


def test_trials_of_namesakes_in_other_namespaces_or_before_are_not_among_them() -> None:
    here, before = trial(name="here"), trial(name="before")
    elsewhere = changed(trial(name="elsewhere"), namespace="other")
    before = changed(before, owner_references=owner("Experiment", "e", "earlier"))
    tallies = tallies_of(here, before, elsewhere)
    assert names(tallies.owned(E)) == names(tallies.counted(E)) == ["here"]
    other = Experiment(metadata=msgspec.structs.replace(E.metadata, namespace="other"))
    assert names(tallies.counted(other)) == ["elsewhere"]


def test_labelled_trials_of_no_experiment_are_counted_but_not_told() -> None:
    stranger = changed(trial(name="stranger"), owner_references=None)
    tallies = tallies_of(trial(name="ours"), stranger)
    assert names(tallies.owned(E)) == ["ours"]
    assert names(tallies.counted(E)) == ["ours", "stranger"]


def test_trials_come_change_and_go() -> None:
    tallies, first = TrialTallies(), trial("Created", name="a")
    running = trial("Created", "Running", name="a")
    assert tallies.requests(Event(None, first)) == ()
    tallies.requests(Event(first, running))
    assert tallies.owned(E).summary(None).running == ("a",)
    unlabelled = changed(running, labels=None)
    tallies.requests(Event(running, unlabelled))
    assert names(tallies.owned(E)) == []
    tallies.requests(Event(unlabelled, running))
    tallies.requests(Event(running, None))
    assert names(tallies.owned(E)) == []
    assert tallies._found == {}


def test_a_trial_made_again_under_its_name_is_counted_once() -> None:
    first = trial("Created", "Succeeded", name="a", value="1")
    again = changed(trial("Created", name="a"), uid="another")
    tallies = tallies_of(first)
    tallies.requests(Event(first, again))
    summary = tallies.owned(E).summary(E.spec.objective)
    assert (summary.trials, summary.pending, summary.optimum.trial) == (1, ("a",), None)


class TestUnreadable:
    """What does not decode counts all the same, as far as it is known."""

    STOOD_IN = msgspec.structs.replace(unreadable(Trial, "no", "Created"), metadata=trial(name="a").metadata)

    def test_one_that_never_decoded_is_counted_by_its_conditions_and_told_to_no_algorithm(self) -> None:
        tallies = TrialTallies()
        tallies.requests(Event(None, self.STOOD_IN))
        tally = tallies.owned(E)
        assert (tally.summary(None).pending, tally.told(), "a" in tally.names) == (("a",), [], True)
        assert tally.unreadable() == {"a": "no"}

    def test_one_that_did_once_counts_as_it_was(self) -> None:
        tallies = tallies_of(trial("Created", "Running", name="a"))
        tallies.requests(Event(None, self.STOOD_IN))
        tally = tallies.owned(E)
        assert (tally.summary(None).running, len(tally.told())) == (("a",), 1)
        assert tally.unreadable() == {"a": "no"}

    def test_one_that_was_corrected_is_like_any_other(self) -> None:
        tallies, mended = TrialTallies(), trial("Created", "Succeeded", name="a", value="1")
        tallies.requests(Event(None, self.STOOD_IN))
        tallies.requests(Event(None, mended))
        tally = tallies.owned(E)
        assert (tally.summary(None).succeeded, len(tally.told()), tally.unreadable()) == (("a",), 1, {})

    def test_one_that_goes_leaves_nothing(self) -> None:
        tallies = TrialTallies()
        tallies.requests(Event(None, self.STOOD_IN))
        tallies.requests(Event(self.STOOD_IN, None))
        assert tallies._found == {}
        decoded = trial("Created", name="a")
        tallies.requests(Event(None, decoded))
        tallies.requests(Event(None, self.STOOD_IN))
        tallies.requests(Event(decoded, None))
        tallies.requests(Event(self.STOOD_IN, None))
        assert tallies._found == {}
