"""What a database's error means for the administrator: one table for SQLite, one for PostgreSQL.

The one rule: errors that the asking code can cause and handle (a second row of one key) pass through untouched;
everything else becomes StateUnavailable with a reason that names no path, host or password.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from homeport.core.errors import StateUnavailable

BUSY = "it is busy; try again in a moment"
DAMAGED = "it is damaged; restore a backup"
MISSING = "its file is missing or cannot be opened"
READ_ONLY = "it is read-only"
FULL = "the disk is full"
DISK_FAILED = "the disk failed"
FORBIDDEN = "the database's user lacks a right"
NO_ANSWER = "the database server does not answer, or refuses the login"
REFUSED = "the database refused a statement"

_SQLITE = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_CANTOPEN: MISSING,
    sqlite3.SQLITE_PERM: MISSING,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: DISK_FAILED,
}

# SQLSTATE, PostgreSQL's appendix A; a class stands for all its members.
_SQLSTATE = {
    "25006": READ_ONLY,
    "40001": BUSY,
    "40P01": BUSY,
    "42501": FORBIDDEN,
    "53100": FULL,
    "53300": BUSY,
    "55P03": BUSY,
    "58030": DISK_FAILED,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
    "08": NO_ANSWER,
    "57P": NO_ANSWER,
}

_FOR_THE_CALLER = (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the database raises inside into StateUnavailable, chained to the cause."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StateUnavailable(BUSY) from error
    except sqlite3.Error as error:
        raise StateUnavailable(reason_of(error) or REFUSED) from error
    except exc.DBAPIError as error:
        reason = reason_of(error.orig)
        if reason is None and isinstance(error, _FOR_THE_CALLER):
            raise
        raise StateUnavailable(reason or REFUSED) from error


def reason_of(error: object) -> str | None:
    """The sentence for a driver's error; None for one that is in neither table."""
    if isinstance(error, sqlite3.Error):
        # Errors that the sqlite3 module raises by itself carry no code.
        return _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(error, "sqlstate", None)
    if state is None:  # psycopg gives none when there is no server to give one
        return NO_ANSWER
    return next((_SQLSTATE[state[:length]] for length in (5, 3, 2) if state[:length] in _SQLSTATE), None)
