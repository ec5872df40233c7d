"""``api.v1.beta1.DBManager``: the observation store for collectors, the SDK and Katib's own images.

Its messages name a trial but no namespace. The namespace comes from the caller's metadata, else from
the trials the process knows; a report is never refused for the want of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from grpc import StatusCode

from kfx.apis.common import MetricLog
from kfx.services.convert import (
    MalformedMessage,
    TooLarge,
    deleted_trial_from_wire,
    filter_from_wire,
    logs_to_wire,
    report_from_wire,
)
from kfx.services.rpc import MAX_MESSAGE, Call, Method, RpcFailure, beside
from kfx.store.errors import AmbiguousTrial, BadTime, StoreError
from kfx.store.observations import ObservationStore

MAX_ROWS = 500_000
"""Rows of one reply. Katib sends any number; this many already fill the largest message."""

NamespacesOf = Callable[[str], Sequence[str]]
"""The namespaces that have a trial of this name, as far as this process knows."""


def _none_known(_trial: str) -> Sequence[str]:
    return ()


class DBManager:
    """The service over one store."""

    name = "api.v1.beta1.DBManager"

    def __init__(self, store: ObservationStore, *, namespaces_of: NamespacesOf = _none_known) -> None:
        self._store = store
        self._namespaces_of = namespaces_of

    def methods(self) -> Mapping[str, Method]:
        """See :class:`kfx.services.rpc.Service`."""
        return {
            "ReportObservationLog": self.report,
            "GetObservationLog": self.get,
            "DeleteObservationLog": self.delete,
        }

    async def report(self, request: bytes, call: Call) -> bytes:
        """Stores a report. Codes: INVALID_ARGUMENT (a time, the trial's name), UNAVAILABLE (the store)."""
        with _failures():
            report = await beside(len(request), report_from_wire, request)
            if not report.trial:
                raise RpcFailure(StatusCode.INVALID_ARGUMENT, "trial_name is empty: name the trial")
            known = self._namespaces_of(report.trial) if call.namespace is None else (call.namespace,)
            await self._store.report(report.trial, report.logs, known[0] if len(known) == 1 else None)
        return b""

    async def get(self, request: bytes, call: Call) -> bytes:
        """A trial's values. Codes as :meth:`report`, FAILED_PRECONDITION for a name that two
        namespaces have, RESOURCE_EXHAUSTED for more than MAX_ROWS rows or MAX_MESSAGE bytes."""
        with _failures():
            wanted = filter_from_wire(request)
            return await self._store.fold(
                wanted.trial,
                partial(_encode, wanted.trial),
                namespace=self._namespace(wanted.trial, call),
                metrics=(wanted.metric,) if wanted.metric else (),
                start=wanted.start,
                end=wanted.end,
            )

    async def delete(self, request: bytes, call: Call) -> bytes:
        """Forgets a trial. Codes as :meth:`get`."""
        with _failures():
            trial = deleted_trial_from_wire(request)
            await self._store.delete(trial, self._namespace(trial, call))
        return b""

    def _namespace(self, trial: str, call: Call) -> str | None:
        if call.namespace is not None:
            return call.namespace
        known = self._namespaces_of(trial)
        if len(known) > 1:
            raise AmbiguousTrial(trial, list(known))
        return known[0] if known else None


def _encode(trial: str, logs: Iterable[MetricLog]) -> bytes:
    """On a thread of the store, as the rows come. Raises RpcFailure."""
    try:
        return logs_to_wire(logs, most_rows=MAX_ROWS, most_bytes=MAX_MESSAGE)
    except TooLarge as error:
        raise RpcFailure(
            StatusCode.RESOURCE_EXHAUSTED,
            f"trial {trial} has {error}: ask for less by metric_name, start_time or end_time",
        ) from None


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (BadTime, MalformedMessage) as error:
        raise RpcFailure(StatusCode.INVALID_ARGUMENT, str(error)) from error
    except AmbiguousTrial as error:
        raise RpcFailure(StatusCode.FAILED_PRECONDITION, str(error)) from error
    except StoreError as error:
        raise RpcFailure(StatusCode.UNAVAILABLE, str(error)) from error
