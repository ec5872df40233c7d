"""Follows one kind on the server: list, then watch, then again after a gap.

Second on the way of an event: lines of the watch come in, changes of the store go out.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from kfx.kube import errors
from kfx.kube.decode import Raw, ends_initial_events, read_head
from kfx.kube.listwatch import ListerWatcher, WatchMessage
from kfx.kube.model import KubeObject, Unreadable
from kfx.kube.resource import Resource
from kfx.kube.transport import ConnectionCut
from kfx.runtime.backoff import Backoff
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import InformerMetrics
from kfx.runtime.object_reader import ObjectReader
from kfx.runtime.reconcile import Request

T = TypeVar("T", bound=KubeObject)

PAGE_SIZE = 500
SLICE = 100  # objects decoded or handed on between two looks at the event loop
LIST_SECONDS = 300  # after which a server ends the stream of a list
SHORT_WATCH = 1.0  # seconds; a watch that ends sooner and brought nothing counts as an error
STREAM_SILENCE = 10.0  # seconds; an old server takes a streamed list for a watch and never ends it
AWAY = (errors.Unreachable, ConnectionCut)  # what restored its data meanwhile was stopped for it
REFUSALS = 3  # in a row, until a right counts as missing: a server that is starting may know no roles yet
NOT_SERVED_PERIOD = 30.0  # seconds between two looks for a kind that is not served

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """Some objects of a list; more follow until :class:`ListEnd`."""

    objects: Sequence[T | Unreadable]


@dataclass(frozen=True, slots=True)
class ListEnd:
    """The list is complete: what is not among ``keys`` is gone."""

    keys: Collection[Request]


class Put(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The newest state of one object."""

    obj: T | Unreadable


@dataclass(frozen=True, slots=True)
class Dropped(Generic[T]):
    """One object is gone; ``last`` is its final state, ``resource_version`` that of its deletion."""

    key: Request
    last: T | None
    resource_version: str


Change = Listed[T] | ListEnd | Put[T] | Dropped[T]


class Reflector(Generic[T]):
    """An endless stream of changes of one collection.

    An object that does not decode is counted, logged once per version and comes as :class:`Unreadable`.

    ``streaming``: the first list comes as a stream of events, which costs the server no whole list in memory;
    a server that cannot is asked for pages from then on. ``transform``: from what was sent to what is kept.

    ``optional`` says what goes without the collection: where it may not be read it then counts as empty, and
    is asked for again within 30 s.

    ``problem`` says why the collection cannot be followed for reasons a person must mend, else ``None``.
    ``served`` is false while the server knows no such kind.
    """

    def __init__(
        self,
        resource: Resource,
        source: ListerWatcher,
        decode: Callable[[Raw], T],
        *,
        metrics: InformerMetrics,
        streaming: bool = False,
        transform: Callable[[T], T] | None = None,
        optional: str = "",
    ) -> None:
        self._streaming = streaming
        self.transform = transform
        self.optional = optional
        self.problem: str | None = None
        self.served = True
        self._resource = resource
        self._source = source
        self._reader = ObjectReader(decode, metrics, transform)
        self._metrics = metrics
        self._backoff = Backoff()
        self._since: str | None = None  # the state: the version to watch from, None when a list is due
        self._reason = "start"  # of the next list
        self._ever_listed = False
        self._absent = 0  # times in a row that the kind was not served, or withheld
        self._failing: type[Exception] | str | None = None
        self._heard_at: float | None = None

    def age(self) -> float:
        """Seconds since the server was last heard of; -1 before the first answer."""
        return -1.0 if self._heard_at is None else asyncio.get_event_loop().time() - self._heard_at

    def version(self) -> int:
        """Up to where the collection is known; -1 while a list is due, or where versions are no numbers."""
        return int(self._since) if self._since is not None and self._since.isdigit() else -1

    async def changes(self) -> AsyncGenerator[Change[T], None]:
        """Every change, without end: a lost connection is a pause, never an error."""
        while True:
            listing = self._since is None
            step = self._list() if self._since is None else self._watch(self._since)
            try:
                async with aclosing(step):
                    async for change in step:
                        yield change
            except errors.Expired as failed:
                self._relist("expired")
                await self._pause(failed, quiet=True)
            except (errors.TransportError, errors.TooManyRequests) as failed:
                self._metrics.watch_restarts("error").inc()
                await self._pause(failed)  # nothing is known to be lost: go on from the same version
                if isinstance(failed, AWAY):
                    await self._ask_whether_set_back()
            except errors.ApiError as failed:
                self._relist("error")
                withheld = bool(self.optional) and isinstance(failed, errors.Forbidden)
                await self._pause(failed, quiet=listing and withheld)

    async def _list(self) -> AsyncGenerator[Change[T], None]:
        """One list. Nothing of it is passed on before all of it is here, so that it is of one moment."""
        self._metrics.lists(self._reason).inc()
        try:
            pages, keys, version = await self._stage()
        except (errors.NotFound, errors.Forbidden) as failed:
            wait = self._go_without(failed)
            yield ListEnd(frozenset())
            await asyncio.sleep(wait)
            return
        except (errors.ApiError, errors.TransportError):
            if self.served:
                self._absent = 0  # whatever was said before may have been said by a server that was starting
            raise
        self._heard()
        self.served = True
        for page in pages:
            yield Listed(page)
            await asyncio.sleep(0)
        self._since, self._ever_listed, self._absent = version, True, 0
        yield ListEnd(keys)

    def _go_without(self, failed: errors.ApiError) -> float:
        """Seconds until the kind is asked for again, which counts as empty meanwhile. Raises ``failed`` where
        it may not."""
        withheld = isinstance(failed, errors.Forbidden)
        if withheld and not self.optional:
            if self.served:
                self._absent = 0
            raise failed
        self._absent += 1
        if self._absent < (REFUSALS if withheld else 2 if self._ever_listed else 1):
            raise failed  # a server that is just starting may say so of a kind it serves
        if withheld:
            self._say_withheld(failed)
            return min(self._backoff.next(), NOT_SERVED_PERIOD)
        self._heard(failed)
        self.served = False
        return NOT_SERVED_PERIOD * random.uniform(0.9, 1.1)  # noqa: S311 — spreads clients

    def _say_withheld(self, failed: errors.ApiError) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self.problem = f"forbidden: {missing_rule(self._resource)}"
        if self._failing != "withheld":
            self._failing = "withheld"
            log.warning(
                "may not be followed; going on without",
                resource=str(self._resource),
                without=self.optional,
                remedy=missing_rule(self._resource),
                error=str(failed),
            )

    async def _stage(self) -> "_Staged[T]":
        """All objects in slices, all keys, and the list's version.

        Pages start again, once, when the server has forgotten the list half-way.
        """
        if self._streaming:
            try:
                return await self._read_stream()
            except (errors.BadRequest, errors.Invalid, TimeoutError) as failed:
                self._streaming = False
                log.debug("no streamed lists, pages instead", resource=str(self._resource), error=str(failed))
        try:
            return await self._read_pages()
        except errors.Expired:
            self._metrics.lists("expired").inc()
            return await self._read_pages()

    async def _read_stream(self) -> "_Staged[T]":
        """Raises TimeoutError or Interrupted where the stream does not come to the end of the list."""
        objects: dict[Request, T | Unreadable] = {}
        async with asyncio.timeout(STREAM_SILENCE) as limit:
            async with aclosing(self._source.stream(timeout_seconds=LIST_SECONDS)) as stream:
                async for message in stream:
                    limit.reschedule(asyncio.get_running_loop().time() + STREAM_SILENCE)
                    if message.type == "BOOKMARK":
                        if ends_initial_events(message.object):
                            return _in_slices(objects), set(objects), _version_of(message)
                        continue
                    obj = self._reader.read(message.object)
                    key = _key_of(obj)
                    objects[key] = obj
                    if message.type == "DELETED" or not key.name:
                        del objects[key]
                    if len(objects) % SLICE == 0:
                        await asyncio.sleep(0)
        raise errors.Interrupted("the streamed list ended before all objects were there")

    async def _read_pages(self) -> "_Staged[T]":
        slices: list[list[T | Unreadable]] = []
        keys: set[Request] = set()
        token = ""
        while True:
            page = await self._source.list_page(limit=PAGE_SIZE, continue_token=token)
            for start in range(0, len(page.items), SLICE):
                read = [self._reader.read(raw) for raw in page.items[start : start + SLICE]]
                objects = [obj for obj in read if obj.metadata.name]
                keys.update(map(_key_of, objects))
                slices.append(objects)
                await asyncio.sleep(0)
            token = page.continue_token
            if not token:
                return slices, keys, page.resource_version

    async def _watch(self, since: str) -> AsyncGenerator[Change[T], None]:
        """One watch. That it ends is normal, unless it ends at once."""
        began, received, ending = asyncio.get_running_loop().time(), False, "ended"
        seconds = random.randint(300, 599)  # noqa: S311 — so that watches do not all end together
        try:
            async with aclosing(self._source.watch(since=since, timeout_seconds=seconds)) as stream:
                async for message in stream:
                    received = True
                    self._heard()
                    change = self._take(message)
                    if change is not None:
                        yield change
        except errors.Interrupted:
            ending = "interrupted"
        self._metrics.watch_restarts(ending).inc()
        if received or asyncio.get_running_loop().time() - began >= SHORT_WATCH:
            self._heard(at=began)  # without bookmarks an idle kind is heard of by nothing else
        else:
            self._relist("short_watch")
            await self._pause(errors.TransportError("the watch ended as soon as it had begun"))

    def _take(self, message: WatchMessage) -> Change[T] | None:
        if message.type == "BOOKMARK":
            self._advance(read_head(message.object).resource_version, bookmark=True)
            return None
        obj = self._reader.read(message.object)
        version = obj.metadata.resource_version
        self._advance(version)
        if message.type == "DELETED":
            return Dropped(_key_of(obj), None if isinstance(obj, Unreadable) else obj, version)
        return Put(obj) if obj.metadata.name else None

    def _advance(self, version: str, *, bookmark: bool = False) -> None:
        if bookmark and self._since is not None and is_older(version, self._since):
            # the server's data was set back to an earlier state
            raise errors.Expired(
                "resourceVersion went backwards", status=410, method="WATCH", path=self._resource.path()
            )
        if version:
            self._since = version

    async def _ask_whether_set_back(self) -> None:
        """A store restored from a backup is silent until it has reached the version that is asked for.

        A server with bookmarks tells within a minute or so, one without never.
        """
        if self._since is None:
            return
        with suppress(errors.ApiError, errors.TransportError):
            page = await self._source.list_page(limit=1, continue_token="")
            if is_older(page.resource_version, self._since):
                self._relist("set_back")

    def _relist(self, reason: str) -> None:
        self._since, self._reason = None, reason

    def _heard(self, failed: Exception | None = None, *, at: float | None = None) -> None:
        """The server answered, now or ``at``; ``failed`` when the answer is that the kind is not served."""
        self._heard_at = max(self._heard_at or 0.0, asyncio.get_running_loop().time() if at is None else at)
        self.problem = None
        now_failing = type(failed) if failed is not None else None
        if self._failing is now_failing:
            return
        if failed is not None:
            log.info("kind is not served; it is looked for every 30 s", resource=str(self._resource))
        else:
            log.info("following", resource=str(self._resource))
        self._failing = now_failing

    async def _pause(self, failed: Exception, *, quiet: bool = False) -> None:
        """Say what is wrong, once as long as it stays the same, and wait."""
        if isinstance(failed, errors.Forbidden):
            self.problem = f"forbidden: {missing_rule(self._resource)}"
        quiet = quiet or isinstance(failed, errors.Unreachable)
        if not quiet and self._failing is not type(failed):
            self._failing = type(failed)
            log.warning(
                "cannot follow; trying again",
                resource=str(self._resource),
                error=str(failed),
                **({"remedy": missing_rule(self._resource)} if self.problem else {}),
            )
        wait = self._backoff.next()
        if isinstance(failed, errors.Unreachable):
            await self._wait_for_server(wait)
        else:
            await asyncio.sleep(wait)

    async def _wait_for_server(self, longest: float) -> None:
        """Until anybody in this process has reached it; a little apart, so that not all come at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._source.reachable()
                self._backoff.reset()  # a server that has just come back may say so a few times
                await asyncio.sleep(random.random())  # noqa: S311 — spreads requests, guards nothing


_Staged = tuple[list[list[T | Unreadable]], set[Request], str]


def _in_slices(objects: Mapping[Request, T | Unreadable]) -> list[list[T | Unreadable]]:
    found = list(objects.values())
    return [found[start : start + SLICE] for start in range(0, len(found), SLICE)]


def _key_of(obj: KubeObject) -> Request:
    return Request(obj.metadata.namespace, obj.metadata.name)


def _version_of(message: WatchMessage) -> str:
    return read_head(message.object).resource_version


def missing_rule(resource: Resource) -> str:
    """The RBAC rule that lets a kind be followed, in the words of a ClusterRole."""
    return (
        f'grant the rule {{apiGroups: ["{resource.group}"], resources: ["{resource.plural}"], '
        'verbs: ["get", "list", "watch"]}'
    )


def is_older(version: str, than: str) -> bool:
    """Whether one resourceVersion is before another; no version that is no number is older than any.

    The numbers have no leading zeros, so that their texts can be compared (KEP-5504, comparable versions).
    """
    if len(version) > len(than) or (len(version) == len(than) and version >= than):
        return False
    return version.isdigit() and than.isdigit()
