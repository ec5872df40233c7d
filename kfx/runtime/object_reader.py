"""From the text of an object to the object, whatever the text is."""

from collections.abc import Callable
from typing import Generic, TypeVar

from kfx.kube.decode import Raw, Undecodable
from kfx.kube.model import KubeObject, Unreadable
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import InformerMetrics

T = TypeVar("T", bound=KubeObject)

REMEMBERED_SKIPS = 1000

log = get_logger(__name__)


class ObjectReader(Generic[T]):
    """Decodes, and counts what does not decode; that is logged once per version of an object.

    ``transform`` is applied at once, so that what it drops is not in memory while a long list is read.
    """

    def __init__(
        self,
        decode: Callable[[Raw], T],
        metrics: InformerMetrics,
        transform: Callable[[T], T] | None = None,
    ) -> None:
        self._decode = decode
        self._transform = transform
        self._metrics = metrics
        self._skipped: dict[tuple[str, str], None] = {}

    def read(self, raw: Raw) -> T | Unreadable:
        """The object, or what stands in for one that does not decode; its name may be ``""``."""
        try:
            obj = self._decode(raw)
        except Undecodable as failed:
            self._tell(failed)
            return failed.stand_in
        return self._transform(obj) if self._transform is not None else obj

    def _tell(self, failed: Undecodable) -> None:
        self._metrics.undecodable.inc()
        version = (str(failed), failed.stand_in.metadata.resource_version)  # the text names the object
        if version in self._skipped:
            return
        self._skipped[version] = None
        if len(self._skipped) > REMEMBERED_SKIPS:
            del self._skipped[next(iter(self._skipped))]
        log.warning("object cannot be read; what was known of it stays", error=str(failed))
