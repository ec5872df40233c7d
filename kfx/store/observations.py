"""The observation store: what trials reported, in one SQLite file.

The semantics are those of Katib's database manager, with its defects mended: an empty report is
accepted, a repeated one is not doubled, rows of one time keep their order. SQL runs on threads of the
store's own, one that writes and a few that read, so the event loop never waits for the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from kfx.apis.common import MetricLog
from kfx.store.errors import BadTime
from kfx.store.queries import LogQuery, LogRow, delete_logs, insert_report, select_logs
from kfx.store.sqlite import explained, open_engines
from kfx.store.times import format_time, parse_time

READERS = 3
BUSY_TIMEOUT = 30.0

T = TypeVar("T")


class ObservationStore:
    """Reports of trials. Made by :meth:`open`; several processes may have the same file open."""

    def __init__(self, path: Path, writer: Engine, reader: Engine) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str | Path, *, busy_timeout: float = BUSY_TIMEOUT
    ) -> AsyncIterator["ObservationStore"]:
        """The store at ``path``; folder and table are made. ``busy_timeout`` is in seconds.

        What was submitted is finished before the file is closed. Raises StoreError naming
        ``--sqlite-path`` where the file cannot be written.
        """
        file = Path(path)
        opened = await asyncio.to_thread(open_engines, file, readers=READERS, busy_timeout=busy_timeout)
        store = cls(file, *opened)
        try:
            yield store
        finally:
            await asyncio.to_thread(store._close)

    async def report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None = None) -> None:
        """Appends values, all or none. On return they are on the disk.

        Values without a time stamp are left out; the namespace may be unknown. Raises BadTime,
        StoreError.
        """
        await self._run(self._writing, partial(self._report, trial, logs, namespace))

    async def get(
        self, trial: str, *, namespace: str | None = None, metric: str = "", start: str = "", end: str = ""
    ) -> list[MetricLog]:
        """The values of :meth:`fold`, all in memory at once."""
        metrics = (metric,) if metric else ()
        return await self.fold(trial, list, namespace=namespace, metrics=metrics, start=start, end=end)

    async def fold(
        self,
        trial: str,
        into: Callable[[Iterable[MetricLog]], T],
        *,
        namespace: str | None = None,
        metrics: Sequence[str] = (),
        start: str = "",
        end: str = "",
    ) -> T:
        """What ``into`` makes of a trial's values, in memory that does not grow with them.

        They come by time, then in the order they were reported; an unknown trial has none. ``into`` runs on a
        thread of the store. ``metrics``: the names that matter, empty for all. ``start`` and ``end`` are RFC
        3339 and inclusive. A namespace that has no rows of the trial gets those of unknown namespace. Raises
        BadTime, AmbiguousTrial (namespace None only), StoreError, and what ``into`` raises.
        """
        query = LogQuery(
            trial=trial,
            namespace=namespace,
            metrics=tuple(metrics),
            start=_parse("start", start) if start else None,
            end=_parse("end", end) if end else None,
        )
        return await self._run(self._reading, partial(self._fold, query, into))

    async def delete(self, trial: str, namespace: str | None = None) -> None:
        """Forgets a trial; one that has no rows is no error. Raises AmbiguousTrial, StoreError."""
        await self._run(self._writing, partial(self._delete, trial, namespace))

    async def ping(self) -> None:
        """Reads the table. Raises StoreError where that fails."""
        await self._run(self._reading, partial(self._fold, LogQuery(trial="", limit=1), list))

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None) -> None:
        rows = [
            LogRow(_parse("start", log.time_stamp), log.name, log.value) for log in logs if log.time_stamp
        ]
        with explained(self._path), self._writer.begin() as connection:
            insert_report(connection, trial, namespace, rows)

    def _fold(self, query: LogQuery, into: Callable[[Iterable[MetricLog]], T]) -> T:
        with explained(self._path), self._reader.connect() as connection:
            return into(
                MetricLog(time_stamp=format_time(row.time), name=row.metric_name, value=row.value)
                for row in select_logs(connection, query)
            )

    def _delete(self, trial: str, namespace: str | None) -> None:
        with explained(self._path), self._writer.begin() as connection:
            delete_logs(connection, trial, namespace)

    def _close(self) -> None:
        self._writing.shutdown()
        self._reading.shutdown()
        self._writer.dispose()
        self._reader.dispose()


def _parse(what: str, text: str) -> datetime:
    """:func:`parse_time`, its error worded as Katib words it. Raises BadTime."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise BadTime(what, text, str(error)) from None
