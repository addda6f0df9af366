"""What can be set of an account: the fields, their limits, and the columns that hold them.

The one rule: a value that cannot be meant is refused here with the reason, whoever sets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypedDict

from homeport.core.errors import InvalidAccount
from homeport.core.rights import Rights

_MAX_AMOUNT = 2**63 - 1
_MAX_SESSIONS = 2**31 - 1
_MAX_CHARSET_LENGTH = 32
_ASCII = "".join(map(chr, range(32, 127)))


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What one account may take of the server; None means no limit of its own."""

    max_sessions: int | None = None
    upload_bytes_per_s: int | None = None
    download_bytes_per_s: int | None = None


class AccountFields(TypedDict, total=False):
    """Keyword arguments: a field that is left out keeps its value, or gets its default in a new account."""

    home: Path | None  # None: the folder of the account's name among the homes
    rights: Rights
    quota_bytes: int | None
    max_files: int | None
    enabled: bool
    expires_at: float | None  # seconds since the epoch
    limits: AccountLimits
    charset: str | None  # Python's name of the encoding of names for clients without UTF-8
    allow_exec: bool


DEFAULTS = AccountFields(
    home=None,
    rights=Rights.ALL,
    quota_bytes=None,
    max_files=None,
    enabled=True,
    expires_at=None,
    limits=AccountLimits(),
    charset=None,
    allow_exec=False,
)


def columns_of(name: str, fields: AccountFields) -> dict[str, object]:
    """The columns of table `accounts` for the given fields of account `name`; raises InvalidAccount."""
    columns: dict[str, object] = {}
    values: Mapping[str, Any] = {**fields}
    for field, value in values.items():
        try:
            columns |= _COLUMNS[field](value)
        except ValueError as error:
            raise InvalidAccount(name, str(error)) from error
    return columns


def _home(value: Path | None) -> dict[str, object]:
    if value is None:
        return {"home": None}
    text = str(value)
    if not value.is_absolute() or ".." in value.parts or "\0" in text or not _is_unicode(text):
        raise ValueError("a home is an absolute path in UTF-8, without ..")
    return {"home": text}


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _limits(value: AccountLimits) -> dict[str, object]:
    sessions, upload, download = astuple(value)
    return {
        "max_sessions": _within("the limit of sessions", sessions, 1, _MAX_SESSIONS),
        "upload_bytes_per_s": _within("the upload rate", upload, 1, _MAX_AMOUNT),
        "download_bytes_per_s": _within("the download rate", download, 1, _MAX_AMOUNT),
    }


def _within(what: str, value: int | None, least: int, most: int) -> int | None:
    if value is not None and not least <= value <= most:
        raise ValueError(f"{what} must be from {least} to {most}, not {value}; leave it out for no limit")
    return value


def _expires_at(value: float | None) -> dict[str, object]:
    if value is not None and not math.isfinite(value):
        raise ValueError("the date of expiry is no date")
    return {"expires_at": value}


def _charset(value: str | None) -> dict[str, object]:
    if value is not None and not (len(value) <= _MAX_CHARSET_LENGTH and _keeps_ascii(value)):
        raise ValueError(f"no character set for names is called {value!r}; known are gb18030, latin-1, shift_jis, ...")
    return {"charset": value}


def _keeps_ascii(charset: str) -> bool:
    """Whether names in it leave slashes and dots where they are, which UTF-16 and EBCDIC do not."""
    try:
        return _ASCII.encode(charset) == _ASCII.encode()
    except (LookupError, ValueError):
        return False


_COLUMNS: Mapping[str, Callable[[Any], dict[str, object]]] = {
    "home": _home,
    "rights": lambda value: {"rights": str(value)},
    "quota_bytes": lambda value: {"quota_bytes": _within("the quota in bytes", value, 0, _MAX_AMOUNT)},
    "max_files": lambda value: {"max_files": _within("the quota of files", value, 0, _MAX_AMOUNT)},
    "enabled": lambda value: {"enabled": value},
    "expires_at": _expires_at,
    "limits": _limits,
    "charset": _charset,
    "allow_exec": lambda value: {"allow_exec": value},
}
