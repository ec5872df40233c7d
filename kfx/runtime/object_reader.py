"""From the text of an object to the object, whatever the text is."""

from collections.abc import Callable
from typing import Generic, TypeVar

from kfx.kube.decode import ObjectHead, Raw, Undecodable
from kfx.kube.model import KubeObject
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import InformerMetrics

T = TypeVar("T", bound=KubeObject)

REMEMBERED_SKIPS = 1000

log = get_logger(__name__)


class ObjectReader(Generic[T]):
    """Decodes, and counts what does not decode; that is logged once per version of an object."""

    def __init__(self, decode: Callable[[Raw], T], metrics: InformerMetrics) -> None:
        self._decode = decode
        self._metrics = metrics
        self._skipped: dict[tuple[str, str], None] = {}

    def read(self, raw: Raw) -> tuple[T | None, ObjectHead]:
        """The object, ``None`` where it does not decode, and what identifies it."""
        try:
            obj = self._decode(raw)
        except Undecodable as failed:
            self._skip(failed)
            return None, failed.head
        meta = obj.metadata
        return obj, ObjectHead(meta.name, meta.namespace, meta.resource_version)

    def _skip(self, failed: Undecodable) -> None:
        self._metrics.undecodable.inc()
        version = (str(failed), failed.head.resource_version)  # the text names the object
        if version in self._skipped:
            return
        self._skipped[version] = None
        if len(self._skipped) > REMEMBERED_SKIPS:
            del self._skipped[next(iter(self._skipped))]
        log.warning("object skipped; what was known of it stays", error=str(failed))
