"""The file of an SQLite database: made, opened and watched. `state.py` decides what is done with it.

The one rule: never open and close the file by any way other than SQLite while SQLite has it open, because closing any
descriptor of a file drops all of the process's POSIX locks on it, SQLite's included.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from urllib.parse import quote

from homeport.core.errors import StateUnavailable

BUSY_TIMEOUT_S = 10.0
_WAL_ATTEMPTS = 200
_WAL_PAUSE_S = 0.05
_OWNER_ONLY = 0o600


class SqliteFile:
    """One database file. Its mode is kept at 0600, for it holds password verifiers."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._identity: tuple[int, int] | None = None

    def create(self) -> None:
        """Make an empty file where there is none, and close an existing one to everybody but its owner.

        Raises StateUnavailable when the folder is missing or the file belongs to somebody else.
        """
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _OWNER_ONLY))
        except FileExistsError:
            self._tighten()
        except OSError as error:
            raise StateUnavailable(f"its file cannot be made ({_name_of(error)})") from error

    def connect(self) -> sqlite3.Connection:
        """Open the existing file; statements begin and end transactions themselves, threads may share it in turn."""
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self._path))}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def use_write_ahead_log(self) -> None:
        """Let readers and the writer work side by side. The file remembers it, so this changes something only once.

        SQLite's busy timeout does not cover this change wholly, so two processes at their first run try again by hand.
        """
        connection = self.connect()
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            for _ in range(_WAL_ATTEMPTS - 1):
                try:
                    connection.execute("PRAGMA journal_mode = WAL")
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                        raise
                time.sleep(_WAL_PAUSE_S)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()

    def replaced(self) -> bool:
        """Whether another file stands at the path since the last call, so that open connections lead nowhere.

        Raises StateUnavailable when no file is there: SQLite would go on writing to the removed one.
        """
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise StateUnavailable("its file is missing; restore a backup") from error
        before, self._identity = self._identity, (status.st_dev, status.st_ino)
        return before not in (None, self._identity)

    def _tighten(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            path = self._path + suffix
            try:
                mode = os.stat(path).st_mode
                if not stat.S_ISREG(mode):
                    raise StateUnavailable("its path is not a regular file's")
                if stat.S_IMODE(mode) & ~_OWNER_ONLY:
                    os.chmod(path, _OWNER_ONLY)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnavailable("its file can be read by others, and belongs to another user") from error


def _name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown")
