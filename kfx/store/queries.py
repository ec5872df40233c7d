"""The statements, each within a transaction of its caller."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.engine import Connection

from kfx.store.errors import AmbiguousTrial
from kfx.store.schema import observation_logs

ROWS_PER_STATEMENT = 1_000

_row = observation_logs.c


class LogRow(NamedTuple):
    """One value as it is stored."""

    time: datetime
    metric_name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which rows of a trial are wanted; an empty field filters nothing. Bounds are inclusive."""

    trial: str
    namespace: str | None = None
    metrics: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    limit: int | None = None


def insert_report(connection: Connection, trial: str, namespace: str | None, rows: Sequence[LogRow]) -> bool:
    """Appends a report, unless it repeats the trial's last one. Says whether it was appended.

    A collector whose call was cut off after the commit sends the same report again. Only the *last*
    report counts: the same values in the same order right behind themselves change neither minimum,
    maximum nor latest, whereas dropping a report equal to an earlier one could change the latest.
    """
    if not rows or _is_last_report(connection, trial, namespace, rows):
        return False
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        connection.execute(
            insert(observation_logs),
            [
                {
                    "trial_name": trial,
                    "namespace": namespace,
                    "time": row.time,
                    "metric_name": row.metric_name,
                    "value": row.value,
                }
                for row in rows[start : start + ROWS_PER_STATEMENT]
            ],
        )
    return True


def _is_last_report(
    connection: Connection, trial: str, namespace: str | None, rows: Sequence[LogRow]
) -> bool:
    newest = (
        select(_row.time, _row.metric_name, _row.value)
        .where(_row.trial_name == trial, _row.namespace == namespace)
        .order_by(_row.id.desc())
    )
    last = connection.execute(newest.limit(1)).first()
    if last is None or tuple(last) != rows[-1]:  # nearly always: spares reading the rest
        return False
    stored = connection.execute(newest.limit(len(rows))).all()
    return [tuple(row) for row in reversed(stored)] == list(rows)


def select_logs(connection: Connection, query: LogQuery) -> Iterator[LogRow]:
    """Rows by time, those of one time in the order they came. Raises AmbiguousTrial."""
    wanted = [_row.trial_name == query.trial, *_in_namespace(connection, query.trial, query.namespace)]
    if query.metrics:
        wanted.append(_row.metric_name.in_(query.metrics))
    if query.start is not None:
        wanted.append(_row.time >= query.start)
    if query.end is not None:
        wanted.append(_row.time <= query.end)
    statement = (
        select(_row.time, _row.metric_name, _row.value)
        .where(*wanted)
        .order_by(_row.time, _row.id)
        .limit(query.limit)
        .execution_options(yield_per=ROWS_PER_STATEMENT)
    )
    for time, metric_name, value in connection.execute(statement):
        yield LogRow(time, metric_name, value)


def _in_namespace(connection: Connection, trial: str, namespace: str | None) -> list[ColumnElement[bool]]:
    """The exact namespace where it has rows, else the rows of unknown namespace."""
    if namespace is None:
        _refuse_ambiguous(connection, trial)
        return []
    named = select(_row.id).where(_row.trial_name == trial, _row.namespace == namespace).limit(1)
    if connection.execute(named).first() is not None:
        return [_row.namespace == namespace]
    return [_row.namespace.is_(None)]


def _refuse_ambiguous(connection: Connection, trial: str) -> None:
    of_trial = _row.trial_name == trial
    first = connection.execute(select(func.min(_row.namespace)).where(of_trial)).scalar()
    last = connection.execute(select(func.max(_row.namespace)).where(of_trial)).scalar()
    if first is not None and last is not None and first != last:
        raise AmbiguousTrial(trial, [first, last])


def delete_logs(connection: Connection, trial: str, namespace: str | None) -> None:
    """Forgets a trial, with the rows whose namespace is unknown. Raises AmbiguousTrial."""
    wanted: list[ColumnElement[bool]] = [_row.trial_name == trial]
    if namespace is None:
        _refuse_ambiguous(connection, trial)
    else:
        wanted.append(or_(_row.namespace == namespace, _row.namespace.is_(None)))
    connection.execute(delete(observation_logs).where(*wanted))
