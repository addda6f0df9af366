"""Which processes share the database, and which of them are dead: a dead one's accounts must be recounted.

The one rule: a living process is never taken for dead because it is slow. On one machine a lock on a file tells,
which the kernel drops with the process; only between machines does the heartbeat's age decide.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Row, delete, exists, select, update

from homeport.core.errors import StorageFailed
from homeport.core.schema import leases, processes
from homeport.core.state import Database

DEAD_AFTER_S = 60.0
_ID_LENGTH = 40


def boot_id() -> str:
    """The kernel's name for this run of the machine; empty where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Processes:
    """This process's entry and its judgement of the others.

    `label` is for people; `id` adds random digits, so that no process ever inherits a dead one's leases. The entry is
    made by the first `register`. `folder` holds the lock files (None: heartbeats alone). The lock belongs to the open
    file: a process that forks after `register` shares it with its child.
    """

    def __init__(
        self,
        database: Database,
        label: str,
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        boot: str | None = None,
    ) -> None:
        self.id = f"{label[:_ID_LENGTH]}-{secrets.token_hex(6)}"
        self._database = database
        self._folder = folder
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._host = os.uname().nodename
        self._lock: int | None = None

    def register(self) -> None:
        """Make this process's entry, or make it again after another took it for dead. Raises StorageFailed."""
        if self._folder is not None and self._lock is None:
            self._lock = self._make_lock(self._folder)
        entry = {"id": self.id, "host": f"{self._host}/{self._boot}", "pid": os.getpid()}
        values = {**entry, "heartbeat_at": self._clock()}
        insert = self._database.insert(processes).values(values)
        with self._database.write() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[processes.c.id], set_=values))

    def beat(self) -> bool:
        """Show processes on other machines that this one lives; False when one has taken it for dead meanwhile."""
        with self._database.write() as connection:
            found = connection.execute(
                update(processes).where(processes.c.id == self.id).values(heartbeat_at=self._clock()),
            )
        return found.rowcount > 0

    def alive(self, process_id: str) -> bool:
        """Whether the process may still change files."""
        if process_id == self.id:
            return True
        with self._database.read() as connection:
            row = connection.execute(select(processes).where(processes.c.id == process_id)).one_or_none()
        return row is not None and self._lives(row)

    def dead(self) -> dict[str, bool]:
        """The dead processes by id; True where the machine restarted since: their last notes may be lost."""
        with self._database.read() as connection:
            rows = connection.execute(select(processes).where(processes.c.id != self.id)).all()
        return {row.id: self._rebooted(row) for row in rows if not self._lives(row)}

    def forget(self, process_ids: list[str]) -> None:
        """Remove the entries of dead processes that have no leases left, and their lock files."""
        with self._database.write() as connection:
            removed = connection.scalars(
                delete(processes)
                .where(processes.c.id.in_(process_ids), ~exists().where(leases.c.process_id == processes.c.id))
                .returning(processes.c.id),
            ).all()
        if self._folder is not None:
            for process_id in removed:
                self._path(process_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove this process's entry; one that still has leases is left for others to recount."""
        self.forget([self.id])
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make_lock(self, folder: Path) -> int:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._path(self.id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise StorageFailed(errno.errorcode.get(error.errno or 0, "unknown")) from error
        return lock

    def _path(self, process_id: str) -> Path:
        assert self._folder is not None
        return self._folder / f"process-{process_id}.lock"

    def _lives(self, row: Row[tuple[object, ...]]) -> bool:
        locked = self._locked(row.id)
        if locked is not None:
            return locked
        if self._rebooted(row):
            return False
        return bool(self._clock() - row.heartbeat_at < DEAD_AFTER_S)

    def _rebooted(self, row: Row[tuple[object, ...]]) -> bool:
        host, _, boot = str(row.host).rpartition("/")
        return host == self._host and boot != self._boot

    def _locked(self, process_id: str) -> bool | None:
        """Whether somebody holds the process's lock file; None when there is no such file here."""
        if self._folder is None:
            return None
        try:
            file = os.open(self._path(process_id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False
