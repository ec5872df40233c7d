"""What handlers read, out of a dictionary; and requests to them."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from kfx.kube.decode import decoder_for
from kfx.kube.errors import ApiError, NotFound
from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.runtime.admission import AdmissionRequest

T = TypeVar("T", bound=KubeObject)

Answer = Mapping[str, Any] | Exception


class Documents:
    """Answers by kind and name, with an error where one is stored; ``reads`` tells what was asked for."""

    def __init__(self, answers: Mapping[tuple[str, str], Answer] | None = None) -> None:
        self._answers = dict(answers or {})
        self.reads: list[tuple[str, str, str]] = []

    def tell(self, key: tuple[str, str], answer: Answer) -> None:
        """From now on another answer."""
        self._answers[key] = answer

    async def request(self, method: str, path: str) -> Mapping[str, Any]:
        """A GET beside all kinds; its answer is stored under no kind."""
        assert method == "GET"
        return await self.get_document(Resource("", "", "", ""), path, "", key=("", path))

    async def get_document(
        self, resource: Resource, namespace: str, name: str, *, key: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        self.reads.append((resource.kind, namespace, name))
        answer = self._answers.get(key or (resource.kind, name))
        if answer is None:
            raise NotFound(f"{resource} {name!r} not found", status=404, reason="NotFound")
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def get(self, kind: type[T], namespace: str, name: str) -> T:
        document = await self.get_document(kind.resource, namespace, name)
        return decoder_for(kind)(msgspec.json.encode(document))


def refusal(kind: type[ApiError], status: int) -> ApiError:
    """An error of the API server."""
    return kind("refused", status=status, reason=kind.__name__)


def request(
    document: Mapping[str, Any], old: Mapping[str, Any] | None = None, *, namespace: str = "user"
) -> AdmissionRequest:
    """A creation, or an update where there is an ``old`` object."""
    return AdmissionRequest(
        uid="u",
        namespace=namespace,
        operation="UPDATE" if old is not None else "CREATE",
        object=msgspec.Raw(msgspec.json.encode(document)),
        old_object=msgspec.Raw(msgspec.json.encode(old)) if old is not None else msgspec.Raw(b""),
    )
