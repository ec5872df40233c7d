"""Questions to algorithms that run in images, each in a task: no reconcile waits for an answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import SuggestionStatus
from kfx.katib.image_suggestion import Proposal, Word, is_stored
from kfx.katib.suggestion import NOTHING_LEFT_POLL
from kfx.runtime.log import get_logger
from kfx.runtime.plan import Note
from kfx.runtime.reconcile import Request
from kfx.services.algorithm_client import Endpoint, NoAnswer, Question

AT_ONCE = 100
"""Questions in hand together."""

FIRST_WAIT, LONGEST_WAIT = 3.0, 60.0
"""Seconds from a failure to the next try; Katib waits for 3 seconds, ten times, and then gives up."""

SAID_FROM = 3
"""Failures in a row from which one is told that may pass by itself."""

log = get_logger("algorithms")


class Algorithm(Protocol):
    """What :class:`kfx.services.algorithm_client.AlgorithmClient` offers here."""

    @property
    def endpoint(self) -> Endpoint: ...

    async def validate(self, experiment: Experiment) -> str: ...

    async def propose(self, question: Question) -> Proposal: ...

    async def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Talk:
    """All that is known of one Suggestion's algorithm. Of ``task`` and an answer there is one at most."""

    uid: str
    client: Algorithm
    task: asyncio.Task[None] | None = None
    problem: str | None = None
    proposal: Proposal | None = None
    until: float = field(default=float("-inf"))
    failures: int = 0
    note: Note | None = None


class Exchanges:
    """One talk a Suggestion; a question is put once, and its answer kept until the Suggestion has it.

    ``connect`` makes the client of a Service. Whoever asks is woken, by :meth:`wake`, when there is more to
    hear.
    """

    def __init__(self, connect: Callable[[Endpoint], Algorithm]) -> None:
        self._connect = connect
        self._talks: dict[Request, _Talk] = {}
        self._wake: Callable[[Request], None] = _nobody
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._group: asyncio.TaskGroup | None = None

    def __len__(self) -> int:
        return len(self._talks)

    def wake(self, wake: Callable[[Request], None]) -> None:
        """Whom to tell the key of a Suggestion that something was heard of."""
        self._wake = wake

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Questions are put inside; those in hand are dropped at the end, and all connections closed."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                for key in tuple(self._talks):
                    self.forget(key)
                self._group = None

    def validate(self, key: Request, uid: str, endpoint: Endpoint, experiment: Experiment) -> Word:
        """What the algorithm has against the settings, as far as that is known; asks where it is not."""
        talk = self._talk(key, uid, endpoint)

        async def ask() -> None:
            talk.problem = await talk.client.validate(experiment)

        if talk.problem is None:
            self._put(key, talk, ask)
        return self._heard(talk)

    def propose(
        self,
        key: Request,
        uid: str,
        endpoint: Endpoint,
        status: SuggestionStatus,
        requests: int,
        question: Callable[[], Question],
    ) -> Word:
        """The answer that ``status`` has not taken up yet; without one, asks where ``requests`` wants more.

        An algorithm that had nothing is asked again after a while, or for another number of requests.
        """
        talk = self._talk(key, uid, endpoint)
        found = talk.proposal
        if found is not None and (is_stored(found, status) or self._is_stale(talk, found, requests)):
            talk.proposal = None
        if talk.proposal is None and requests > status.suggestion_count:

            async def ask(asked: Question) -> None:
                talk.proposal = await talk.client.propose(asked)
                if not talk.proposal.assignments:
                    talk.until = _now() + NOTHING_LEFT_POLL

            if self._may_ask(talk):
                asked = question()
                self._put(key, talk, lambda: ask(asked))
        return self._heard(talk)

    def forget(self, key: Request) -> None:
        """The Suggestion is gone or has ended."""
        talk = self._talks.pop(key, None)
        if talk is None:
            return
        if talk.task is not None:
            talk.task.cancel()
        if self._group is not None:
            self._group.create_task(_close(talk.client), name=f"close {key}")

    def _talk(self, key: Request, uid: str, endpoint: Endpoint) -> _Talk:
        talk = self._talks.get(key)
        if talk is not None and talk.uid == uid and talk.client.endpoint == endpoint:
            return talk
        self.forget(key)
        found = self._talks[key] = _Talk(uid=uid, client=self._connect(endpoint))
        if talk is not None and talk.uid == uid:  # the Service was made anew
            found.problem, found.proposal = talk.problem, talk.proposal
        return found

    def _is_stale(self, talk: _Talk, found: Proposal, requests: int) -> bool:
        return not found.assignments and (found.requests != requests or _now() >= talk.until)

    def _may_ask(self, talk: _Talk) -> bool:
        return talk.task is None and (not talk.failures or _now() >= talk.until)

    def _put(self, key: Request, talk: _Talk, ask: Callable[[], Awaitable[None]]) -> None:
        if self._group is not None and self._may_ask(talk):
            talk.task = self._group.create_task(self._hold(key, talk, ask), name=f"ask {key}")

    async def _hold(self, key: Request, talk: _Talk, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._slots:
                await ask()
            talk.failures = 0
        except NoAnswer as error:
            self._fail(talk, str(error), passing=error.passing)
        except Exception as error:
            log.error("a question to an algorithm failed unexpectedly", suggestion=str(key), exc_info=error)
            self._fail(talk, f"unforeseen {type(error).__name__}, see the log", passing=False)
        talk.task = None
        self._wake(key)

    def _fail(self, talk: _Talk, text: str, *, passing: bool) -> None:
        wait = min(FIRST_WAIT * 2.0**talk.failures, LONGEST_WAIT)
        talk.failures = min(talk.failures + 1, 30)
        talk.until = _now() + wait
        if not passing or talk.failures >= SAID_FROM:
            talk.note = Note(
                "Warning", "ReconcileError", f"{text}; {_remedy(talk.client.endpoint, passing=passing)}"
            )

    def _heard(self, talk: _Talk) -> Word:
        """What is known; a note is handed out once."""
        note, talk.note = talk.note, None
        waiting = talk.task is None and bool(talk.failures)
        again = max(0.0, talk.until - _now()) if waiting else None
        return Word(problem=talk.problem, proposal=talk.proposal, note=note, again=again)


def _remedy(endpoint: Endpoint, *, passing: bool) -> str:
    name, _, namespace = endpoint.host.rpartition(".")
    look = f"kubectl -n {namespace} logs deployment/{name} --all-containers"
    if passing:
        return f"it is asked again; if this lasts, look at {look}"
    return (
        f"it is asked again; look at {look}. An algorithm that was restarted in the middle of an Experiment "
        "may have lost what it needs: then start the Experiment anew"
    )


async def _close(client: Algorithm) -> None:
    await client.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _nobody(_key: Request) -> None:
    """Nobody is to be woken yet."""
