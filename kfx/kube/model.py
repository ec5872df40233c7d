"""The base of every wire type, and the metadata all objects share.

A type declares the fields that are read; everything else is never in memory. A decoded object is
therefore never written back whole: writes are creations of composed manifests, patches and deletions.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

import msgspec

from kfx.kube.resource import Resource

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC, whole seconds."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A value read from, or written to, the API server; never changed in place."""


class OwnerReference(Model, kw_only=True):
    """A reference to the object another object depends on."""

    api_version: str
    """Group and version of the owner."""
    kind: str
    """Kind of the owner."""
    name: str
    """Name of the owner."""
    uid: str
    """UID of the owner: another object of the same name is not meant."""
    controller: bool | None = None
    """Whether this owner manages the object; at most one does."""
    block_owner_deletion: bool | None = None
    """Whether the owner, deleted in the foreground, waits for this object to go."""


class ObjectMeta(Model, kw_only=True):
    """The metadata fields that are read."""

    name: str = ""
    """Unique among the objects of the kind in the namespace."""
    namespace: str = ""
    """Where the object is."""
    uid: str = ""
    """Unique for all time; given by the API server."""
    resource_version: str = ""
    """Changes with each write; given by the API server."""
    generation: int = 0
    """Counts the changes of the specification; given by the API server."""
    creation_timestamp: Time | None = None
    """When the object was made."""
    deletion_timestamp: Time | None = None
    """When its deletion was asked for; it is there until the last finalizer is gone."""
    labels: Mapping[str, str] | None = None
    """What objects are selected by."""
    annotations: Mapping[str, str] | None = None
    """Further texts about the object."""
    owner_references: tuple[OwnerReference, ...] | None = None
    """The objects without which this one is collected as garbage."""
    finalizers: tuple[str, ...] | None = None
    """Who has to do something before the object goes."""

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if one does."""
        return next((o for o in self.owner_references or () if o.controller), None)

    def label(self, key: str) -> str:
        """The value of one label, ``""`` where it is absent."""
        return (self.labels or {}).get(key, "")


class Condition(Model, kw_only=True):
    """One entry of ``status.conditions``. Times are RFC 3339, UTC, whole seconds."""

    type: str
    """What the condition is about; one entry for each."""
    status: str
    """``True``, ``False`` or ``Unknown``."""
    reason: str = ""
    """Why, in one word."""
    message: str = ""
    """Why, in a sentence."""
    last_update_time: Time | None = None
    """When the entry was last written."""
    last_transition_time: Time | None = None
    """When the status last changed."""


class KubeObject(Model, kw_only=True):
    """An object of one kind; ``resource`` says which."""

    resource: ClassVar[Resource]
    metadata: ObjectMeta
    """What objects of all kinds have."""

    @property
    def key(self) -> tuple[str, str]:
        """``(namespace, name)``."""
        return self.metadata.namespace, self.metadata.name

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.metadata.namespace}/{self.metadata.name}"


class Unstructured(KubeObject, kw_only=True):
    """An object of a kind named only at run time: typed metadata, the rest as its JSON bytes.

    ``raw`` is the whole object without ``metadata.managedFields``.
    """

    api_version: str
    kind: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.kind} {self.metadata.namespace}/{self.metadata.name}"

    def document(self) -> dict[str, Any]:
        """The whole object, decoded anew at each call, so the caller may change it."""
        found: dict[str, Any] = msgspec.json.decode(self.raw)
        return found


class PartialObjectMetadata(KubeObject, kw_only=True):
    """Any object's metadata, where nothing else of it was asked for."""

    def __str__(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"


class ConditionsOnly(Model, kw_only=True):
    """What most kinds have in common in their status."""

    conditions: tuple[Condition, ...] = ()


class Unreadable(KubeObject, kw_only=True):
    """Stands in for an object that is not of its declared shape: as much as can be read of any kind.

    ``problem``: what is wrong with the rest. Each kind has a subclass, by :func:`unreadable_kind`.
    """

    problem: str
    status: ConditionsOnly = ConditionsOnly()


@cache
def unreadable_kind(of: Resource) -> type[Unreadable]:
    """The stand-in's type for one kind, so that it can be patched as an object of that kind."""

    class Found(Unreadable, kw_only=True):
        resource: ClassVar[Resource] = of

    return Found


T = TypeVar("T", bound=KubeObject)


def to_builtins(value: Model) -> dict[str, Any]:
    """The JSON form of a model: defaults left out, names in camelCase."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found
