"""What an FTP server's no means: one table from reply codes, with the few words that split the ambiguous ones.

RFC 959 gives 550 and 553 for everything from "no such file" to "not allowed"; servers tell them apart in words alone.
"""

from __future__ import annotations

import re

from homeport.client import errors
from homeport.client.errors import ServerRefused

_BY_CODE: dict[int, type[ServerRefused]] = {
    421: errors.RemoteBusy,
    425: errors.RemoteBusy,
    426: errors.RemoteBusy,
    430: errors.LoginFailed,
    450: errors.RemoteBusy,
    451: errors.RemoteBusy,
    452: errors.NoRoom,
    530: errors.LoginFailed,
    532: errors.LoginFailed,
    552: errors.NoRoom,
}

_BY_WORDS: list[tuple[re.Pattern[str], type[ServerRefused]]] = [
    (
        re.compile(
            r"(?i)no such|not found|does ?n.t exist|cannot find|cannot be listed|no directory|can't check for file"
        ),
        errors.RemoteNotFound,
    ),
    (re.compile(r"(?i)exists"), errors.RemoteExists),
    (re.compile(r"(?i)quota|no space|disk full|insufficient"), errors.NoRoom),
    (re.compile(r"(?i)permission|denied|not allowed|no right|read.?only|access"), errors.PermissionRefused),
]


def refusal(code: int, text: str, doing: str) -> ServerRefused:
    """The error for a reply of 4xx or 5xx; `doing` says what was asked, as in "store /a"."""
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = next((kind for words, kind in _BY_WORDS if words.search(text)), ServerRefused)
    return kind(f"cannot {doing}: the server says: {text or code}", code, text)
