"""Entries of a home as SFTP shows them: attributes, and the line that `ls -l` would print.

The one rule: nothing of the machine is shown. All belongs to the account, whose number stands for user and group.
"""

from __future__ import annotations

import stat
import time

from homeport.core.accounts import Account
from homeport.core.entries import Entry, Kind
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.replies import Name

_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.LINK: stat.S_IFLNK,
    Kind.OTHER: stat.S_IFIFO,
}
_HALF_A_YEAR_S = 182 * 86400
_NANO = 10**9


def attributes_of(entry: Entry, account: Account) -> Attributes:
    """What is known of `entry`."""
    changed = entry.mtime_ns // _NANO
    return Attributes(entry.size, owner_of(account), _TYPES[entry.kind] | entry.mode, (changed, changed))


def owner_of(account: Account) -> tuple[int, int]:
    """User and group of all that is in the account's home."""
    number = account.id & 0xFFFFFFFF
    return number, number


def name_of(entry: Entry, account: Account, now: float) -> Name:
    """`entry` in a listing made at `now`, in seconds since the epoch."""
    found = attributes_of(entry, account)
    changed = entry.mtime_ns // _NANO
    recent = 0 <= now - changed < _HALF_A_YEAR_S
    try:
        date = time.strftime("%b %e %H:%M" if recent else "%b %e  %Y", time.gmtime(changed))
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        date = "Jan  1  1970"
    mode = stat.filemode(_TYPES[entry.kind] | entry.mode)
    line = f"{mode} {entry.links:>4} {account.name:<8} {account.name:<8} {entry.size:>12} {date} {entry.name}"
    return Name(entry.name, line, found)
