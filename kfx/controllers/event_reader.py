"""What others said about an object: the kubelet of a pod, the job controller of a Job."""

from dataclasses import replace
from typing import Protocol

import msgspec

from kfx.katib.hold_up import HoldUp
from kfx.kube.errors import ApiError, Forbidden, TransportError
from kfx.kube.listwatch import Page
from kfx.kube.resource import Resource
from kfx.runtime.events import EVENTS
from kfx.runtime.log import get_logger

log = get_logger(__name__)

MOST = 50  # events of one object that are looked at
LONGEST = 500  # characters of one that are quoted


class Pages(Protocol):
    """Lists past the cache: events are many, and hardly ever read."""

    async def list_page(
        self, resource: Resource, *, namespace: str = "", field_selector: str = "", limit: int = 500
    ) -> Page: ...


class _Event(msgspec.Struct, rename="camel"):
    message: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None

    def at(self) -> str:
        return self.last_timestamp or self.event_time or ""


_decode = msgspec.json.Decoder(_Event).decode


class EventReader:
    """Quotes the last warning about the object that holds up a trial.

    It never fails: without the right to list events, which Katib's own role does not give, or without an
    answer, the hold-up goes unexplained. A missing right is logged once, and that it is there again.
    """

    def __init__(self, client: Pages) -> None:
        self._client = client
        self._forbidden = False

    async def explain(self, namespace: str, hold_up: HoldUp) -> HoldUp:
        """The same with what was said about its object."""
        if not hold_up.about:
            return hold_up
        selector = f"involvedObject.uid={hold_up.about},type=Warning"
        try:
            page = await self._client.list_page(
                EVENTS, namespace=namespace, field_selector=selector, limit=MOST
            )
            found = [_decode(item) for item in page.items]
        except Forbidden as refused:
            self._say_forbidden(refused)
            return hold_up
        except (ApiError, TransportError, msgspec.DecodeError) as error:
            log.debug("events not read", namespace=namespace, about=hold_up.about, error=str(error))
            return hold_up
        if self._forbidden:
            self._forbidden = False
            log.info("events may be listed; trials quote them")
        last = max(found, key=_Event.at, default=None)
        return replace(hold_up, said=(last.message or "")[:LONGEST]) if last is not None else hold_up

    def _say_forbidden(self, refused: Forbidden) -> None:
        if not self._forbidden:
            self._forbidden = True
            log.warning(
                "events may not be listed; what holds up a trial is told without them",
                remedy='grant the rule {apiGroups: [""], resources: ["events"], verbs: ["list"]}',
                error=str(refused),
            )
