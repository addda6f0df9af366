"""Public keys: which are taken, why others are not, and the way in by one."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from homeport.core.accounts import Accounts
from homeport.core.errors import Banned, InvalidAccount, LoginRefused
from homeport.core.key_login import KeyLogin
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import HashCost
from homeport.core.ssh_keys import KEYS_MAX, SshKeys, fingerprint_of, parse_key
from homeport.core.state import Database

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=10)
HOME, EVIL = "192.0.2.1", "203.0.113.9"
NOW = 2_000_000_000.0


def line_of(public: object, comment: str = "ann@desk") -> str:
    encoded: bytes = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return f"{encoded.decode()} {comment}"


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def line_with(kind: str, *parts: bytes) -> str:
    blob = b"".join(string(part) for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(blob).decode()}"


def rsa_line(bits: int) -> str:
    return line_with("ssh-rsa", b"\1\0\1", b"\0" + (1 << (bits - 1)).to_bytes(-(-bits // 8), "big"))


ED25519 = line_of(ed25519.Ed25519PrivateKey.generate().public_key())
GOOD = {
    "ed25519": ED25519,
    "ecdsa-256": line_of(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "ecdsa-384": line_of(ec.generate_private_key(ec.SECP384R1()).public_key()),
    "ecdsa-521": line_of(ec.generate_private_key(ec.SECP521R1()).public_key()),
    "rsa-2048": line_of(rsa.generate_private_key(65537, 2048).public_key()),
    "rsa-made": rsa_line(2048),
    "sk-ed25519": line_with("sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
    "sk-ecdsa": line_with("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" * 65, b"ssh:"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_key_that_may_be_trusted_is_taken(name: str) -> None:
    key = parse_key(f"  {GOOD[name]}\n")
    assert key.type == GOOD[name].split()[0]
    assert key.blob == base64.b64decode(GOOD[name].split()[1])
    assert key.sources == ()
    assert key.fingerprint == fingerprint_of(key.blob)


def test_the_fingerprint_is_openssh_s() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2IU/AbsQO0YBxO6bHzAAgrwnQnATrPC1y/Tih2Ycyk x"
    blob = base64.b64decode(line.split()[1])
    assert parse_key(line).fingerprint.startswith("SHA256:")
    assert len(fingerprint_of(blob)) == len("SHA256:") + 43
    assert "=" not in fingerprint_of(blob)


LONG = "ssh-ed25519 " + "A" * 20_000
BAD = [
    ("", "this is no public key; it looks like: ssh-ed25519 AAAAC3NzaC1lZDI1... name@machine"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is no public key; it looks like"),
    (LONG, "this is no public key; it looks like"),
    (f"{ED25519}\n{ED25519}", "this is no public key; it looks like"),
    ("ssh-ed25519 A*A*", "the ssh-ed25519 key is cut or changed: it is no base64"),
    (ED25519.split()[0] + " " + ED25519.split()[1][:-8], "the ssh-ed25519 key is cut or changed: it does not say"),
    (line_with("ssh-ed25519", b"k" * 31), "the ssh-ed25519 key is cut or changed: it has not the parts of such a key"),
    (line_with("ssh-ed25519", b"k" * 32, b"more"), "the ssh-ed25519 key is cut or changed: it has not the parts"),
    (ED25519.replace("ssh-ed25519", "ssh-rsa", 1), "the ssh-rsa key is cut or changed: it does not say its own type"),
    (rsa_line(1024), "an RSA key of 1024 bits is refused; the least is 2048, better take ed25519"),
    (rsa_line(16_392), "an RSA key of 16392 bits is refused"),
    (
        line_with("ssh-dss", b"p", b"q", b"g", b"y"),
        "keys of type ssh-dss are not trusted; make one with: ssh-keygen -t ed25519",
    ),
    (
        "ssh-ed25519-cert-v01@openssh.com AAAA",
        "keys of type ssh-ed25519-cert-v01@openssh.com are not trusted; make one with: ssh-keygen -t ed25519",
    ),
    (f"restrict {ED25519}", "the options 'restrict' before the key are not supported: only from="),
    (f'command="rm -rf /",from="::1" {ED25519}', "before the key are not supported: only from="),
    (f'from="*.example.com" {ED25519}', "from= takes IP addresses and networks alone: '*.example.com'"),
    (f'from="10.0.0.1/8" {ED25519}', "from= takes IP addresses and networks alone: 10.0.0.1/8 has host bits set"),
]


@pytest.mark.parametrize(("line", "why"), BAD, ids=range(len(BAD)))
def test_another_key_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_key(line)


def test_a_comment_holds_nothing_that_a_terminal_would_obey() -> None:
    assert parse_key(f"{ED25519.rsplit(' ', 1)[0]} \x1b[2Jann's \x07key").comment == "[2Jann's key"


@pytest.fixture
def accounts(database: Database, tmp_path: Path) -> Accounts:
    accounts = Accounts(database, tmp_path / "homes", cost=CHEAP)
    for name in ("ann", "bob"):
        accounts.create(name, "secret")
    return accounts


@pytest.fixture
def keys(database: Database) -> SshKeys:
    return SshKeys(database, lambda: NOW)


def test_keys_are_kept_found_and_removed(accounts: Accounts, keys: SshKeys) -> None:
    ann, bob = accounts.get("ann"), accounts.get("bob")
    first = keys.add(ann, GOOD["ed25519"])
    second = keys.add(ann, f'from="192.0.2.0/24, ::1" {GOOD["ecdsa-256"]}')
    assert keys.of(ann.id) == sorted([first, second], key=lambda key: key.fingerprint)
    assert second.key.sources == ("192.0.2.0/24", "::1/128")
    assert (first.created_at, first.used_at) == (NOW, None)
    assert keys.find(ann.id, first.key.blob) == first
    assert keys.find(bob.id, first.key.blob) is None
    assert keys.find(None, first.key.blob) is None
    assert keys.remove(ann, first.fingerprint[:20]) == first
    assert keys.of(ann.id) == [second]
    assert keys.remove(ann, second.fingerprint.removeprefix("SHA256:")) == second
    assert keys.of(ann.id) == []


def test_one_key_may_open_two_accounts_but_no_account_twice(accounts: Accounts, keys: SshKeys) -> None:
    keys.add(accounts.get("ann"), ED25519)
    keys.add(accounts.get("bob"), ED25519)
    with pytest.raises(InvalidAccount, match=r"^account 'ann': it has the key SHA256:.* already$"):
        keys.add(accounts.get("ann"), ED25519)


def test_a_key_that_is_none_is_refused_for_the_account(accounts: Accounts, keys: SshKeys) -> None:
    with pytest.raises(InvalidAccount, match=r"^account 'ann': this is no public key; it looks like"):
        keys.add(accounts.get("ann"), "nonsense")


def test_an_account_has_no_more_keys_than_its_share(accounts: Accounts, keys: SshKeys) -> None:
    ann = accounts.get("ann")
    for number in range(KEYS_MAX):
        keys.add(ann, line_with("ssh-ed25519", number.to_bytes(32, "big")))
    with pytest.raises(InvalidAccount, match=r"^account 'ann': it has 64 keys already; remove one first$"):
        keys.add(ann, ED25519)


def test_a_key_is_removed_by_its_comment_and_never_two_at_once(accounts: Accounts, keys: SshKeys) -> None:
    ann = accounts.get("ann")
    first, second = keys.add(ann, GOOD["ed25519"]), keys.add(ann, GOOD["ecdsa-256"])
    assert first.key.comment == second.key.comment == "ann@desk"
    for wanted, found in (("ann@desk", "2 keys"), ("", "no key"), ("SHA256:", "2 keys"), ("bob@desk", "no key")):
        with pytest.raises(
            InvalidAccount, match=rf"^account 'ann': it has {found} like '{wanted}'; `homeport user key"
        ):
            keys.remove(ann, wanted)
    keys.remove(ann, first.fingerprint)
    assert keys.remove(ann, "ann@desk") == second


def test_keys_go_with_their_account(accounts: Accounts, keys: SshKeys) -> None:
    ann = accounts.get("ann")
    keys.add(ann, ED25519)
    accounts.remove("ann")
    assert keys.of(ann.id) == []


@pytest.mark.parametrize(
    ("sources", "address", "fits"),
    [
        ("", EVIL, True),
        ("", "unix", True),
        ('from="192.0.2.0/24" ', HOME, True),
        ('from="192.0.2.0/24" ', f"::ffff:{HOME}", True),
        ('from="192.0.2.0/24" ', EVIL, False),
        ('from="192.0.2.0/24" ', "unix", False),
        ('from="192.0.2.0/24" ', "fe80::1%eth0", False),
        ('from="fe80::/64" ', "fe80::1%eth0", True),
    ],
)
def test_a_key_may_be_bound_to_networks(
    accounts: Accounts, keys: SshKeys, sources: str, address: str, fits: bool
) -> None:
    assert keys.add(accounts.get("ann"), sources + ED25519).may_come_from(address) is fits


def test_when_a_key_was_used_is_noted_once_a_minute(accounts: Accounts, database: Database) -> None:
    now = [NOW]
    keys = SshKeys(database, lambda: now[0])
    ann = accounts.get("ann")
    key = keys.add(ann, ED25519)
    seen = []
    for moment in (0.0, 59.0, 60.0, -5.0):
        now[0] = NOW + moment
        keys.used(key)
        (key,) = keys.of(ann.id)
        seen.append(key.used_at)
    assert seen == [NOW, NOW, NOW + 60, NOW - 5]


class Door:
    def __init__(self, database: Database, accounts: Accounts, keys: SshKeys) -> None:
        settings = GuardSettings(first_delay_s=0.5, failures_before_ban=2)
        self.login = KeyLogin(accounts, keys, LoginGuard(database, settings), lambda: NOW)
        self.key = keys.add(accounts.get("ann"), f'from="{HOME}" {ED25519}')
        self.blob = self.key.key.blob

    def reason(self, name: str, blob: bytes, address: str) -> str:
        assert not self.login.fits(name, blob, address)
        with pytest.raises(LoginRefused) as caught:
            self.login.authenticate(name, blob, address)
        assert str(caught.value) == "login incorrect"
        return caught.value.reason


@pytest.fixture
def door(database: Database, accounts: Accounts, keys: SshKeys) -> Door:
    return Door(database, accounts, keys)


def test_a_key_opens_its_account_and_the_use_is_noted(door: Door, accounts: Accounts, keys: SshKeys) -> None:
    ann = accounts.get("ann")
    assert door.login.fits("ANN", door.blob, HOME)
    assert keys.of(ann.id)[0].used_at is None
    assert door.login.authenticate("ANN", door.blob, HOME) == ann
    assert keys.of(ann.id)[0].used_at == NOW


def test_nobody_else_comes_in_by_it(door: Door, accounts: Accounts) -> None:
    assert door.reason("nobody", door.blob, HOME) == "unknown name"
    assert door.reason("bob", door.blob, HOME) == "unknown key"
    assert door.reason("ann", b"another", HOME) == "unknown key"
    assert door.reason("ann", door.blob, EVIL) == "the key is not for this address"
    accounts.update("ann", enabled=False)
    assert door.reason("ann", door.blob, HOME) == "disabled"
    accounts.update("ann", enabled=True, expires_at=NOW)
    assert door.reason("ann", door.blob, HOME) == "expired"


def test_keys_that_do_not_fit_are_no_failures_but_too_many_of_them_are(door: Door) -> None:
    for _ in range(20):
        door.login.fits("ann", b"another", EVIL)
    assert door.login.failed("ann", EVIL) == 0.5
    assert door.login.failed("ann", EVIL) == pytest.approx(1.0, rel=0.01)
    for ask in (door.login.fits, door.login.authenticate):
        with pytest.raises(Banned):
            ask("ann", door.blob, EVIL)
    assert door.login.fits("ann", door.blob, HOME)
