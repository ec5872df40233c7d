"""Events as the API server lists them, for those who quote them."""

import msgspec

from kfx.kube.errors import ApiError
from kfx.kube.listwatch import Page
from kfx.kube.resource import Resource
from tests.unit.controllers.parts import KEY


class Events:
    """Events by the uid of their object, each ``(time, message)``; may refuse as the API server would."""

    def __init__(self, *told: tuple[str, str], about: str = "", refusal: ApiError | None = None) -> None:
        self.told, self.about, self.refusal = told, about, refusal
        self.asked: list[str] = []

    async def list_page(
        self, resource: Resource, *, namespace: str = "", field_selector: str = "", limit: int = 500
    ) -> Page:
        self.asked.append(field_selector)
        if self.refusal:
            raise self.refusal
        assert (resource.kind, namespace) == ("Event", KEY.namespace)
        uid = field_selector.removeprefix("involvedObject.uid=").removesuffix(",type=Warning")
        found = self.told if uid == self.about else ()
        items = [msgspec.json.encode({"lastTimestamp": at, "message": text}) for at, text in found]
        return Page("1", "", items[:limit])
