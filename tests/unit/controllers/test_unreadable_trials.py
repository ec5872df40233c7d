"""A Trial that cannot be read keeps its place in parallelTrialCount, and its Experiment says so."""

import msgspec
import pytest

from kfx.apis.trial import Trial
from kfx.controllers.tallies import TrialTallies
from kfx.controllers.unreadable_trials import UnreadableTrials
from kfx.kube.model import Unreadable
from kfx.runtime.event import Event
from kfx.runtime.plan import Note, Plan
from tests.katib_objects import experiment, trial, unreadable
from tests.unit.controllers.parts import Seconds

WRONG = "Expected `bool`, got `str` - at `$.spec.retainRun`"
TOLD = (
    "Trial e-1 cannot be read: spec.retainRun: expected bool, found str; write the value without quotes, "
    "or delete the Trial; until then 1 of the 3 places of parallelTrialCount are held"
)


def stand_in(*words: str, name: str = "e-1") -> Unreadable:
    found = unreadable(Trial, WRONG, *words)
    return msgspec.structs.replace(found, metadata=trial(name=name).metadata)


@pytest.fixture
def tallies() -> TrialTallies:
    return TrialTallies()


def test_it_holds_its_place_and_is_told_once_and_again_after_a_while(tallies: TrialTallies) -> None:
    clock, of = Seconds(), experiment("Created", "Running")
    reminder = UnreadableTrials(tallies, clock)
    assert reminder.remind(of, Plan()) == Plan()
    tallies.requests(Event(None, stand_in("Created", "Running")))
    assert tallies.owned(of).summary(None).running == ("e-1",)
    assert reminder.remind(of, Plan()) == Plan(
        notes=(Note("Warning", "TrialUnreadable", TOLD),), requeue_after=600
    )
    clock.now += 500
    assert reminder.remind(of, Plan(requeue_after=300)) == Plan(requeue_after=100)
    clock.now += 100
    assert [note.message for note in reminder.remind(of, Plan()).notes] == [TOLD]


def test_another_one_is_told_at_once(tallies: TrialTallies) -> None:
    of, reminder = experiment("Created", "Running"), UnreadableTrials(tallies, Seconds())
    tallies.requests(Event(None, stand_in("Created")))
    reminder.remind(of, Plan())
    tallies.requests(Event(None, stand_in("Created", name="e-2")))
    (note,) = reminder.remind(of, Plan()).notes
    assert "and 1 more that cannot be read; until then 2 of the 3 places" in note.message


@pytest.mark.parametrize("words", [("Created", "Succeeded"), ("Created", "Failed")])
def test_one_that_has_ended_holds_no_place(tallies: TrialTallies, words: tuple[str, ...]) -> None:
    of = experiment("Created", "Running")
    tallies.requests(Event(None, stand_in(*words)))
    assert tallies.owned(of).summary(None).done == 1
    assert UnreadableTrials(tallies, Seconds()).remind(of, Plan()) == Plan()


def test_an_experiment_that_is_over_or_goes_is_told_nothing(tallies: TrialTallies) -> None:
    reminder = UnreadableTrials(tallies, Seconds())
    tallies.requests(Event(None, stand_in("Created")))
    for over in (experiment("Created", "Succeeded"), experiment("Created", deleting=True)):
        assert reminder.remind(over, Plan()) == Plan()
