"""The statements, each within a transaction of its caller."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.engine import Connection

from kfx.store.errors import AmbiguousTrial
from kfx.store.schema import observation_logs

ROWS_PER_STATEMENT = 1_000

_row = observation_logs.c
_INSERT = insert(observation_logs)
_OF_TRIAL = _row.trial_name == bindparam("trial")


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
            _INSERT,
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
    newest, of = _newest(namespace is not None), {"trial": trial, "namespace": namespace}
    last = connection.execute(newest, {**of, "limit": 1}).first()
    if last is None or tuple(last) != rows[-1]:  # nearly always: spares reading the rest
        return False
    stored = connection.execute(newest, {**of, "limit": len(rows)}).all()
    return [tuple(row) for row in reversed(stored)] == list(rows)


def select_logs(connection: Connection, query: LogQuery) -> Iterator[LogRow]:
    """Rows by time, those of one time in the order they came. Raises AmbiguousTrial.

    A namespace that has no rows of the trial gets those of unknown namespace.
    """
    if query.namespace is None:
        _refuse_ambiguous(connection, query.trial)
    asked = {
        "namespace": query.namespace,
        "metrics": query.metrics or None,
        "start": query.start,
        "end": query.end,
        "limit": query.limit,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    statement = _logs(frozenset(given))
    for time, metric_name, value in connection.execute(statement, {"trial": query.trial, **given}):
        yield LogRow(time, metric_name, value)


@cache
def _newest(known: bool) -> Select[datetime, str, str]:
    """Statements are made once: making one costs more than SQLite needs to answer it."""
    namespace = _row.namespace == bindparam("namespace") if known else _row.namespace.is_(None)
    of_trial = select(_row.time, _row.metric_name, _row.value).where(_OF_TRIAL, namespace)
    return of_trial.order_by(_row.id.desc()).limit(bindparam("limit"))


@cache
def _logs(given: frozenset[str]) -> Select[datetime, str, str]:
    """The statement for these bounds, which are its parameters' names."""
    bounds: dict[str, Callable[[], ColumnElement[bool]]] = {
        "namespace": _in_namespace,
        "metrics": lambda: _row.metric_name.in_(bindparam("metrics", expanding=True)),
        "start": lambda: _row.time >= bindparam("start"),
        "end": lambda: _row.time <= bindparam("end"),
    }
    wanted = [bound() for name, bound in bounds.items() if name in given]
    return (
        select(_row.time, _row.metric_name, _row.value)
        .where(_OF_TRIAL, *wanted)
        .order_by(_row.time, _row.id)
        .limit(bindparam("limit") if "limit" in given else None)
        .execution_options(yield_per=ROWS_PER_STATEMENT)
    )


def _in_namespace() -> ColumnElement[bool]:
    """The exact namespace where it has rows, else the rows of unknown namespace."""
    exact: BindParameter[str] = bindparam("namespace")
    other = observation_logs.alias()
    named = exists().where(other.c.trial_name == bindparam("trial"), other.c.namespace == exact)
    return or_(_row.namespace == exact, and_(_row.namespace.is_(None), ~named))


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
