"""One informer for each kind and selection, shared by every controller and webhook of the process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from kfx.kube.client import Client
from kfx.kube.decode import Raw, decoder_for, metadata_decoder_for, strict, unstructured_decoder_for
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.model import KubeObject, PartialObjectMetadata, Unstructured
from kfx.kube.resource import Resource
from kfx.runtime.handler import EventHandler, takes_unreadable
from kfx.runtime.informer import Informer
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.predicate import Predicate, resource_version_changed
from kfx.runtime.reflector import Reflector
from kfx.runtime.source import RequestQueue, Watch
from kfx.runtime.store import IndexFunc, Lister, Store

T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of a kind is followed, and as which type. Empty means everything."""

    kind: type[KubeObject]
    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    @property
    def metadata_only(self) -> bool:
        """Whether the server is to leave everything else out."""
        return self.kind is PartialObjectMetadata

    def decoder(self) -> Callable[[Raw], KubeObject]:
        """From the text of an object in a list or watch to its type; raises Undecodable."""
        resource, kind, api_version = self.resource, self.resource.kind, self.resource.api_version
        decode: Callable[[Raw], KubeObject]
        if self.metadata_only:
            decode = metadata_decoder_for(resource)
            kind, api_version = "PartialObjectMetadata", "meta.k8s.io/v1"
        elif self.kind is Unstructured:
            decode = unstructured_decoder_for(resource)
        else:
            decode = decoder_for(self.kind)
        return strict(decode, resource, kind=kind, api_version=api_version)

    def __str__(self) -> str:
        parts = (self.namespace, self.label_selector, self.field_selector)
        limits = ", ".join(part for part in parts if part)
        return f"{self.resource} ({limits})" if limits else str(self.resource)


@dataclass(frozen=True, slots=True)
class Following:
    """How far one selection has got. ``age``: seconds since the server was last heard of, None before."""

    selection: str
    objects: int
    synced: bool
    served: bool
    age: float | None
    problem: str | None


class Cache:
    """Listers by kind, and the informers that keep them current while ``running()``."""

    def __init__(self, client: Client, *, metrics: RuntimeMetrics | None = None) -> None:
        self._client = client
        self._metrics = metrics or RuntimeMetrics()
        self._informers: dict[Selection, Informer[Any]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def informer(
        self,
        kind: type[T],
        *,
        indexers: Mapping[str, IndexFunc[T]] | None = None,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        transform: Callable[[T], T] | None = None,
        optional: str = "",
    ) -> Lister[T]:
        """Follow a kind; asking again for the same selection gives the same lister, with more indexes.

        ``transform`` is applied to every object as soon as it is decoded; like index functions it must not
        raise. ``optional`` says, for the log, what goes without the kind: where the right to follow it is
        missing nobody waits for it, its lister is empty and has a ``problem``, and it is followed from when
        the right is there. ``ValueError`` when a second declaration contradicts the first.
        """
        chosen = Selection(kind, kind.resource, namespace, label_selector, field_selector)
        found = self._declare(chosen, transform, optional)
        found.store.add_indexers(indexers or {})
        return cast("Lister[T]", found.store)

    def dynamic(
        self,
        resource: Resource,
        *,
        indexers: Mapping[str, IndexFunc[Unstructured]] | None = None,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        optional: str = "",
    ) -> Lister[Unstructured]:
        """Follow a kind that is named at run time; one that is not served counts as empty.

        ``optional`` as for :meth:`informer`.
        """
        chosen = Selection(Unstructured, resource, namespace, label_selector, field_selector)
        found = self._declare(chosen, optional=optional)
        found.store.add_indexers(indexers or {})
        return cast("Lister[Unstructured]", found.store)

    def metadata(
        self,
        resource: Resource,
        *,
        indexers: Mapping[str, IndexFunc[PartialObjectMetadata]] | None = None,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        optional: str = "",
    ) -> Lister[PartialObjectMetadata]:
        """Follow the metadata of a kind; the server sends nothing else.

        ``optional`` as for :meth:`informer`.
        """
        chosen = Selection(PartialObjectMetadata, resource, namespace, label_selector, field_selector)
        found = self._declare(chosen, optional=optional)
        found.store.add_indexers(indexers or {})
        return cast("Lister[PartialObjectMetadata]", found.store)

    def lister(self, kind: type[T]) -> Lister[T]:
        """All objects of a kind, in every namespace."""
        return self.informer(kind)

    def watch(
        self,
        kind: type[KubeObject] | Resource,
        handler: EventHandler,
        queue: RequestQueue,
        predicate: Predicate = resource_version_changed,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> None:
        """Lead a selection's events through ``predicate`` and ``handler`` into ``queue``.

        ``metadata_only`` joins :meth:`metadata`'s informer of the kind. An object that does not decode is
        led to itself and to its owners, so that a reconciler can look at ``Lister.unreadable``.
        """
        resource = kind if isinstance(kind, Resource) else kind.resource
        followed = Unstructured if isinstance(kind, Resource) else kind
        if metadata_only:
            followed = PartialObjectMetadata
        found = self._declare(Selection(followed, resource, namespace, label_selector, field_selector))
        watch = Watch(handler, queue, predicate)
        found.on_event(watch.offer)
        if takes_unreadable(handler):
            found.on_unreadable(watch.offer_unreadable)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow all that is declared, now or later, while the block lasts; a failure inside ends it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for chosen, informer in self._informers.items():
                self._start(chosen, informer)
            try:
                yield
            finally:
                self._group = None
                for task in self._tasks:
                    task.cancel()
                self._tasks.clear()

    async def wait_for_sync(self, stop: asyncio.Event) -> bool:
        """True once every informer has its first list; False when ``stop`` is set before."""
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._all_synced()), group.create_task(stop.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return self.synced() and not stop.is_set()

    def synced(self) -> bool:
        """Whether every informer has its first list; kinds that are not served do not count."""
        return all(informer.synced.is_set() for informer in self._informers.values())

    def is_known(self, resource: Resource) -> bool:
        """Whether a resource has its first list in every selection, or it is known that there can be none."""
        found = [each for chosen, each in self._informers.items() if chosen.resource == resource]
        return all(each.synced.is_set() for each in found)

    def unsynced(self) -> list[str]:
        """What readiness should name: kinds without a first list, and kinds we may no longer read.

        Optional kinds that may not be read do not count.
        """
        found = []
        for chosen, informer in self._informers.items():
            if (problem := informer.reflector.problem) and not informer.reflector.optional:
                found.append(f"{chosen}: {problem}")
            elif not informer.synced.is_set():
                found.append(f"{chosen}: not listed yet")
        return found

    def silent(self, limit: float) -> list[str]:
        """What readiness should name: kinds of which nothing has been heard for over ``limit`` seconds.

        A kind that is not served does not count, nor one that :meth:`unsynced` names.
        """
        return [
            f"{each.selection}: nothing heard for {each.age:.0f} s (limit {limit:g} s)"
            for each in self.states()
            if each.age is not None and each.age > limit and each.synced and each.served and not each.problem
        ]

    def states(self) -> list[Following]:
        """Every selection, in the order in which they were declared."""
        return [
            Following(
                selection=str(chosen),
                objects=len(informer.store),
                synced=informer.synced.is_set(),
                served=informer.reflector.served,
                age=age if (age := informer.reflector.age()) >= 0 else None,
                problem=informer.reflector.problem,
            )
            for chosen, informer in self._informers.items()
        ]

    def sizes(self) -> dict[str, int]:
        """Objects held, by selection."""
        return {str(chosen): len(informer.store) for chosen, informer in self._informers.items()}

    def _declare(
        self, chosen: Selection, transform: Callable[[Any], Any] | None = None, optional: str = ""
    ) -> Informer[Any]:
        found = self._informers.get(chosen)
        if found is None:
            metrics = self._metrics.informer(str(chosen.resource))
            source = _Collection(self._client, chosen)
            reflector: Reflector[Any] = Reflector(
                chosen.resource,
                source,
                chosen.decoder(),
                metrics=metrics,
                streaming=True,
                transform=transform,
                optional=optional,
            )
            metrics.last_event_age.set_function(partial(self._longest_age, chosen.resource))
            metrics.last_version.set_function(partial(self._lowest_version, chosen.resource))
            found = self._informers[chosen] = Informer(reflector, Store())
            if self._group is not None:
                self._start(chosen, found)
        elif transform is not None and found.reflector.transform is not transform:
            raise ValueError(f"{chosen}: declare the transform with the first use of the kind")
        elif optional and found.reflector.optional != optional:
            raise ValueError(f"{chosen}: declare that it is optional with the first use of the kind")
        return found

    def _longest_age(self, resource: Resource) -> float:
        """Of all selections of a resource, since its metrics are one; -1 before the first answer to any."""
        return max(each.age() for each in self._reflectors(resource))

    def _lowest_version(self, resource: Resource) -> int:
        return min(each.version() for each in self._reflectors(resource))

    def _reflectors(self, resource: Resource) -> list[Reflector[Any]]:
        return [each.reflector for chosen, each in self._informers.items() if chosen.resource == resource]

    def _start(self, chosen: Selection, informer: Informer[Any]) -> None:
        if self._group is None:
            raise RuntimeError("informers start while the cache is running")
        # what it logs is not of whoever has declared it, perhaps in a reconcile
        beside, name = Context(), f"informer {chosen}"
        self._tasks.append(self._group.create_task(informer.follow(), name=name, context=beside))

    async def _all_synced(self) -> None:
        while not self.synced():
            for informer in tuple(self._informers.values()):
                await informer.synced.wait()


@dataclass(frozen=True, slots=True)
class _Collection:
    """A selection on the server, as a reflector follows it."""

    client: Client
    chosen: Selection

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        return await self.client.list_page(
            self.chosen.resource,
            namespace=self.chosen.namespace,
            label_selector=self.chosen.label_selector,
            field_selector=self.chosen.field_selector,
            limit=limit,
            continue_token=continue_token,
            metadata_only=self.chosen.metadata_only,
        )

    async def reachable(self) -> None:
        await self.client.reachable()

    def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        return self._watch(since, timeout_seconds)

    def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        return self._watch("", timeout_seconds, initial_events=True)

    def _watch(
        self, since: str, timeout_seconds: int, *, initial_events: bool = False
    ) -> AsyncGenerator[WatchMessage, None]:
        return self.client.watch(
            self.chosen.resource,
            namespace=self.chosen.namespace,
            label_selector=self.chosen.label_selector,
            field_selector=self.chosen.field_selector,
            resource_version=since,
            timeout_seconds=timeout_seconds,
            metadata_only=self.chosen.metadata_only,
            initial_events=initial_events,
        )
