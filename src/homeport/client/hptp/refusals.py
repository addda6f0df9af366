"""What an HPTP server's no means: one table from its error codes."""

from __future__ import annotations

from homeport.client import errors
from homeport.client.errors import ServerRefused

_BY_CODE: dict[str, type[ServerRefused]] = {
    "not-found": errors.RemoteNotFound,
    "already-exists": errors.RemoteExists,
    "right-missing": errors.PermissionRefused,
    "not-permitted": errors.PermissionRefused,
    "root-refused": errors.PermissionRefused,
    "outside-home": errors.PermissionRefused,
    "busy": errors.RemoteBusy,
    "ledger-busy": errors.RemoteBusy,
    "state-unavailable": errors.RemoteBusy,
    "going-away": errors.RemoteBusy,
    "shutdown": errors.RemoteBusy,
    "too-many-sessions": errors.RemoteBusy,
    "too-many-transfers": errors.RemoteBusy,
    "stalled": errors.RemoteBusy,
    "quota-exceeded": errors.NoRoom,
    "storage-full": errors.NoRoom,
    "login-refused": errors.LoginFailed,
    "banned": errors.LoginFailed,
}


def refusal(code: str, message: str, doing: str) -> ServerRefused:
    """The error for an ERROR's code; `doing` says what was asked, as in "store /a"."""
    kind = _BY_CODE.get(code, ServerRefused)
    return kind(f"cannot {doing}: the server says: {message or code}", 0, message or code)
