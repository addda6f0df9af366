"""What the exit status says, in one table. One rule: scripts rely on it, so a number never changes its meaning.

Errors are rows by their names, so that a client's process does not import the server's errors for their sake.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """The statuses of every command."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NETWORK = 5
    FULL = 6
    INTEGRITY = 7
    PARTIAL = 8
    SAFETY = 9
    IDENTITY = 10
    INCOMPATIBLE = 11
    INTERRUPTED = 130
    TERMINATED = 143


# The nearest class on the way to the root decides; tests/cli/test_exit_codes.py proves that every leaf has one, and
# that every row names a class.
TABLE: dict[str, Exit] = {
    "homeport.core.errors.PathError": Exit.OTHER,
    "homeport.core.errors.InvalidPath": Exit.USAGE,
    "homeport.core.errors.NotFound": Exit.NOT_FOUND,
    "homeport.core.errors.OutsideHome": Exit.SAFETY,
    "homeport.core.errors.RootRefused": Exit.SAFETY,
    "homeport.core.errors.RightMissing": Exit.REFUSED,
    "homeport.core.errors.TransferError": Exit.INTEGRITY,
    "homeport.core.errors.OffsetPastEnd": Exit.USAGE,
    "homeport.core.errors.StorageError": Exit.OTHER,
    "homeport.core.errors.QuotaExceeded": Exit.FULL,
    "homeport.core.errors.StorageFull": Exit.FULL,
    "homeport.core.errors.LoginError": Exit.REFUSED,
    "homeport.core.errors.AccountError": Exit.OTHER,
    "homeport.core.errors.AccountNotFound": Exit.NOT_FOUND,
    "homeport.core.errors.InvalidAccount": Exit.USAGE,
    "homeport.core.errors.TokenNotFound": Exit.NOT_FOUND,
    "homeport.core.errors.ChatError": Exit.OTHER,
    "homeport.core.errors.RoomNotFound": Exit.NOT_FOUND,
    "homeport.core.errors.ChatRightMissing": Exit.REFUSED,
    "homeport.core.errors.InvalidMessage": Exit.USAGE,
    "homeport.config.problems.ConfigError": Exit.USAGE,
    "homeport.daemon.errors.DaemonError": Exit.OTHER,
    "homeport.daemon.errors.InstanceMissing": Exit.NOT_FOUND,
    "homeport.client.errors.ClientError": Exit.OTHER,
    "homeport.client.errors.UsageError": Exit.USAGE,
    "homeport.client.errors.ConnectionFailed": Exit.NETWORK,
    "homeport.client.errors.IdentityUnknown": Exit.IDENTITY,
    "homeport.client.errors.IdentityChanged": Exit.IDENTITY,
    "homeport.client.errors.Incompatible": Exit.INCOMPATIBLE,
    "homeport.client.errors.LoginFailed": Exit.REFUSED,
    "homeport.client.errors.PermissionRefused": Exit.REFUSED,
    "homeport.client.errors.RemoteNotFound": Exit.NOT_FOUND,
    "homeport.client.errors.NoRoom": Exit.FULL,
    "homeport.client.errors.IntegrityMismatch": Exit.INTEGRITY,
    "homeport.client.errors.ProtocolViolation": Exit.INCOMPATIBLE,
    "homeport.client.errors.SafetyRefused": Exit.SAFETY,
    "homeport.cli.stopping.Terminated": Exit.TERMINATED,
    "builtins.KeyboardInterrupt": Exit.INTERRUPTED,
}

# What the running server's refusals mean; the kinds are those of daemon/control_server.py.
REFUSALS = {
    "usage": Exit.USAGE,
    "config": Exit.USAGE,
    "not-found": Exit.NOT_FOUND,
    "busy": Exit.OTHER,
    "failed": Exit.OTHER,
}
_CONTROL_REFUSED = "homeport.daemon.errors.ControlRefused"


def row_of(kind: type[BaseException]) -> Exit | None:
    """The status of the nearest class on the way to the root that has one."""
    return next((TABLE[name] for name in map(_name, kind.__mro__) if name in TABLE), None)


def exit_code(error: BaseException) -> Exit:
    """The status for `error`."""
    if _name(type(error)) == _CONTROL_REFUSED:
        return REFUSALS.get(getattr(error, "kind", ""), Exit.OTHER)
    return row_of(type(error)) or Exit.OTHER


def is_expected(error: BaseException) -> bool:
    """Whether `error` is one that speaks for itself, so that no traceback is needed."""
    return row_of(type(error)) is not None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
