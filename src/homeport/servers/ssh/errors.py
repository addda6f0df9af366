"""What a core error is called in SFTP: one table from the tree in `core/errors.py` to status codes.

The one rule: version 3 has three codes for what went wrong (section 7 of its draft), and clients act on two of them: a
missing file is something to be made, a missing right is nothing to be tried again. All else is FAILURE, with the core's
sentence beside it.
"""

from __future__ import annotations

from homeport.core import errors
from homeport.core.errors import HomeportError
from homeport.protocols.sftp.constants import Status

STATUSES: dict[type[HomeportError], Status] = {
    errors.InvalidPath: Status.FAILURE,
    errors.NotFound: Status.NO_SUCH_FILE,
    errors.AlreadyExists: Status.FAILURE,
    errors.NotADirectory: Status.FAILURE,
    errors.IsADirectory: Status.FAILURE,
    errors.DirectoryNotEmpty: Status.FAILURE,
    errors.NotARegularFile: Status.FAILURE,
    errors.OutsideHome: Status.PERMISSION_DENIED,
    errors.RootRefused: Status.PERMISSION_DENIED,
    errors.RightMissing: Status.PERMISSION_DENIED,
    errors.NotPermitted: Status.PERMISSION_DENIED,
    errors.Busy: Status.FAILURE,
    errors.OffsetPastEnd: Status.FAILURE,
    errors.SizeMismatch: Status.FAILURE,
    errors.DigestMismatch: Status.FAILURE,
    errors.SourceChanged: Status.FAILURE,
    errors.QuotaExceeded: Status.FAILURE,
    errors.StorageFull: Status.FAILURE,
    errors.StorageFailed: Status.FAILURE,
    errors.LedgerBusy: Status.FAILURE,
    errors.HomeUnavailable: Status.FAILURE,
    errors.StateUnavailable: Status.FAILURE,
    errors.StageElsewhere: Status.FAILURE,
    # Logins and administration do not happen through SFTP; an account that is gone may do nothing any more.
    errors.LoginRefused: Status.PERMISSION_DENIED,
    errors.Banned: Status.PERMISSION_DENIED,
    errors.TooManySessions: Status.PERMISSION_DENIED,
    errors.AccountNotFound: Status.PERMISSION_DENIED,
    errors.AccountExists: Status.FAILURE,
    errors.InvalidAccount: Status.FAILURE,
    # Tokens and chat do not happen here either.
    errors.TokenNotFound: Status.FAILURE,
    errors.TooManyTokens: Status.FAILURE,
    errors.RoomNotFound: Status.FAILURE,
    errors.RoomExists: Status.FAILURE,
    errors.ChatRightMissing: Status.PERMISSION_DENIED,
    errors.ChatTooFast: Status.FAILURE,
    errors.InvalidMessage: Status.FAILURE,
}


class Refused(Exception):
    """A request that this server refuses for a reason of its own."""

    def __init__(self, status: Status, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def status_of(error: HomeportError) -> Status:
    """The code of `error`: its own class's, else that of the nearest class above it."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), Status.FAILURE)


def reply_to(error: Refused | HomeportError) -> tuple[Status, str]:
    """The code and the sentence that answer a request which ended with `error`."""
    if isinstance(error, Refused):
        return error.status, str(error)
    return status_of(error), str(error)
