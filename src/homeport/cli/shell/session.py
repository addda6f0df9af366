"""Where the shell is: server, folders on both sides, and the connection that its commands use.

The rule: a connection that has been idle is looked at before it is used, and made again when the server has given it
up; no command that changes anything is ever sent twice.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from homeport.cli.remote_paths import resolve
from homeport.cli.shell.words import Word
from homeport.cli.terminal import printable, say
from homeport.client.errors import ClientError, ConnectionFailed, UsageError

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.cli.connection_options import Moving
    from homeport.cli.shell.background import Jobs
    from homeport.client.remote import Remote
    from homeport.client.url import RemoteUrl

LOOK_AFTER_S = 15.0


class Session:
    """One shell. Used by the thread that runs commands."""

    def __init__(
        self, connector: Connector, url: RemoteUrl, moving: Moving, jobs: Jobs, *, interactive: bool = True
    ) -> None:
        self.connector = connector
        self.url = url
        self.moving = moving
        self.jobs = jobs
        self.interactive = interactive
        self.folder = "/"
        self.previous: str | None = None
        self.local = Path.cwd()
        self.ended = False
        self.forget_names: Callable[[], None] = lambda: None
        self._remote: Remote | None = None
        self._used_at = 0.0
        self._clock: Callable[[], float] = time.monotonic

    def begin(self) -> None:
        """Connect, and go to the URL's folder, or to where the login leads. Raises ClientError."""
        with self.remote() as remote:
            self.folder = self.url.path if self.url.path != "/" else remote.working_directory()
            self.folder = resolve("/", self.folder)
            if self.folder != "/" and not remote.stat(self.folder).is_directory:
                raise UsageError(f"{self.folder} is no folder; `homeport get` fetches files")

    @contextmanager
    def remote(self) -> Iterator[Remote]:
        """The connection, for one command. One that breaks or is left in the middle is not used again."""
        remote = self._connection()
        try:
            yield remote
        except (ConnectionFailed, KeyboardInterrupt):
            self.disconnect()
            raise
        finally:
            self._used_at = self._clock()

    def disconnect(self) -> None:
        """Let the connection go."""
        remote, self._remote = self._remote, None
        if remote is not None:
            with contextlib.suppress(ClientError, OSError):
                remote.close()

    def change_folder(self, path: str) -> None:
        """`path` is where relative names begin from now on."""
        self.previous, self.folder = self.folder, path

    def path_of(self, word: Word | str) -> str:
        """A word as an absolute path on the server."""
        return resolve(self.folder, word if isinstance(word, str) else word.text)

    def local_path_of(self, word: Word | str) -> Path:
        """A word as a path on this machine; `~` at its beginning is the person's own folder."""
        text = word if isinstance(word, str) else word.text
        return Path(os.path.normpath(self.local / os.path.expanduser(text)))

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        return f"{printable(self.connector.user_of(self.url))}@{printable(self.url.host)}:{printable(self.folder)}> "

    def _connection(self) -> Remote:
        if self._remote is not None and (not self._remote.is_open or not self._answers(self._remote)):
            self.disconnect()
            if self.interactive:
                say("the server had given up the idle connection; connecting again")
        if self._remote is None:
            self._remote = self.connector.dial(self.url)
            self._used_at = self._clock()
        return self._remote

    def _answers(self, remote: Remote) -> bool:
        if self._clock() - self._used_at < LOOK_AFTER_S:
            return True
        try:
            remote.working_directory()
        except ConnectionFailed:
            return False
        except ClientError:
            pass  # it answers
        return True
