"""What an SFTP server's no means: one table from status codes, with the few words that split the ambiguous one.

Version 3 has FAILURE for everything that is neither missing nor forbidden; servers tell the rest in words, if at all.
"""

from __future__ import annotations

import re

from homeport.client import errors
from homeport.client.errors import ServerRefused
from homeport.protocols.sftp.constants import Status

_BY_CODE: dict[int, type[ServerRefused]] = {
    Status.NO_SUCH_FILE: errors.RemoteNotFound,
    Status.PERMISSION_DENIED: errors.PermissionRefused,
    # Of later versions, which some servers send in version 3 all the same.
    10: errors.RemoteNotFound,  # no such path
    11: errors.RemoteExists,
    12: errors.PermissionRefused,  # write protected
    14: errors.NoRoom,
    15: errors.NoRoom,  # quota
    17: errors.RemoteBusy,  # locked by somebody else
}

_BY_WORDS: list[tuple[re.Pattern[str], type[ServerRefused]]] = [
    (re.compile(r"(?i)no such|not found|does ?n.t exist"), errors.RemoteNotFound),
    (re.compile(r"(?i)quota|no space|disk full|insufficient|no room"), errors.NoRoom),
    (re.compile(r"(?i)\bexists"), errors.RemoteExists),
    (re.compile(r"(?i)permission|denied|not allowed|no right|read.?only"), errors.PermissionRefused),
    (re.compile(r"(?i)busy|try again|in use|locked|too many"), errors.RemoteBusy),
]

_NAMES = {status.value: status.name.replace("_", " ").lower() for status in Status}


def refusal(code: int, text: str, doing: str) -> ServerRefused:
    """The error for a status that is not OK; `doing` says what was asked, as in "store /a"."""
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = next((kind for words, kind in _BY_WORDS if words.search(text)), ServerRefused)
    return kind(f"cannot {doing}: the server says: {text or _NAMES.get(code, code)}", code, text)
