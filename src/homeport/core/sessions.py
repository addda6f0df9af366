"""Who is connected, through which protocol, doing what, how far; and how many may be.

The one rule: a session counts from the moment it is opened until it is closed, whatever happens between. The limits
hold for all worker processes of a machine together, see `Tally`; who is connected is known to each for itself.
"""

from __future__ import annotations

import ipaddress
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from homeport.core.errors import TooManySessions
from homeport.core.tally import NOBODY, Lonely, Tally, key_of

if TYPE_CHECKING:
    from homeport.core.accounts import Account

_Key = TypeVar("_Key")

_SERVER = "the server"
_ADDRESS = "your address"
_ACCOUNT = "this account"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions at once; None: no limit. `per_account` is for accounts without a limit of their own."""

    total: int | None = None
    per_address: int | None = None
    per_account: int | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class SessionRecord:
    """One connection. The server that owns it writes `doing`, `path`, `moved_bytes`, `total_bytes` as it goes.

    `peer` is the address without the port, or `unix`; `since` the wall clock, `started_at` the monotonic one;
    `kick`, where the server sets it, ends the session from any thread and tells the peer the reason.
    """

    id: str
    protocol: str
    peer: str
    since: float
    started_at: float
    account: str | None = None
    account_id: int | None = None
    doing: str = "connected"
    path: str | None = None
    moved_bytes: int = 0
    total_bytes: int | None = None
    kick: Callable[[str], None] | None = field(default=None, repr=False)
    number: int = 0  # in the tally

    def begin(self, doing: str, path: str, *, total_bytes: int | None = None) -> None:
        """Note a transfer's start: `doing` such as `upload`, the path as the account sees it."""
        self.doing, self.path, self.moved_bytes, self.total_bytes = doing, path, 0, total_bytes

    def rest(self) -> None:
        """Note that nothing is under way."""
        self.doing, self.path, self.moved_bytes, self.total_bytes = "idle", None, 0, None

    def as_object(self) -> dict[str, str | int | float | None]:
        """What `who --json` shows."""
        return {
            "id": self.id,
            "protocol": self.protocol,
            "peer": self.peer,
            "account": self.account,
            "since": self.since,
            "doing": self.doing,
            "path": self.path,
            "moved_bytes": self.moved_bytes,
            "total_bytes": self.total_bytes,
        }


class Sessions:
    """All sessions of this process, for all its threads; `tally` is what it shares with others."""

    def __init__(
        self,
        limits: SessionLimits | None = None,
        tally: Tally | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or SessionLimits()
        self._tally = tally or Lonely()
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._records: dict[str, SessionRecord] = {}
        self._addresses: Counter[str] = Counter()
        self._accounts: Counter[int] = Counter()
        self._prefix = secrets.token_hex(2)  # two workers do not give one id twice
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._records)

    def set_limits(self, limits: SessionLimits) -> None:
        """New limits for sessions to come; those that are here stay."""
        self._limits = limits

    def open(self, protocol: str, peer: str, kick: Callable[[str], None] | None = None) -> SessionRecord:
        """Count a new connection. Raises TooManySessions for the server or the address."""
        address = address_group(peer)
        limits = self._limits
        key = _address_key(address)
        with self._lock, self._tally.alone() as others:
            _check(_SERVER, len(self._records) + others.total, limits.total)
            _check(_ADDRESS, self._addresses[address] + others.of(key), limits.per_address)
            name = f"{self._prefix}-{next(self._numbers)}"
            record = SessionRecord(name, protocol, peer, self._clock(), self._monotonic(), kick=kick)
            record.number = self._tally.add(key)
            self._records[name] = record
            self._addresses[address] += 1
        return record

    def log_in(self, record: SessionRecord, account: Account) -> None:
        """Give the session to the account. Raises TooManySessions for the account; then nothing changes."""
        own = account.limits.max_sessions
        limit = self._limits.per_account if own is None else own
        with self._lock:
            if record.account_id != account.id:
                self._join_account(record, account.id, limit)
            record.account = account.name
            record.rest()

    def log_out(self, record: SessionRecord) -> None:
        """Take the session from its account; the connection stays."""
        with self._lock:
            self._leave_account(record)
            record.account = record.account_id = None
            record.rest()
            record.doing = "connected"

    def close(self, record: SessionRecord) -> None:
        """The connection ended; a second call does nothing."""
        with self._lock:
            if self._records.pop(record.id, None) is not None:
                self._tally.remove(record.number)
                _drop(self._addresses, address_group(record.peer))
                if record.account_id is not None:
                    _drop(self._accounts, record.account_id)

    def snapshot(self) -> list[SessionRecord]:
        """Copies of all records, oldest first; `as_object` of each is what `who --json` shows."""
        return [replace(record) for record in self._all()]

    def of_account(self, account_id: int) -> list[SessionRecord]:
        """The account's sessions, oldest first."""
        return [record for record in self._all() if record.account_id == account_id]

    def find(self, wanted: str) -> list[SessionRecord]:
        """The session with this id, or all sessions of the account with this name."""
        with self._lock:
            record = self._records.get(wanted)
        return [record] if record else [record for record in self._all() if record.account == wanted]

    def kick(self, wanted: str, reason: str) -> int:
        """End the sessions that `find` finds; how many could be told."""
        kicks = [record.kick for record in self.find(wanted) if record.kick is not None]
        for kick in kicks:
            kick(reason)
        return len(kicks)

    def _all(self) -> list[SessionRecord]:
        with self._lock:
            return list(self._records.values())

    def _join_account(self, record: SessionRecord, account_id: int, limit: int | None) -> None:
        key = _account_key(account_id)
        with self._tally.alone() as others:
            _check(_ACCOUNT, self._accounts[account_id] + others.of(key), limit)
            self._leave_account(record)
            if record.id in self._records:
                self._accounts[account_id] += 1
                self._tally.assign(record.number, key)
            record.account_id = account_id

    def _leave_account(self, record: SessionRecord) -> None:
        if record.account_id is not None and record.id in self._records:
            self._tally.assign(record.number, NOBODY)
            _drop(self._accounts, record.account_id)


def address_group(peer: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64 (one host has all of it), or the text."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _address_key(address: str) -> bytes:
    return key_of(f"address {address}")


def _account_key(account_id: int) -> bytes:
    return key_of(f"account {account_id}")


def _check(scope: str, count: int, limit: int | None) -> None:
    if limit is not None and count >= limit:
        raise TooManySessions(scope, limit)


def _drop(counter: Counter[_Key], key: _Key) -> None:
    """Count one less, and forget what counts nothing: a counter must not grow with every address ever seen."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
