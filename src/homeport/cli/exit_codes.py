"""What the exit status says, in one table. One rule: scripts rely on it, so a number never changes its meaning."""

from __future__ import annotations

import enum

from homeport.client import errors as client
from homeport.config.problems import ConfigError
from homeport.core import errors as core
from homeport.daemon import errors as daemon


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


# The nearest class on the way to the root decides; tests/cli/test_exit_codes.py proves that every leaf has one.
TABLE: dict[type[BaseException], Exit] = {
    core.PathError: Exit.OTHER,
    core.InvalidPath: Exit.USAGE,
    core.NotFound: Exit.NOT_FOUND,
    core.OutsideHome: Exit.SAFETY,
    core.RootRefused: Exit.SAFETY,
    core.RightMissing: Exit.REFUSED,
    core.TransferError: Exit.INTEGRITY,
    core.OffsetPastEnd: Exit.USAGE,
    core.StorageError: Exit.OTHER,
    core.QuotaExceeded: Exit.FULL,
    core.StorageFull: Exit.FULL,
    core.LoginError: Exit.REFUSED,
    core.AccountError: Exit.OTHER,
    core.AccountNotFound: Exit.NOT_FOUND,
    core.InvalidAccount: Exit.USAGE,
    ConfigError: Exit.USAGE,
    daemon.DaemonError: Exit.OTHER,
    client.ClientError: Exit.OTHER,
    client.UsageError: Exit.USAGE,
    client.ConnectionFailed: Exit.NETWORK,
    client.IdentityUnknown: Exit.IDENTITY,
    client.IdentityChanged: Exit.IDENTITY,
    client.Incompatible: Exit.INCOMPATIBLE,
    client.LoginFailed: Exit.REFUSED,
    client.PermissionRefused: Exit.REFUSED,
    client.RemoteNotFound: Exit.NOT_FOUND,
    client.NoRoom: Exit.FULL,
    client.IntegrityMismatch: Exit.INTEGRITY,
    client.ProtocolViolation: Exit.INCOMPATIBLE,
    client.SafetyRefused: Exit.SAFETY,
    KeyboardInterrupt: Exit.INTERRUPTED,
}

# What the running server's refusals mean; the kinds are those of daemon/control_server.py.
REFUSALS = {
    "usage": Exit.USAGE,
    "config": Exit.USAGE,
    "not-found": Exit.NOT_FOUND,
    "busy": Exit.OTHER,
    "failed": Exit.OTHER,
}


def exit_code(error: BaseException) -> Exit:
    """The status for `error`."""
    if isinstance(error, daemon.ControlRefused):
        return REFUSALS.get(error.kind, Exit.OTHER)
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), Exit.OTHER)


def is_expected(error: BaseException) -> bool:
    """Whether `error` is one that speaks for itself, so that no traceback is needed."""
    return any(kind in TABLE for kind in type(error).__mro__)
