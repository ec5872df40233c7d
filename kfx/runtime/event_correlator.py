"""Keeps one noisy object from filling the cluster with events: client-go's event correlator.

Similar events are gathered under one message, identical ones are counted up, and what still comes too
often from one object is dropped. All memory is bounded.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kfx.runtime.memory import LeastRecentlyUsed

SIMILAR = 10  # distinct messages, from which on they are gathered
SIMILAR_WITHIN = timedelta(seconds=600)
BURST = 25  # events of one object
REFILL_SECONDS = 300.0  # for each further one
GATHERED = "(combined from similar events): "


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to ``about`` (kind, namespace, name, uid, apiVersion) at ``time``, in UTC."""

    about: tuple[str, str, str, str, str]
    type: str
    reason: str
    message: str
    time: datetime
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Correlated:
    """What to store: a new event where ``name`` is ``""``, else a new count of the event of that name."""

    occurrence: Occurrence
    key: Hashable
    count: int
    first: datetime
    name: str


@dataclass(slots=True)
class _Similar:
    last: datetime
    messages: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Known:
    count: int
    first: datetime
    name: str = ""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class EventCorrelator:
    """Decides what becomes of each occurrence; holds nothing but what it has seen."""

    def __init__(self) -> None:
        self._similar: LeastRecentlyUsed[Hashable, _Similar] = LeastRecentlyUsed()
        self._known: LeastRecentlyUsed[Hashable, _Known] = LeastRecentlyUsed()
        self._buckets: LeastRecentlyUsed[Hashable, _Bucket] = LeastRecentlyUsed()

    def correlate(self, occurrence: Occurrence) -> Correlated | None:
        """What to store; ``None`` when the object has had too many events."""
        gathered, key = self._gather(occurrence)
        before = self._known.get(key)
        known = replace(before, count=before.count + 1) if before else _Known(1, gathered.time)
        self._known.put(key, known)
        if not self._has_token(occurrence):
            return None
        return Correlated(gathered, key, known.count, known.first, known.name)

    def stored(self, event: Correlated, name: str) -> None:
        """``event`` is stored under ``name``, so that the next one like it can be counted there."""
        self._known.put(event.key, _Known(event.count, event.first, name))

    def _gather(self, occurrence: Occurrence) -> tuple[Occurrence, Hashable]:
        kind = (occurrence.about, occurrence.type, occurrence.reason)
        similar = self._similar.get_or(kind, lambda: _Similar(occurrence.time))
        if occurrence.time - similar.last > SIMILAR_WITHIN:
            similar.messages.clear()
        similar.last = occurrence.time
        similar.messages.add(occurrence.message)
        if len(similar.messages) < SIMILAR:
            return occurrence, (*kind, occurrence.message)
        similar.messages.discard(next(m for m in similar.messages if m != occurrence.message))
        return replace(occurrence, message=GATHERED + occurrence.message), kind

    def _has_token(self, occurrence: Occurrence) -> bool:
        now = occurrence.time
        bucket = self._buckets.get_or((occurrence.about, occurrence.type), lambda: _Bucket(BURST, now))
        earned = (now - bucket.at).total_seconds() / REFILL_SECONDS
        bucket.tokens = min(BURST, bucket.tokens + max(0.0, earned))
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
