"""What one process holds of one account's allowance, and how it is shared out: integers and locks, no database.

The one rule: for every account, what the database calls used equals what is charged, plus every lease's balance,
plus what is held and less what is borrowed. Every function here keeps both sides equal.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from homeport.core.count import Count

# One process takes at most so much ahead of need; near the limit an eighth of what is free, then exactly the need.
LEASE_BYTES = 64 * 1024 * 1024
LEASE_FILES = 4096
_SHARE = 8

NOTHING = Count()


class Lease:
    """One process's part of one account. Guarded by `lock`, for an instant at a time; `exchange` is held while the
    database is asked and is always taken before `lock`.

    `aside` is what is held for later less what is borrowed: bytes that the disk and the charges disagree about.
    """

    __slots__ = (
        "account",
        "aside_bytes",
        "aside_files",
        "bytes",
        "exchange",
        "files",
        "inside",
        "lock",
        "marked",
        "open",
        "recount",
        "used",
    )

    def __init__(self, account: int) -> None:
        self.account = account
        self.lock = threading.Lock()
        self.exchange = threading.Lock()
        self.recount = threading.Lock()  # held by the thread that recounts the account
        self.marked = False  # our row may be in the database; guarded by `exchange`
        self.open = False  # our row is in the database and nobody recounts: operations may begin
        self.inside = 0  # operations that are changing files now
        self.used = False  # an operation began since the last look
        self.bytes = 0
        self.files = 0
        self.aside_bytes = 0
        self.aside_files = 0

    def enter(self) -> bool:
        """Begin an operation if the lease is open."""
        with self.lock:
            if self.open:
                self.inside += 1
                self.used = True
            return self.open

    def reopen(self) -> None:
        """Let operations begin: the row is there and nobody recounts."""
        with self.lock:
            self.open = True

    def stop(self) -> None:
        """Let no more operations begin; those inside go on."""
        with self.lock:
            self.open = False

    def close(self) -> Count | None:
        """Stop, and take the whole balance out; None and no change while an operation is inside."""
        with self.lock:
            if self.inside:
                return None
            self.open = False
            return self._take()

    def idle(self) -> bool:
        """Whether nothing was inside at the last call, nor began since."""
        with self.lock:
            idle = not self.used
            self.used = self.inside > 0
            return idle

    def take(self) -> Count:
        """Take the whole balance out, to trade it."""
        with self.lock:
            return self._take()

    def put(self, count: Count) -> None:
        """Add to the balance."""
        with self.lock:
            self.bytes += count.bytes
            self.files += count.files

    def set_aside(self, count: Count) -> None:
        """Note what is held (positive) or borrowed (negative) from now on."""
        with self.lock:
            self.aside_bytes += count.bytes
            self.aside_files += count.files

    def aside(self) -> Count:
        """What is held less what is borrowed."""
        with self.lock:
            return Count(self.aside_bytes, self.aside_files)

    def balance(self) -> Count:
        """What may still be spent without asking the database."""
        with self.lock:
            return Count(self.bytes, self.files)

    def spend(self, size: int, files: int, aside_bytes: int = 0, aside_files: int = 0) -> bool:
        """Take `size` bytes and `files` (negative: give back) and note what goes aside; False changes nothing.

        Plain integers: this is the path of every block that is written.
        """
        with self.lock:
            if (size > 0 and size > self.bytes) or (files > 0 and files > self.files):
                return False
            self.bytes -= size
            self.files -= files
            self.aside_bytes += aside_bytes
            self.aside_files += aside_files
            return True

    def _take(self) -> Count:
        taken = Count(self.bytes, self.files)
        self.bytes = self.files = 0
        return taken


@dataclass(frozen=True, slots=True)
class Grant:
    """What a trade gives: `spent` and `ahead` (for later) come out of the account's room, `borrowed` does not."""

    spent: Count
    ahead: Count
    borrowed: Count


@dataclass(frozen=True, slots=True)
class Room:
    """What an account has used (everything handed out) against its limits; None is no limit."""

    used: Count
    quota_bytes: int | None
    max_files: int | None

    def without(self, own: Count) -> Room:
        """The room once `own` is given back."""
        return Room(self.used - own, self.quota_bytes, self.max_files)

    def free_bytes(self) -> int | None:
        """Bytes that may still be handed out, never negative; None: no limit."""
        return None if self.quota_bytes is None else max(0, self.quota_bytes - self.used.bytes)

    def free_files(self) -> int | None:
        """As `free_bytes`, in entries."""
        return None if self.max_files is None else max(0, self.max_files - self.used.files)

    def grant(self, need: Count, credit: Count, *, ahead: bool) -> Grant | None:
        """The whole of `need`, at most `credit` of it borrowed, and `ahead` something for later; None if short."""
        free_bytes, free_files = self.free_bytes(), self.free_files()
        borrowed = Count(_short(need.bytes, free_bytes), _short(need.files, free_files))
        if borrowed.bytes > credit.bytes or borrowed.files > credit.files:
            return None
        spent = need - borrowed
        later = NOTHING
        if ahead:
            later = Count(
                _ahead(free_bytes, spent.bytes, LEASE_BYTES),
                _ahead(free_files, spent.files, LEASE_FILES),
            )
        return Grant(spent, later, borrowed)


def _short(need: int, free: int | None) -> int:
    return 0 if free is None else max(0, need - free)


def _ahead(free: int | None, spent: int, most: int) -> int:
    return most if free is None else min(most, (free - max(0, spent)) // _SHARE)
