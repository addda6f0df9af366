"""Public keys that open an account through SSH: which may, where they are kept, and when they were used.

The one rule: a key that is kept is one that may be trusted today; what its line in the style of authorized_keys says
beside the key is either kept to or refused with a reason, never passed over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from homeport.core.accounts import Account
from homeport.core.errors import InvalidAccount
from homeport.core.schema import ssh_keys
from homeport.core.state import Database

LINE_MAX = 16_384
KEYS_MAX = 64  # of one account
_RSA_LEAST_BITS = 2048
_RSA_MOST_BITS = 16_384
_COMMENT_MAX = 200
_USED_EVERY_S = 60.0  # `used_at` needs no second write within this

# How long the parts of a blob are behind its type; None: any length.
_PARTS: dict[str, tuple[int | None, ...]] = {
    "ssh-ed25519": (32,),
    "ssh-rsa": (None, None),
    "ecdsa-sha2-nistp256": (8, 65),
    "ecdsa-sha2-nistp384": (8, 97),
    "ecdsa-sha2-nistp521": (8, 133),
    "sk-ssh-ed25519@openssh.com": (32, None),
    "sk-ecdsa-sha2-nistp256@openssh.com": (8, 65, None),
}
_LINE = re.compile(
    r'(?:(?P<options>(?:[^\s"]|"(?:[^"\\]|\\.)*")+)\s+)?(?P<type>[a-z][a-z0-9@.-]+)\s+(?P<blob>\S+)(?:\s+(?P<comment>.*))?'
)
_FROM = re.compile(r'from="(?P<patterns>[^"\\]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as its line says it. `sources`: the networks from which it may be used; empty: from everywhere."""

    type: str
    blob: bytes
    comment: str
    sources: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it."""
        return fingerprint_of(self.blob)


@dataclass(frozen=True, slots=True)
class SshKey:
    """A key that is kept. The times are seconds since the epoch; `used_at` is None for one that never was."""

    account_id: int
    key: PublicKey
    created_at: float
    used_at: float | None

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it."""
        return self.key.fingerprint

    def may_come_from(self, address: str) -> bool:
        """Whether it may be used by a peer at `address`."""
        if not self.key.sources:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:  # a Unix socket's peer has no address
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in ipaddress.ip_network(network) for network in self.key.sources)


def fingerprint_of(blob: bytes) -> str:
    """The SHA-256 of a public key, as OpenSSH shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse_key(line: str) -> PublicKey:
    """The key in a line of authorized_keys or of a `.pub` file. Raises ValueError, which says what is wrong with it."""
    line = line.strip()
    found = _LINE.fullmatch(line) if len(line) <= LINE_MAX and "\n" not in line else None
    if found is None:
        raise ValueError("this is no public key; it looks like: ssh-ed25519 AAAAC3NzaC1lZDI1... name@machine")
    kind = found["type"]
    try:
        blob = base64.b64decode(found["blob"], validate=True)
    except binascii.Error:
        raise ValueError(f"the {kind} key is cut or changed: it is no base64") from None
    _check_blob(kind, blob)
    comment = "".join(character for character in found["comment"] or "" if character.isprintable())
    return PublicKey(kind, blob, comment.strip()[:_COMMENT_MAX], _sources(found["options"]))


def _check_blob(kind: str, blob: bytes) -> None:
    if kind not in _PARTS:
        raise ValueError(f"keys of type {kind} are not trusted; make one with: ssh-keygen -t ed25519")
    parts = _strings(blob)
    if not parts or parts[0] != kind.encode():
        raise ValueError(f"the {kind} key is cut or changed: it does not say its own type")
    wanted = _PARTS[kind]
    fits = len(parts) == len(wanted) + 1 and all(
        size is None or len(part) == size for part, size in zip(parts[1:], wanted, strict=True)
    )
    if not fits:
        raise ValueError(f"the {kind} key is cut or changed: it has not the parts of such a key")
    if kind == "ssh-rsa":
        bits = int.from_bytes(parts[2], "big").bit_length()
        if not _RSA_LEAST_BITS <= bits <= _RSA_MOST_BITS:
            raise ValueError(
                f"an RSA key of {bits} bits is refused; the least is {_RSA_LEAST_BITS}, better take ed25519"
            )


def _strings(blob: bytes) -> list[bytes]:
    """What the blob consists of; nothing when its lengths do not fit."""
    parts, at = [], 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        at += 4 + size
        if at > len(blob):
            return []
        parts.append(blob[at - size : at])
    return parts


def _sources(options: str | None) -> tuple[str, ...]:
    if not options:
        return ()
    found = _FROM.fullmatch(options)
    if found is None:
        raise ValueError(
            f'the options {options!r} before the key are not supported: only from="ADDRESS,NETWORK/BITS" is; '
            "remove the others"
        )
    try:
        return tuple(str(ipaddress.ip_network(text.strip())) for text in found["patterns"].split(","))
    except ValueError as error:
        raise ValueError(f"from= takes IP addresses and networks alone: {error}") from None


class SshKeys:
    """The keys of all accounts. Threads and processes may share them."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, account: Account, line: str) -> SshKey:
        """Let the key in `line` open the account. Raises InvalidAccount, which says why not."""
        try:
            key = parse_key(line)
        except ValueError as error:
            raise InvalidAccount(account.name, str(error)) from error
        if len(self.of(account.id)) >= KEYS_MAX:
            raise InvalidAccount(account.name, f"it has {KEYS_MAX} keys already; remove one first")
        row = {
            "account_id": account.id,
            "fingerprint": key.fingerprint,
            "type": key.type,
            "blob": key.blob,
            "comment": key.comment,
            "sources": ",".join(key.sources),
            "created_at": self._clock(),
        }
        try:
            with self._database.write() as connection:
                return _key(connection.execute(insert(ssh_keys).values(row).returning(ssh_keys)).mappings().one())
        except IntegrityError as error:
            raise InvalidAccount(account.name, f"it has the key {key.fingerprint} already") from error

    def of(self, account_id: int) -> list[SshKey]:
        """The account's keys, the oldest first."""
        mine = select(ssh_keys).where(ssh_keys.c.account_id == account_id)
        with self._database.read() as connection:
            rows = connection.execute(mine.order_by(ssh_keys.c.created_at, ssh_keys.c.fingerprint)).mappings().all()
        return [_key(row) for row in rows]

    def remove(self, account: Account, wanted: str) -> SshKey:
        """Forget the one key with this fingerprint, comment, or beginning of a fingerprint. Raises InvalidAccount."""
        keys = self.of(account.id)
        exact = [key for key in keys if wanted in (key.fingerprint, key.key.comment)]
        prefix = wanted if wanted.startswith("SHA256:") else f"SHA256:{wanted}"
        found = exact or [key for key in keys if wanted and key.fingerprint.startswith(prefix)]
        if len(found) != 1:
            what = "no key" if not found else f"{len(found)} keys"
            raise InvalidAccount(
                account.name, f"it has {what} like {wanted!r}; `homeport user key list` shows them all"
            )
        which = (ssh_keys.c.account_id == account.id) & (ssh_keys.c.fingerprint == found[0].fingerprint)
        with self._database.write() as connection:
            connection.execute(delete(ssh_keys).where(which))
        return found[0]

    def find(self, account_id: int | None, blob: bytes) -> SshKey | None:
        """The account's key with this blob; the same work for an account that nobody has (None)."""
        which = (ssh_keys.c.account_id == (account_id or -1)) & (ssh_keys.c.fingerprint == fingerprint_of(blob))
        with self._database.read() as connection:
            row = connection.execute(select(ssh_keys).where(which)).mappings().first()
        return None if row is None else _key(row)

    def used(self, key: SshKey) -> None:
        """Note that somebody came in with it."""
        now = self._clock()
        if key.used_at is not None and 0 <= now - key.used_at < _USED_EVERY_S:
            return
        which = (ssh_keys.c.account_id == key.account_id) & (ssh_keys.c.fingerprint == key.fingerprint)
        with self._database.write() as connection:
            connection.execute(update(ssh_keys).where(which).values(used_at=now))


def _key(row: RowMapping) -> SshKey:
    sources = tuple(filter(None, row["sources"].split(",")))
    key = PublicKey(row["type"], bytes(row["blob"]), row["comment"], sources)
    return SshKey(row["account_id"], key, row["created_at"], row["used_at"])
