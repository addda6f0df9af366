"""What a core error is called in FTP: one table from the tree in `core/errors.py` to reply codes.

The one rule: 4xx says "try again, the same may work", 5xx says "not like this". Clients act on that digit: a missing
folder is 550 for STOR, LIST and MLSD alike, because they know no other code for it.
"""

from __future__ import annotations

from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.servers.ftp.data import DataError, DataRefused

CODES: dict[type[HomeportError], int] = {
    errors.InvalidPath: 553,
    errors.NotFound: 550,
    errors.AlreadyExists: 550,
    errors.NotADirectory: 550,
    errors.IsADirectory: 550,
    errors.DirectoryNotEmpty: 550,
    errors.NotARegularFile: 550,
    errors.OutsideHome: 550,
    errors.RootRefused: 550,
    errors.RightMissing: 550,
    errors.NotPermitted: 550,
    errors.Busy: 450,
    errors.OffsetPastEnd: 554,  # RFC 3659 section 5.1
    errors.SizeMismatch: 426,
    errors.DigestMismatch: 551,
    errors.SourceChanged: 451,
    errors.QuotaExceeded: 552,
    errors.StorageFull: 452,
    errors.StorageFailed: 451,
    errors.LedgerBusy: 451,
    errors.HomeUnavailable: 451,
    errors.StateUnavailable: 451,
    errors.StageElsewhere: 451,
    errors.LoginRefused: 530,
    errors.Banned: 421,
    errors.TooManySessions: 421,
    # Administration does not happen through FTP; an account that is gone is no longer logged in.
    errors.AccountNotFound: 530,
    errors.AccountExists: 550,
    errors.InvalidAccount: 550,
    errors.TokenNotFound: 550,
    errors.TooManyTokens: 550,
    # Nobody talks through FTP.
    errors.RoomNotFound: 550,
    errors.RoomExists: 550,
    errors.ChatRightMissing: 550,
    errors.ChatTooFast: 450,
    errors.InvalidMessage: 550,
}

_UNKNOWN = 451
DATA_LOST = 426


class Refused(Exception):
    """A command that this server refuses for a reason of its own; `code` and the text are the reply."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def code_of(error: HomeportError) -> int:
    """The reply code of `error`: its own class's, else that of the nearest class above it."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), _UNKNOWN)


def reply_to(error: Refused | HomeportError | DataError) -> tuple[int, str]:
    """The code and the text that answer a command which ended with `error`."""
    if isinstance(error, HomeportError):
        return code_of(error), sentence(str(error))
    if isinstance(error, DataError):
        return (error.code if isinstance(error, DataRefused) else DATA_LOST), str(error)
    return error.code, str(error)


def sentence(text: str) -> str:
    """Core's sentences begin with a path or in lower case and end without a full stop; replies read otherwise."""
    return text[:1].upper() + text[1:] + "."
