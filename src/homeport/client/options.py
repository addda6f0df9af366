"""How a connection is made and files are moved: what the person chose, as plain values with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from homeport.client.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in. `password` never appears in a representation."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"

    @property
    def is_known(self) -> bool:
        """Whether the password is there, or would have to be asked for."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """`plain` allows a login in the clear where the server has no TLS; `charset` is the server's for file names.

    Times in seconds: `connect_timeout_s` for a connection and its handshake, `stall_timeout_s` without any byte.
    For SSH: without `keys` only a password will do; `identity` is the file of the one key to offer, in place of those
    of the agent and of the usual files; `ask_passphrase` is given its path, and is None where nobody can answer.
    For HPTP: `much` is about to be moved, so that it is worth opening TCP's windows while the login goes on.
    """

    plain: bool = False
    charset: str = "utf-8"
    connect_timeout_s: float = 20.0
    stall_timeout_s: float = 60.0
    keys: bool = True
    identity: Path | None = None
    ask_passphrase: Callable[[str], str] | None = None
    much: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How files are moved. `jobs` connections at most.

    `resume` goes on where an earlier try stopped; `verify` compares digests where the server tells one; `fsync` writes
    a download through to the disk before it gets its name. `state_folder` keeps what is known of unfinished uploads;
    None forgets them at exit. `stop_within_s` bounds how long a stop waits for connections to give up.
    """

    jobs: int = 4
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    resume: bool = True
    verify: bool = True
    fsync: bool = True
    state_folder: Path | None = None
    progress_interval_s: float = 0.1
    stop_within_s: float = 10.0
