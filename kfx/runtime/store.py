"""The objects of one kind, by key and by index. Written by the informer alone; everybody else reads."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from kfx.kube.model import KubeObject, Unreadable
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request

T = TypeVar("T", bound=KubeObject)

# the values under which an object is found; pure, and it must not raise, whatever the object holds
IndexFunc = Callable[[T], Iterable[str]]


class Lister(Protocol[T]):
    """The read side: synchronous, never a request to the server. Objects are shared and never changed."""

    @property
    def problem(self) -> str | None:
        """The right that is missing to follow an optional kind, which seems empty; ``None`` where none is."""
        ...

    def get(self, key: Request) -> T | None:
        """The object, ``None`` if it is not there."""
        ...

    def unreadable(self, key: Request) -> Unreadable | None:
        """What stands in for an object whose newest state does not decode.

        :meth:`get` and all others still give its last state that did, if there was one.
        """
        ...

    def by_index(self, index: str, value: str) -> list[T]:
        """The objects with that value, in the order in which they got it; ``KeyError`` if undeclared."""
        ...

    def all(self) -> list[T]:
        """Every object, in the order of arrival."""
        ...

    def keys(self) -> list[Request]:
        """Every key, in the order of arrival."""
        ...

    def __len__(self) -> int: ...


class Store(Generic[T]):
    """The write side; only the informer holds it as a Store."""

    def __init__(self, indexers: Mapping[str, IndexFunc[T]] | None = None) -> None:
        self._indexers: dict[str, IndexFunc[T]] = {}
        self.problem: str | None = None
        self._items: dict[Request, T] = {}
        self._unreadable: dict[Request, Unreadable] = {}
        self._indices: dict[str, dict[str, dict[Request, None]]] = {}
        self.add_indexers(indexers or {})

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Request) -> T | None:
        return self._items.get(key)

    def unreadable(self, key: Request) -> Unreadable | None:
        return self._unreadable.get(key)

    def all_unreadable(self) -> list[Unreadable]:
        """Every stand-in, in the order of arrival."""
        return list(self._unreadable.values())

    def by_index(self, index: str, value: str) -> list[T]:
        return [self._items[key] for key in self._indices[index].get(value, ())]

    def all(self) -> list[T]:
        return list(self._items.values())

    def keys(self) -> list[Request]:
        return list(self._items)

    def add_indexers(self, indexers: Mapping[str, IndexFunc[T]]) -> None:
        """Also index what is there already. ``ValueError`` if a name stands for another function."""
        for name, func in indexers.items():
            known = self._indexers.setdefault(name, func)
            if known is not func:
                raise ValueError(f"index {name!r} is declared twice, with different functions")
            if name not in self._indices:
                self._indices[name] = {}
                for key, obj in self._items.items():
                    self._move(name, key, None, obj)

    def put(self, obj: T, *, listed: bool = False) -> Event[T]:
        """Take the newest state of one object."""
        key = Request(obj.metadata.namespace, obj.metadata.name)
        old = self._items.get(key)
        for name in self._indexers:
            self._move(name, key, old, obj)
        self._items[key] = obj
        if self._unreadable:
            self._unreadable.pop(key, None)
        return Event(old, obj, listed)

    def put_unreadable(self, obj: Unreadable, *, listed: bool = False) -> Event[Unreadable]:
        """Take what can be read of an object's newest state; the last readable one stays beside it."""
        key = Request(obj.metadata.namespace, obj.metadata.name)
        old, self._unreadable[key] = self._unreadable.get(key), obj
        return Event(old, obj, listed)

    def drop_unreadable(self, key: Request, *, listed: bool = False) -> Event[Unreadable] | None:
        """Forget a stand-in. ``None`` if there was none."""
        old = self._unreadable.pop(key, None)
        return Event(old, None, listed) if old is not None else None

    def drop(self, key: Request, last: T | None = None, *, listed: bool = False) -> Event[T] | None:
        """Forget an object; ``last`` is its final state where known. ``None`` if it was not there."""
        old = self._items.pop(key, None)
        if old is None:
            return None
        for name in self._indexers:
            self._move(name, key, old, None)
        return Event(last if last is not None else old, None, listed)

    def missing_from(self, keys: Collection[Request]) -> list[Request]:
        """The keys here that are not among ``keys``, which should answer ``in`` quickly."""
        held = self._items | self._unreadable if self._unreadable else self._items  # seldom worth a copy
        return [key for key in held if key not in keys]

    def _move(self, name: str, key: Request, old: T | None, new: T | None) -> None:
        func, index = self._indexers[name], self._indices[name]
        before = dict.fromkeys(func(old) if old is not None else ())
        after = dict.fromkeys(func(new) if new is not None else ())
        if before == after:
            return
        for value in before:
            if value not in after:
                keys = index[value]
                keys.pop(key, None)
                if not keys:
                    del index[value]
        for value in after:
            index.setdefault(value, {})[key] = None
