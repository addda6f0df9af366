"""Who is trusted, who is let in, and what a broken greeting means."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.client.ssh.conftest import Person
from tests.client.ssh.scripted_sshd import ScriptedSshd, key

from homeport.client import errors
from homeport.client.fingerprint import as_ssh_shows, parse_fingerprint
from homeport.client.options import ConnectionOptions
from homeport.client.ssh import algorithms
from homeport.client.ssh.connection import fingerprint_of
from homeport.client.ssh.keys import MAX_OFFERS, Identities, load
from homeport.client.ssh.loop import Driver

OTHER = "sha256:" + "cd" * 32


# --- the server's key ---


def test_first_contact_is_asked_about_before_anything_is_sent(server: ScriptedSshd, person: Person) -> None:
    person.known.forget(person.url.server)
    person.answer = False
    with pytest.raises(errors.IdentityUnknown, match="was not trusted; nothing was sent"):
        person.dial()
    (contact,) = person.asked
    assert (contact.server, contact.fingerprint, contact.expires) == (
        f"sftp://127.0.0.1:{server.port}",
        fingerprint_of(key()),
        "",
    )
    assert server.logins == []
    person.answer = True
    assert person.dial().is_open
    assert person.dial().is_open
    assert len(person.asked) == 2
    assert person.known.all() == {person.url.server: fingerprint_of(key())}


def test_the_fingerprint_is_that_of_ssh(tmp_path: Path) -> None:
    shown = key().get_fingerprint()
    assert as_ssh_shows(fingerprint_of(key())) == shown
    assert parse_fingerprint(shown) == fingerprint_of(key())


def test_nobody_to_ask(server: ScriptedSshd, person: Person) -> None:
    person.known.forget(person.url.server)
    with pytest.raises(errors.IdentityUnknown) as raised:
        person.dial(trust=person.trust(can_ask=False))
    assert str(raised.value).endswith(f"add: --fingerprint {as_ssh_shows(fingerprint_of(key()))}")
    assert person.dial(trust=person.trust(pinned=fingerprint_of(key()), can_ask=False)).is_open
    assert person.known.all() == {}


def test_a_changed_key_stops_everything(server: ScriptedSshd, person: Person) -> None:
    person.known.remember(person.url.server, OTHER)
    with pytest.raises(errors.IdentityChanged) as raised:
        person.dial()
    assert (raised.value.expected, raised.value.actual) == (OTHER, fingerprint_of(key()))
    assert server.logins == []


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_server_with_keys_of_several_types_is_known_by_any(tmp_path: Path, kind: str) -> None:
    server = ScriptedSshd()
    server.host_keys = [key(), key(kind)]
    with server:
        person = Person(server, tmp_path)
        person.known.remember(person.url.server, fingerprint_of(key(kind)))
        person.dial().close()
        person.known.remember(person.url.server, OTHER)
        with pytest.raises(errors.IdentityChanged):
            person.dial()
        assert server.logins.count(("password", "right")) == 1


# --- logging in ---


def test_a_wrong_password(server: ScriptedSshd, person: Person) -> None:
    with pytest.raises(errors.LoginFailed, match="login of alice failed: the server accepts no key and no password"):
        person.dial("wrong")
    assert server.logins.count(("password", "wrong")) == 1  # each one counts against the account


def test_a_server_that_asks_with_words(server: ScriptedSshd, person: Person) -> None:
    server.keyboard_only = True
    assert person.dial().is_open
    with pytest.raises(errors.LoginFailed):
        person.dial("wrong")


def written(folder: Path, name: str, made: asyncssh.SSHKey, passphrase: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    made.write_private_key(str(folder / name), "openssh" if passphrase is None else "pkcs8-pem", passphrase)
    return folder / name


def test_a_key_is_enough(server: ScriptedSshd, person: Person, tmp_path: Path) -> None:
    server.authorized = [key(number=1)]
    person.dial(keys=True, identity=written(tmp_path, "mine", key(number=1)))
    assert ("password", "right") not in server.logins


def test_a_key_that_is_not_known_there(server: ScriptedSshd, person: Person, tmp_path: Path) -> None:
    server.authorized = [key(number=1)]
    person.dial(keys=True, identity=written(tmp_path, "mine", key(number=2)))
    assert server.logins[-1] == ("password", "right")


def test_a_key_with_a_passphrase(server: ScriptedSshd, person: Person, tmp_path: Path) -> None:
    server.authorized = [key(number=1)]
    file = written(tmp_path, "mine", key(number=1), "word")
    asked: list[str] = []

    def ask(path: str) -> str:
        asked.append(path)
        return "word"

    person.dial(keys=True, identity=file, ask_passphrase=ask)
    assert asked == [str(file)]
    with pytest.raises(errors.UsageError, match="this is not its passphrase"):
        person.dial(keys=True, identity=file, ask_passphrase=lambda _: "other")
    with pytest.raises(errors.UsageError, match="has a passphrase, and nobody is here to ask for it; use an agent"):
        person.dial(keys=True, identity=file)
    assert ("password", "right") not in server.logins


def test_a_passphrase_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise asyncssh.KeyImportError("OpenSSH private key encryption requires bcrypt with KDF support")

    monkeypatch.setattr(asyncssh, "load_keypairs", refuse)
    with pytest.raises(errors.UsageError, match=r"install it \(pip install bcrypt\), or use an agent \(ssh-add k\)"):
        load(Path("k"), ConnectionOptions())


def test_a_named_key_must_be_one(server: ScriptedSshd, person: Person, tmp_path: Path) -> None:
    server.authorized = [key(number=1)]
    (tmp_path / "text").write_text("hello")
    with pytest.raises(errors.UsageError, match="holds no private key that is understood"):
        person.dial(keys=True, identity=tmp_path / "text")
    with pytest.raises(errors.LocalFailed, match="cannot be read: No such file"):
        load(tmp_path / "nope", ConnectionOptions())


def found(tmp_path: Path, **environment: str) -> list[bytes]:
    identities = Identities(ConnectionOptions(), environment, tmp_path)
    try:
        return [pair.public_data for pair in asyncio.run(identities.find())]
    finally:
        identities.close()


def test_the_usual_files_are_tried_quietly(tmp_path: Path) -> None:
    folder = tmp_path / ".ssh"
    written(folder, "id_ed25519", key(number=1))
    written(folder, "id_ecdsa", key(number=2), "secret")
    (folder / "id_rsa").write_text("nonsense")
    assert found(tmp_path) == [key(number=1).public_data]
    assert found(tmp_path / "nobody") == []
    assert found(tmp_path, SSH_AUTH_SOCK=str(tmp_path / "stale")) == [key(number=1).public_data]


def test_without_keys(tmp_path: Path) -> None:
    assert list(asyncio.run(Identities(ConnectionOptions(keys=False), {}, tmp_path).find())) == []


def test_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Agent:
        closed = False

        async def get_keys(self) -> list[Any]:
            return [asyncssh.load_keypairs([key(number=number)])[0] for number in range(MAX_OFFERS + 3)]

        def close(self) -> None:
            Agent.closed = True

    async def connect_agent(path: str) -> Agent:
        assert path == "/agent"
        return Agent()

    monkeypatch.setattr(asyncssh, "connect_agent", connect_agent)
    written(tmp_path / ".ssh", "id_ed25519", key(number=0))
    assert found(tmp_path, SSH_AUTH_SOCK="/agent") == [key(number=number).public_data for number in range(MAX_OFFERS)]
    assert Agent.closed


# --- what is no SSH server ---


@contextmanager
def listening(greeting: bytes, *, hang_up: bool) -> Iterator[int]:
    """A port where everybody is sent `greeting`, and then hung up on, or nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.sendall(greeting)
                if not hang_up:
                    ended.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(20)


GREETINGS = [
    (b"", errors.ConnectionFailed, "closed the connection"),
    (b"SSH-1.5-old\r\n", errors.Incompatible, "speaks no SSH that is known here"),
    (b"220 ftp\r\n" * 2000, errors.ProtocolViolation, "breaks the SSH protocol"),
    (b"x" * 100_000, errors.ProtocolViolation, "breaks the SSH protocol: Banner line too long"),
    (b"220 ftp\r\n", errors.Stalled, "speaks no SSH, or not within the time; is it the right port?"),
    (b"", errors.Stalled, "speaks no SSH, or not within the time; is it the right port?"),
]


@pytest.mark.parametrize(("greeting", "kind", "text"), GREETINGS)
def test_what_is_no_ssh_server(person: Person, greeting: bytes, kind: type[errors.ClientError], text: str) -> None:
    is_silent = kind is errors.Stalled
    with listening(greeting, hang_up=not is_silent) as port:
        person.server.port = port
        with pytest.raises(errors.ClientError) as raised:
            person.dial(connect_timeout_s=0.3 if is_silent else 10.0)
    assert (type(raised.value), text in str(raised.value)) == (kind, True), raised.value


def test_no_sftp_for_this_account(server: ScriptedSshd, person: Person) -> None:
    server.subsystem = False
    with pytest.raises(errors.Incompatible, match=r"127\.0\.0\.1 does not offer SFTP to this account"):
        person.dial()


def test_weak_algorithms_are_not_agreed_to() -> None:
    every = [
        *algorithms.key_exchanges(),
        *algorithms.CIPHERS,
        *algorithms.MACS,
        *(name for family in algorithms.HOST_KEYS for name in family),
    ]
    weak = ("sha1", "cbc", "md5", "group1", "group14", "arcfour", "3des", "-96", "umac", "ssh-rsa", "dss")
    assert [name for name in every if any(word in name for word in weak) and "group1" not in name] == []
    assert [name for name in every if name in ("diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1")] == []


# --- the loop ---


def test_a_loop_that_is_closed() -> None:
    driver = Driver("h", 1.0)
    driver.close()
    driver.close()
    driver.interrupt()
    driver.look_in()
    with pytest.raises(errors.ConnectionFailed):
        driver.wait(lambda: False)
    fresh = Driver("h", 1.0)
    fresh.close()
    with pytest.raises(errors.ConnectionFailed, match="the connection to h is closed"), fresh.inside():
        pass


def test_what_is_left_running_is_cancelled() -> None:
    driver = Driver("h", 1.0)
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin() -> None:
        tasks.append(asyncio.ensure_future(endless()))
        await asyncio.sleep(0)

    tasks: list[object] = []
    driver.complete(begin())
    driver.close()
    assert ended == ["cancelled"]


def test_a_long_wait_is_interrupted_too() -> None:
    driver = Driver("h", 0.01)
    timer = threading.Timer(0.05, driver.interrupt)
    timer.start()
    with pytest.raises(errors.ConnectionFailed, match="interrupted"):
        driver.wait_long(lambda: False)
    with pytest.raises(errors.ConnectionFailed, match="interrupted"):
        driver.complete(asyncio.sleep(10))
    driver.close()
