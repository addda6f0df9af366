"""The database: SQLite in the instance folder, or PostgreSQL by URL, behind the same two verbs.

The one rule: every statement runs inside `read()` or `write()`. On SQLite a writer takes the write lock before it
looks at anything, so it never has to give up half-way; on PostgreSQL rows are guarded by `UPDATE ... WHERE ...
RETURNING`, which is atomic. A Database may be shared by threads, never across a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from homeport.core import state_faults
from homeport.core.errors import StateUnavailable
from homeport.core.migrations import HEAD
from homeport.core.sqlite_file import BUSY_TIMEOUT_S, SqliteFile

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_POOL_SIZE = 8
_POOL_OVERFLOW = 24
_IMMEDIATE = "homeport_immediate"
_MIGRATION_LOCK = 0x686F6D65706F7274  # PostgreSQL's advisory locks are 64-bit numbers: "homeport"


class Database:
    """An existing database, already at this version's schema; `open_database` makes sure of both.

    `url` is `sqlite:////absolute/path` or `postgresql://user:password@host/name`.
    Raises StateUnavailable for any other URL.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self._file = SqliteFile(parsed.database or "") if parsed.drivername == "sqlite" else None
        self._engine = _sqlite_engine(self._file) if self._file else _postgresql_engine(parsed)
        self._writing = self._engine.execution_options(**{_IMMEDIATE: True})
        # SQLite's own waiting is unfair polling; threads of one process queue here instead.
        self._turn = threading.Lock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction for looking: on SQLite one consistent moment. Changes made in it are dropped.

        Raises StateUnavailable when the database is missing, damaged, busy or gone.
        """
        with state_faults.translated():
            self._notice_replacement()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction for changing, committed when the block ends and undone when it raises. Never nest two.

        Raises StateUnavailable as `read` does, also when the commit fails; IntegrityError passes through.
        """
        with state_faults.translated(), self._next_writer():
            self._notice_replacement()
            with self._writing.begin() as connection:
                yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """The dialect's own insert, which knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
        # Imported when asked for: both together cost every start 50 ms.
        if self._file:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    def close(self) -> None:
        """Close the idle connections; those in use close when their block ends."""
        self._engine.dispose()

    def prepare(self) -> None:
        """Make the file where there is none and bring the schema to this version's; see `open_database`."""
        if self._file:
            self._file.create()
            with state_faults.translated():
                self._file.use_write_ahead_log()
        with self.write() as connection:
            if _revision(connection) != HEAD:
                self._migrate(connection)
            # A read-only database lets every transaction begin, and objects to the first statement that may change it.
            connection.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))

    def _migrate(self, connection: Connection) -> None:
        from homeport.core.migrations.upgrade import upgrade  # Alembic is slow to import and rarely needed

        if not self._file:  # on SQLite the transaction itself keeps other processes out
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        upgrade(connection, _revision(connection))

    @contextmanager
    def _next_writer(self) -> Iterator[None]:
        if not self._file:
            yield
            return
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise StateUnavailable(state_faults.BUSY)
        try:
            yield
        finally:
            self._turn.release()

    def _notice_replacement(self) -> None:
        if self._file and self._file.replaced():
            self._engine.dispose()


def open_database(url: str) -> Database:
    """The database at `url`, made if it is a missing SQLite file, migrated if it is older than this version.

    Several processes may do this at once. Raises StateUnavailable when it is read-only, damaged, not there, or made
    by a newer version.
    """
    database = Database(url)
    try:
        database.prepare()
    except BaseException:
        database.close()
        raise
    return database


def sqlite_url(path: str | os.PathLike[str]) -> str:
    """The URL of an SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=os.path.abspath(path)).render_as_string()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise StateUnavailable("its URL cannot be read; write sqlite:////path or postgresql://host/name") from error
    dialect = parsed.get_backend_name()
    if dialect == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if dialect != "sqlite":
        raise StateUnavailable(f"it can be SQLite or PostgreSQL, not {dialect}")
    if not parsed.database or parsed.database == ":memory:":
        raise StateUnavailable("an SQLite database needs a file, such as sqlite:////srv/homeport/state.db")
    return parsed.set(drivername="sqlite")


def _sqlite_engine(file: SqliteFile) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=file.connect,
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=BUSY_TIMEOUT_S,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,  # a restarted server costs no failed request
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_OVERFLOW,
            pool_timeout=BUSY_TIMEOUT_S,
            connect_args={"connect_timeout": int(BUSY_TIMEOUT_S)},
        )
    except ModuleNotFoundError as error:
        raise StateUnavailable("PostgreSQL needs its driver; install homeport[postgres]") from error

    @event.listens_for(engine, "connect")
    def wait_for_locks_as_sqlite_does(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        connection.commit()

    return engine


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
