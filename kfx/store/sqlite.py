"""Engines on one SQLite file that several threads and several processes may share.

WAL lets readers go on beside the writer. ``synchronous=FULL`` makes every commit wait for the disk:
a report is hours of training, and what was acknowledged must survive the loss of the whole node, not
only of the process.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from kfx.store.errors import StoreError
from kfx.store.schema import observation_logs

OPEN_ATTEMPTS = 20
RETRY_SECONDS = 0.1


def open_engines(path: Path, *, readers: int, busy_timeout: float) -> tuple[Engine, Engine]:
    """The writer's engine (one connection) and the readers'; the table exists afterwards.

    ``busy_timeout`` is in seconds: how long a statement waits for a lock of another process.
    Raises StoreError naming ``--sqlite-path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(_not_writable(path, f"its folder cannot be made: {error.strerror}")) from error
    writer = _engine(path, connections=1, busy_timeout=busy_timeout, begin="BEGIN IMMEDIATE")
    reader = _engine(path, connections=readers, busy_timeout=busy_timeout, begin="BEGIN")
    try:
        _switch_to_wal(writer)
        _create_table(writer)
    except (DBAPIError, sqlite3.Error) as error:
        writer.dispose()
        raise StoreError(_not_writable(path, _reason(error))) from error
    return writer, reader


def _engine(path: Path, *, connections: int, busy_timeout: float, begin: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
    )

    # The driver would begin transactions at a time of its own choosing. A transaction that reads
    # first and writes later must hold the write lock from its start, or it fails at once when
    # another process wrote in between.
    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _switch_to_wal(writer: Engine) -> None:
    """WAL is a property of the file. Of several processes that open a new one, SQLite lets one switch
    it and refuses the others without waiting, so they ask again."""
    for attempt in range(OPEN_ATTEMPTS):
        try:
            with writer.connect() as connection:
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)  # noqa: S101 — narrows the type
                driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == OPEN_ATTEMPTS - 1:
                raise
            time.sleep(RETRY_SECONDS)


def _create_table(writer: Engine) -> None:
    with writer.begin() as connection:
        connection.execute(CreateTable(observation_logs, if_not_exists=True))
        for index in sorted(observation_logs.indexes, key=lambda index: str(index.name)):
            connection.execute(CreateIndex(index, if_not_exists=True))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns a driver's error into a StoreError that says what to look at."""
    try:
        yield
    except DBAPIError as error:
        reason = _reason(error)
        raise StoreError(f"observation store {path}: {reason}; {_remedy(reason)}") from error


def _reason(error: Exception) -> str:
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


def _remedy(reason: str) -> str:
    if "locked" in reason:
        return "another process holds its write lock: end what else uses the file"
    if "full" in reason:
        return "free or enlarge the volume behind --sqlite-path"
    return "check the volume behind --sqlite-path, or name another file"


def _not_writable(path: Path, reason: str) -> str:
    remedy = "make the folder writable for this user, or name a file in a folder that is"
    return f"--sqlite-path {path}: {reason}; {_remedy(reason) if 'locked' in reason else remedy}"
