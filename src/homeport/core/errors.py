"""Everything that can go wrong in the rules of the house, as one tree.

Errors hold data; `str()` builds the sentence, which says what, why and, where there is something to do, what to do.
No sentence contains a path of the machine: paths are those that the account sees. Every server owns one table from
these classes to its wire codes, and a test proves that the table covers every leaf.

    HomeportError
    ├── PathError                   about one path of one account
    │   ├── InvalidPath             no such name can exist: NUL, too long, climbs above the root
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── NotADirectory
    │   ├── IsADirectory
    │   ├── DirectoryNotEmpty
    │   ├── NotARegularFile         a FIFO, socket or device: never opened
    │   ├── OutsideHome             a link that leads out of the home
    │   ├── RootRefused             the home itself cannot be removed or renamed
    │   ├── RightMissing            the account lacks the right
    │   ├── NotPermitted            the file system refuses the server: modes, read-only, in use
    │   └── Busy                    another upload of the same path is under way
    ├── TransferError
    │   ├── OffsetPastEnd           a restart point behind the end of what is there
    │   ├── SizeMismatch            fewer or more bytes than announced
    │   ├── DigestMismatch          other bytes than announced
    │   └── SourceChanged           the file shrank or went away while it was sent
    ├── StorageError
    │   ├── QuotaExceeded           the account's limit of bytes or files
    │   ├── StorageFull             ENOSPC, EDQUOT: the disk's limit, not the account's
    │   ├── StorageFailed           EIO and the like
    │   ├── LedgerBusy              the quota ledger is being recounted, or another process does not answer
    │   ├── HomeUnavailable         the home folder vanished, is no folder, or cannot be entered
    │   ├── StageElsewhere          home and stage lie on different file systems: nothing can be put into place
    │   └── StateUnavailable        the database is missing, read-only, damaged, busy, or of a newer version
    ├── LoginError
    │   ├── LoginRefused            wrong name or password, disabled, expired: always the same sentence
    │   ├── Banned                  too many failures; says until when
    │   └── TooManySessions
    ├── AccountError                administration
    │   ├── AccountNotFound
    │   ├── AccountExists
    │   ├── InvalidAccount          a field with an impossible value
    │   ├── TokenNotFound
    │   └── TooManyTokens
    └── ChatError                   rooms and what is said in them
        ├── RoomNotFound            also a room that the account may not know of
        ├── RoomExists
        ├── ChatRightMissing        to read, to talk, to make rooms
        ├── ChatTooFast             more than the account may say at once
        └── InvalidMessage          a text, a name or a number that nothing can be done with

Beside the tree stands WouldBlock, which is no error: what was asked to answer at once would have to wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class WouldBlock(Exception):
    """It cannot be done without waiting for the disk: to be done again in a thread that may. Never sent to a peer."""


@dataclass(eq=False)
class HomeportError(Exception):
    """The root of the tree. Never raised itself."""

    def __post_init__(self) -> None:
        # Exception.__init__ is bypassed by dataclasses; pickling and repr rely on args.
        self.args = tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def __str__(self) -> str:
        return self.__class__.__name__


@dataclass(eq=False)
class PathError(HomeportError):
    """About one path; `path` is as the account sees it, beginning with `/`."""

    path: str
    _sentence = "something is wrong with it"

    def __str__(self) -> str:
        return f"{self.path}: {self._sentence}"


@dataclass(eq=False)
class InvalidPath(PathError):
    """No file can have this name; `reason` says why."""

    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(eq=False)
class NotFound(PathError):
    _sentence = "no such file or folder"


@dataclass(eq=False)
class AlreadyExists(PathError):
    _sentence = "exists already"


@dataclass(eq=False)
class NotADirectory(PathError):
    _sentence = "not a folder"


@dataclass(eq=False)
class IsADirectory(PathError):
    _sentence = "is a folder"


@dataclass(eq=False)
class DirectoryNotEmpty(PathError):
    _sentence = "the folder is not empty"


@dataclass(eq=False)
class NotARegularFile(PathError):
    _sentence = "not a regular file"


@dataclass(eq=False)
class OutsideHome(PathError):
    _sentence = "a link leads out of the home"


@dataclass(eq=False)
class RootRefused(PathError):
    _sentence = "the home itself cannot be changed"


@dataclass(eq=False)
class RightMissing(PathError):
    """The account may not do this; `right` is the missing one's name."""

    right: str

    def __str__(self) -> str:
        return f"{self.path}: this account has no right to {self.right} here"


@dataclass(eq=False)
class NotPermitted(PathError):
    """The file system does not let the server do this; `reason` says why."""

    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; tell the administrator"


@dataclass(eq=False)
class Busy(PathError):
    _sentence = "another upload of this file is under way; try again when it has ended"


@dataclass(eq=False)
class TransferError(HomeportError):
    """A transfer that cannot start or did not end well; `path` as the account sees it."""

    path: str


@dataclass(eq=False)
class OffsetPastEnd(TransferError):
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.path}: cannot restart at byte {self.offset}, only {self.size} bytes are there"


@dataclass(eq=False)
class SizeMismatch(TransferError):
    expected: int
    actual: int

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.expected} bytes were announced, {self.actual} came; what came is kept, resume to go on"
        )


@dataclass(eq=False)
class DigestMismatch(TransferError):
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.path}: SHA-256 {self.expected} was announced, {self.actual} came; nothing was stored"


@dataclass(eq=False)
class SourceChanged(TransferError):
    def __str__(self) -> str:
        return f"{self.path}: the file was cut while it was being sent"


@dataclass(eq=False)
class StorageError(HomeportError):
    """The account or the machine has no room, or the disk does not do as told."""


@dataclass(eq=False)
class QuotaExceeded(StorageError):
    """The account's own limit. `wanted`, `free` and `limit` count bytes or files, as `kind` says."""

    kind: Literal["bytes", "files"]
    limit: int
    free: int
    wanted: int

    def __str__(self) -> str:
        return f"quota exceeded: {self.wanted} more {self.kind} wanted, {self.free} of {self.limit} free"


@dataclass(eq=False)
class StorageFull(StorageError):
    def __str__(self) -> str:
        return "the server's disk is full; what came is kept, resume when there is room"


@dataclass(eq=False)
class StorageFailed(StorageError):
    """The disk failed; `reason` is the errno's name, such as EIO."""

    reason: str

    def __str__(self) -> str:
        return f"the server's disk failed ({self.reason}); try again, or tell the administrator"


@dataclass(eq=False)
class LedgerBusy(StorageError):
    def __str__(self) -> str:
        return "this account's quota is being recounted; try again in a moment"


@dataclass(eq=False)
class HomeUnavailable(StorageError):
    def __str__(self) -> str:
        return "this account's home is not available; tell the administrator"


@dataclass(eq=False)
class StateUnavailable(StorageError):
    """The database cannot be used; `reason` names no path, host or password, the chained cause may."""

    reason: str

    def __str__(self) -> str:
        return f"the state database is not available: {self.reason}"


@dataclass(eq=False)
class StageElsewhere(StorageError):
    def __str__(self) -> str:
        return (
            "this account's home and the server's stage folder lie on different file systems, nothing can be stored; "
            "tell the administrator"
        )


@dataclass(eq=False)
class LoginError(HomeportError):
    """Somebody cannot come in."""


@dataclass(eq=False)
class LoginRefused(LoginError):
    """`reason` is for the audit log alone; the peer sees one sentence for every reason, after `delay_s` seconds."""

    reason: str
    delay_s: float = 0.0

    def __str__(self) -> str:
        return "login incorrect"


TOO_MANY_FAILURES = "too many failed logins"


@dataclass(eq=False)
class Banned(LoginError):
    """`retry_after_s` seconds from now the ban ends (None: when it is removed); `reason` is for the administrator."""

    reason: str
    retry_after_s: float | None

    def __str__(self) -> str:
        if self.retry_after_s is None:
            return "logins from here are banned; ask the administrator"
        # An administrator's reason is not for whoever is banned.
        why = self.reason if self.reason == TOO_MANY_FAILURES else "logins from here are banned"
        return f"{why}; try again in {max(1, round(self.retry_after_s))} s"


@dataclass(eq=False)
class TooManySessions(LoginError):
    """`scope` names whose limit it is: this account's, this address's, the server's."""

    scope: str
    limit: int

    def __str__(self) -> str:
        return f"too many sessions for {self.scope} (limit {self.limit}); close one and try again"


@dataclass(eq=False)
class AccountError(HomeportError):
    """Administration of one account, called `name`."""

    name: str


@dataclass(eq=False)
class AccountNotFound(AccountError):
    def __str__(self) -> str:
        return f"no account is called {self.name!r}; `homeport user list` shows those there are"


@dataclass(eq=False)
class AccountExists(AccountError):
    def __str__(self) -> str:
        return f"an account called {self.name!r} (or one that looks the same) exists already"


@dataclass(eq=False)
class InvalidAccount(AccountError):
    reason: str

    def __str__(self) -> str:
        return f"account {self.name!r}: {self.reason}"


@dataclass(eq=False)
class TokenNotFound(AccountError):
    token: str

    def __str__(self) -> str:
        return f"account {self.name!r} has no token {self.token!r}; `homeport user token list` shows those there are"


@dataclass(eq=False)
class TooManyTokens(AccountError):
    limit: int

    def __str__(self) -> str:
        return f"account {self.name!r} has {self.limit} tokens, which is the limit; revoke one that is not used"


@dataclass(eq=False)
class ChatError(HomeportError):
    """About one room, or a conversation of two, which is called `@NAME`."""

    room: str


@dataclass(eq=False)
class RoomNotFound(ChatError):
    def __str__(self) -> str:
        return f"no room is called {self.room!r}; `/rooms` shows those there are"


@dataclass(eq=False)
class RoomExists(ChatError):
    def __str__(self) -> str:
        return f"a room called {self.room!r} (or one that looks the same) exists already"


@dataclass(eq=False)
class ChatRightMissing(ChatError):
    """The account may not do this; `deed` is read, talk or make."""

    deed: Literal["read", "talk", "make"]

    def __str__(self) -> str:
        what = {"read": f"read {self.room}", "talk": f"talk in {self.room}", "make": "make rooms"}[self.deed]
        return f"this account may not {what}; ask the administrator"


@dataclass(eq=False)
class ChatTooFast(ChatError):
    """`retry_after_s` seconds from now it may be tried again."""

    retry_after_s: float

    def __str__(self) -> str:
        return f"too many messages at once; wait {max(1, round(self.retry_after_s))} s"


@dataclass(eq=False)
class InvalidMessage(ChatError):
    reason: str

    def __str__(self) -> str:
        return self.reason
