"""The instance folder: where everything of one server lies. One rule: it is private (0700), and one server uses it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from homeport.config.load import FILE_NAME
from homeport.config.model import Settings
from homeport.daemon.errors import AlreadyRunning, InstanceUnusable

DEFAULT_DIRECTORY = "homeport-data"
ENVIRONMENT = "HOMEPORT_DIR"
FOLDERS = ("tls", "ssh", "logs", "run")
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Instance:
    """The paths below `directory`, which is absolute."""

    directory: Path

    @classmethod
    def at(cls, directory: str | os.PathLike[str] | None) -> Instance:
        """The instance in `directory`, else in `$HOMEPORT_DIR`, else in `./homeport-data`."""
        chosen = directory or os.environ.get(ENVIRONMENT) or DEFAULT_DIRECTORY
        return cls(Path(os.path.abspath(chosen)))

    @property
    def config_file(self) -> Path:
        return self.directory / FILE_NAME

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def state_file(self) -> Path:
        return self.directory / "state.db"

    @property
    def audit_log(self) -> Path:
        return self.directory / "logs" / "audit.jsonl"

    @property
    def xferlog(self) -> Path:
        return self.directory / "logs" / "xferlog"

    def database_url(self, settings: Settings) -> str:
        """The database that `settings` name, else state.db."""
        from homeport.core.state import sqlite_url

        return settings.database.url or sqlite_url(self.state_file)

    def path(self, relative: str) -> Path:
        """`relative` below the instance folder; an absolute path stays as it is."""
        return self.directory / relative

    @property
    def exists(self) -> bool:
        """Whether there is one: settings or a state lie in its folder, or it has the folders that every start makes."""
        return any(os.path.exists(path) for path in (self.config_file, self.state_file, self.run))

    def create(self, settings: Settings) -> None:
        """Make the folders that are missing, all 0700. An existing instance folder that others may write is refused.

        Raises InstanceUnusable.
        """
        try:
            self._make(self.directory)
            for folder in (*FOLDERS, settings.storage.homes, settings.storage.stage):
                self._make(self.path(folder))
        except OSError as error:
            raise InstanceUnusable(str(self.directory), _reason(error)) from error
        self._refuse_strangers()

    def _make(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)

    def _refuse_strangers(self) -> None:
        found = self.directory.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise InstanceUnusable(str(self.directory), f"it belongs to user {found.st_uid}; run as that user")
        if found.st_mode & 0o022:
            raise InstanceUnusable(str(self.directory), f"others may write in it; run chmod 700 {self.directory}")

    def wait_until_free(self) -> None:
        """Wait until the server that has this instance is gone."""
        with open(self.run / "server.lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the instance for one server. Raises AlreadyRunning when another has it, InstanceUnusable."""
        try:
            fd = os.open(self.run / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InstanceUnusable(str(self.directory), _reason(error)) from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(str(self.directory), _pid_in(fd)) from None
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(fd)


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _reason(error: OSError) -> str:
    user = f"this process runs as user {os.geteuid()}"
    return f"{error.strerror} ({error.filename}); {user}" if error.filename else f"{error.strerror}; {user}"
