"""What is worth remembering of what people did: one class a fact.

Nobody changes an event. Python is not asked to see to it, for a frozen class sets each member by a call, which for the
event of one small file took 3 us.

The one rule: no event holds a secret, neither a password nor a verifier nor a key; paths are as the account sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from homeport.core.sessions import SessionRecord


@dataclass(frozen=True, slots=True)
class Who:
    """Whose deed it was; None where nobody is known, as for the administrator's own."""

    session: str | None = None
    account: str | None = None
    peer: str | None = None
    protocol: str | None = None

    @classmethod
    def of(cls, record: SessionRecord) -> Who:
        """The session's user as of now."""
        return cls(record.id, record.account, record.peer, record.protocol)

    def members(self) -> tuple[tuple[str, str | None], ...]:
        """Its members with their names, in the order of the log."""
        return tuple((member.name, getattr(self, member.name)) for member in fields(self))


@dataclass(slots=True)
class Event:
    """The root: something that `who` did."""

    who: Who


@dataclass(slots=True)
class LoggedIn(Event):
    """`tls`: the version of the encryption; None without."""

    tls: str | None = None


@dataclass(slots=True)
class LoginFailed(Event):
    """`name` as the peer gave it; `reason` is for the administrator alone."""

    name: str
    reason: str


@dataclass(slots=True)
class LoggedOut(Event):
    seconds: float
    reason: str | None = None


@dataclass(slots=True)
class Transferred(Event):
    """`bytes` moved of a file of `size`, beginning at `offset`; `reason` says why it is not `complete`."""

    path: str
    bytes: int
    size: int
    offset: int
    seconds: float
    complete: bool
    sha256: str | None = None
    reason: str | None = None
    ascii: bool = False


@dataclass(slots=True)
class Uploaded(Transferred):
    """Of an upload, `size` is what is there now: the whole file, or the stage that is kept."""


@dataclass(slots=True)
class Downloaded(Transferred):
    pass


@dataclass(slots=True)
class Deleted(Event):
    path: str


@dataclass(slots=True)
class DirectoryMade(Event):
    path: str


@dataclass(slots=True)
class DirectoryRemoved(Event):
    path: str


@dataclass(slots=True)
class Renamed(Event):
    path: str
    target: str


@dataclass(slots=True)
class Copied(Event):
    path: str
    target: str


@dataclass(slots=True)
class Refused(Event):
    """A deed that was not done: `deed` is what was asked for, `reason` what the peer was told."""

    deed: str
    path: str
    reason: str


@dataclass(slots=True)
class CommandBegun(Event):
    """A remote command begins; `argv` as a shell would write it."""

    argv: str


@dataclass(slots=True)
class CommandEnded(Event):
    """`status` as a shell says it (128 + n: signal n); `bytes` of output; `reason` where the server ended it."""

    argv: str
    status: int
    bytes: int
    seconds: float
    reason: str | None = None


@dataclass(slots=True)
class BanSet(Event):
    """`subject` is an address or a name, as `kind` says; `seconds` None: until it is removed."""

    kind: str
    subject: str
    reason: str
    seconds: float | None


@dataclass(slots=True)
class BanLifted(Event):
    subject: str


@dataclass(slots=True)
class Kicked(Event):
    """An administrator ended the sessions of `subject`: an id or an account's name."""

    subject: str
    sessions: int


@dataclass(slots=True)
class QuotaDrift(Event):
    """A recount found so much more (or less) than the ledger said."""

    drift_bytes: int
    drift_files: int


@dataclass(slots=True)
class ConfigReloaded(Event):
    """`problems`: why the new configuration was refused; None when it holds."""

    problems: str | None = None


# The names in the log; scripts rely on them.
NAMES: dict[type[Event], str] = {
    LoggedIn: "login",
    LoginFailed: "login refused",
    LoggedOut: "logout",
    Uploaded: "upload",
    Downloaded: "download",
    Deleted: "delete",
    DirectoryMade: "mkdir",
    DirectoryRemoved: "rmdir",
    Renamed: "rename",
    Copied: "copy",
    Refused: "refused",
    CommandBegun: "exec begin",
    CommandEnded: "exec",
    BanSet: "ban",
    BanLifted: "unban",
    Kicked: "kick",
    QuotaDrift: "quota drift",
    ConfigReloaded: "config reload",
}


# What each event tells beside whose deed it was, in the order of the log.
MEMBERS = {kind: tuple(member.name for member in fields(kind) if member.name != "who") for kind in NAMES}
