"""One change in a cache."""

from typing import Generic, TypeVar

import msgspec

from kfx.kube.model import KubeObject

T_co = TypeVar("T_co", bound=KubeObject, covariant=True)


class Event(msgspec.Struct, Generic[T_co], frozen=True, gc=False):
    """``old is None``: it arrived. ``new is None``: it is gone. ``listed``: it came with a list."""

    old: T_co | None
    new: T_co | None
    listed: bool = False

    @property
    def obj(self) -> T_co:
        """The newest state there is."""
        found = self.new if self.new is not None else self.old
        if found is None:
            raise ValueError("an Event carries at least one state")
        return found
