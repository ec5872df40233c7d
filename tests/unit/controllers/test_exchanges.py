"""Questions and answers on a virtual clock; the algorithm is asked by an imitation of the client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from kfx.apis.common import NameValue
from kfx.apis.suggestion import SuggestionStatus, TrialAssignment
from kfx.controllers.exchanges import AT_ONCE, Exchanges
from kfx.katib.image_suggestion import Proposal, Word
from kfx.runtime.reconcile import Request
from kfx.services.algorithm_client import Endpoint, NoAnswer, Question
from tests.katib_objects import experiment

KEY = Request("ns", "e")
ENDPOINT = Endpoint(address="10.0.0.1", host="e-random.ns")


class Client:
    """Answers after ``seconds``; first come the ``failures``."""

    def __init__(self, endpoint: Endpoint, all_of: list["Client"]) -> None:
        self.endpoint = endpoint
        self.seconds = 1.0
        self.failures: list[Exception] = []
        self.size = 100
        self.asked: list[Any] = []
        self.closed = False
        all_of.append(self)

    async def validate(self, of: Any) -> str:
        await self._answer(of)
        return "" if of.metadata.name == "e" else "no"

    async def propose(self, question: Question) -> Proposal:
        await self._answer(question)
        points = range(question.start, min(question.start + question.count, self.size))
        assignments = tuple(
            TrialAssignment(parameter_assignments=(NameValue(name="x", value=str(i)),)) for i in points
        )
        return Proposal(start=question.start, requests=question.requests, assignments=assignments)

    async def close(self) -> None:
        self.closed = True

    async def _answer(self, what: Any) -> None:
        self.asked.append(what)
        await asyncio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop(0)


class Talk:
    """One Suggestion's side of it."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.woken: list[Request] = []
        self.exchanges = Exchanges(lambda endpoint: Client(endpoint, self.clients))
        self.exchanges.wake(self.woken.append)
        self.status = SuggestionStatus()

    @property
    def client(self) -> Client:
        return self.clients[-1]

    def validate(self, uid: str = "u", endpoint: Endpoint = ENDPOINT, key: Request = KEY) -> Word:
        return self.exchanges.validate(key, uid, endpoint, experiment("Created"))

    def propose(self, requests: int = 2, uid: str = "u", endpoint: Endpoint = ENDPOINT) -> Word:
        start = self.status.suggestion_count

        def question() -> Question:
            count = requests - start
            return Question(experiment=experiment(), trials=(), start=start, count=count, requests=requests)

        return self.exchanges.propose(KEY, uid, endpoint, self.status, requests, question)

    def store(self, proposal: Proposal | None) -> None:
        assert proposal is not None
        suggestions = (*self.status.suggestions, *proposal.assignments)
        self.status = msgspec.structs.replace(
            self.status, suggestions=suggestions, suggestion_count=len(suggestions)
        )


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    found = Talk()
    async with found.exchanges.running():
        yield found
    assert all(client.closed for client in found.clients)


def values(word: Word) -> list[str] | None:
    found = word.proposal
    return None if found is None else [a.parameter_assignments[0].value for a in found.assignments]


async def test_a_question_is_put_once_and_its_answer_wakes(talk: Talk) -> None:
    for _ in range(3):
        assert talk.validate() == Word()
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    assert talk.woken == [KEY]
    assert talk.validate() == Word(problem="")
    assert len(talk.client.asked) == 1


async def test_an_answer_is_kept_until_the_suggestion_has_it(talk: Talk) -> None:
    """D8: a conflict repeats the write, not the question."""
    assert talk.propose() == Word()
    await asyncio.sleep(1.1)
    assert values(talk.propose()) == values(talk.propose(5)) == ["0", "1"]
    assert len(talk.client.asked) == 1
    talk.store(talk.propose().proposal)
    assert talk.propose() == Word()
    assert len(talk.client.asked) == 1


async def test_more_that_is_wanted_meanwhile_is_asked_for_afterwards(talk: Talk) -> None:
    talk.propose(2)
    assert talk.propose(5) == Word()
    await asyncio.sleep(1.1)
    talk.store(talk.propose(5).proposal)
    assert talk.propose(5) == Word()
    await asyncio.sleep(1.1)
    assert values(talk.propose(5)) == ["2", "3", "4"]


async def test_12_6_where_no_more_is_wanted_nobody_is_asked(talk: Talk) -> None:
    """12.6.2: requests 4, count 6."""
    talk.store(Proposal(start=0, requests=6, assignments=(TrialAssignment(),) * 6))
    assert talk.propose(4) == Word()
    await asyncio.sleep(1.1)
    assert talk.client.asked == []


async def test_never_are_two_questions_put_to_one_algorithm(talk: Talk) -> None:
    talk.validate()
    assert talk.propose() == Word()
    await asyncio.sleep(0.5)
    assert len(talk.client.asked) == 1


async def test_one_that_had_nothing_is_asked_again_after_ten_seconds(talk: Talk) -> None:
    talk.propose()
    talk.client.size = 0
    await asyncio.sleep(1.1)
    assert values(talk.propose()) == []
    await asyncio.sleep(5)
    assert values(talk.propose()) == []
    assert len(talk.client.asked) == 1
    await asyncio.sleep(5)
    assert talk.propose() == Word()
    await asyncio.sleep(0)
    assert len(talk.client.asked) == 2


async def test_one_that_had_nothing_is_asked_at_once_when_more_is_wanted(talk: Talk) -> None:
    talk.propose()
    talk.client.size = 0
    await asyncio.sleep(1.1)
    assert values(talk.propose()) == []
    assert talk.propose(3) == Word()


async def failing(
    talk: Talk, ask: Callable[[], Word], *failures: Exception
) -> list[tuple[float | None, Any]]:
    """How long it waits after each failure, and what it says then."""
    found: list[tuple[float | None, Any]] = []
    ask()
    talk.client.failures = list(failures)
    for _ in failures:
        talk.woken.clear()
        while not talk.woken:
            await asyncio.sleep(0.25)
        word = ask()
        found.append((word.again and round(word.again), word.note))
        assert ask().note is None
        await asyncio.sleep(word.again or 0)
        ask()
    return found


async def test_what_may_pass_is_tried_again_ever_more_seldom_and_told_the_third_time(talk: Talk) -> None:
    away = [NoAnswer("ValidateAlgorithmSettings at e-random.ns:6789: away", passing=True) for _ in range(7)]
    found = await failing(talk, talk.validate, *away)
    assert [wait for wait, _ in found] == [3, 6, 12, 24, 48, 60, 60]
    assert [note is not None for _, note in found] == [False, False, *[True] * 5]
    note = found[2][1]
    assert (note.type, note.reason) == ("Warning", "ReconcileError")
    assert note.message == (
        "ValidateAlgorithmSettings at e-random.ns:6789: away; it is asked again; if this lasts, look at "
        "kubectl -n ns logs deployment/e-random --all-containers"
    )


async def test_what_will_not_pass_is_told_at_once_with_the_remedy(talk: Talk) -> None:
    """D11: an algorithm that has lost its state."""
    ((wait, note),) = await failing(talk, talk.propose, NoAnswer("GetSuggestions: no", passing=False))
    assert wait == 3
    assert "may have lost what it needs: then start the Experiment anew" in note.message
    await asyncio.sleep(1.1)
    assert values(talk.propose()) == ["0", "1"]


async def test_an_answer_ends_the_row_of_failures(talk: Talk) -> None:
    away = [NoAnswer("away", passing=True) for _ in range(2)]
    await failing(talk, talk.propose, *away)
    await asyncio.sleep(1.1)
    talk.store(talk.propose().proposal)
    assert [wait for wait, _ in await failing(talk, lambda: talk.propose(4), *away)] == [3, 6]


async def test_a_defect_costs_one_suggestion_its_answer_and_nobody_else(talk: Talk) -> None:
    ((_, note),) = await failing(talk, talk.propose, RuntimeError("secret"))
    assert note.message.startswith("unforeseen RuntimeError, see the log; ")
    assert "secret" not in note.message
    other = talk.exchanges.validate(Request("ns", "other"), "u", ENDPOINT, experiment())
    assert other == Word()


async def test_a_namesake_hears_nothing_of_what_its_predecessor_was_told(talk: Talk) -> None:
    talk.propose()
    await asyncio.sleep(1.1)
    first = talk.client
    assert talk.propose(uid="later") == Word()
    await asyncio.sleep(0.1)
    assert first.closed
    assert talk.client is not first


async def test_a_service_that_was_made_anew_costs_no_answer(talk: Talk) -> None:
    talk.validate()
    await asyncio.sleep(1.1)
    talk.propose()
    await asyncio.sleep(1.1)
    moved = Endpoint(address="10.0.0.2", host=ENDPOINT.host)
    assert values(talk.propose(endpoint=moved)) == ["0", "1"]
    assert talk.validate(endpoint=moved).problem == ""
    await asyncio.sleep(0.1)
    assert talk.clients[0].closed
    assert talk.client.endpoint == moved
    assert talk.client.asked == []


async def test_one_that_is_forgotten_wakes_nobody(talk: Talk) -> None:
    talk.propose()
    talk.exchanges.forget(KEY)
    talk.exchanges.forget(KEY)
    await asyncio.sleep(5)
    assert talk.woken == []
    assert talk.client.closed
    assert len(talk.exchanges) == 0


async def test_many_are_asked_side_by_side_up_to_a_bound(talk: Talk) -> None:
    for number in range(AT_ONCE + 1):
        talk.validate(key=Request("ns", f"e-{number}"))
    await asyncio.sleep(1.1)
    assert len(talk.woken) == AT_ONCE
    await asyncio.sleep(1.1)
    assert len(talk.woken) == AT_ONCE + 1


async def test_nothing_is_asked_before_it_runs_nor_after() -> None:
    found = Talk()
    assert found.validate() == Word()
    async with found.exchanges.running():
        found.validate()
        await asyncio.sleep(0.5)
    assert found.validate() == Word()
    assert [len(client.asked) for client in found.clients] == [1, 0]
