"""What can go wrong for somebody who uses a server, as one tree; the command line maps it to exit codes.

Every error says what, why, and what to do. A peer's own words are carried as they
came: whoever shows them escapes them.

    ClientError
    ├── UsageError             a URL or a combination of options that makes no sense
    ├── ConnectionFailed       no route, refused, timed out, broken; worth another try
    │   └── Stalled            no byte for too long
    ├── IdentityUnknown        first contact, and nobody there to ask
    ├── IdentityChanged        the server's key is not the one that was trusted
    ├── Incompatible           the server cannot do what is needed, or speaks no such protocol
    │   └── TlsRefused         the server offers no TLS, and a password would go in the clear
    ├── ServerRefused          the server said no; carries its words
    │   ├── LoginFailed
    │   ├── PermissionRefused
    │   ├── RemoteNotFound
    │   ├── RemoteExists
    │   ├── RemoteBusy         worth another try
    │   └── NoRoom             quota or disk, on either side; ends the whole job
    ├── IntegrityMismatch      the bytes are not those that were sent; the target is untouched
    ├── ProtocolViolation      the server talks nonsense, too much, or tries to trick us
    ├── LocalFailed            this machine's disk or file
    ├── Stopped                somebody asked for it; what was won is kept
    └── SafetyRefused          a rule that protects files: empty source, too many deletions, unsafe name
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class ClientError(Exception):
    """The root. `str()` is the sentence shown to a person."""

    sentence: str

    def __str__(self) -> str:
        return self.sentence


class UsageError(ClientError):
    """A URL or a combination of options that makes no sense."""


class ConnectionFailed(ClientError):
    """The network or the peer gave way; the engine tries again."""


class Stalled(ConnectionFailed):
    """The connection lives, but no byte came for too long."""


@dataclass(eq=False)
class IdentityUnknown(ClientError):
    """First contact without anybody to ask. `fingerprint` is the key's, ready for `--fingerprint`."""

    fingerprint: str


@dataclass(eq=False)
class IdentityChanged(ClientError):
    """The key is another one than before: a new server key, or somebody in between."""

    expected: str
    actual: str


class Incompatible(ClientError):
    """The server cannot do what is needed."""


class TlsRefused(Incompatible):
    """The server offers no TLS; nothing secret was sent."""


@dataclass(eq=False)
class ServerRefused(ClientError):
    """The server's no: `code` is its reply code (0 where the protocol has none), `reply` its own words."""

    code: int = 0
    reply: str = ""


class LoginFailed(ServerRefused):
    """Wrong name or password, banned, disabled."""


class PermissionRefused(ServerRefused):
    """Logged in, but this may not be done."""


class RemoteNotFound(ServerRefused):
    """No such file or folder over there."""


class RemoteExists(ServerRefused):
    """The name is taken over there."""


class RemoteBusy(ServerRefused):
    """Somebody else is at it, or the server is overloaded; the engine tries again."""


class NoRoom(ServerRefused):
    """Quota or disk: every other file would fail as well, so the job ends."""


@dataclass(eq=False)
class IntegrityMismatch(ClientError):
    """Digests or sizes differ."""

    expected: str
    actual: str


class ProtocolViolation(ClientError):
    """The server breaks its protocol or tries to trick us; the connection is closed."""


class LocalFailed(ClientError):
    """This machine's disk, permissions or file."""


class Stopped(ClientError):
    """Ended because somebody asked for it."""


class SafetyRefused(ClientError):
    """Refused to protect files; the sentence says which option allows it."""
