from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.ssh.scripted_sshd import ScriptedSshd

from homeport.client.dial import open_remote
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.ssh.connection import fingerprint_of
from homeport.client.ssh.remote import SftpRemote
from homeport.client.trust import FirstContact, KnownHosts, Trust
from homeport.client.url import RemoteUrl


class Person:
    """Somebody who dials: knows keys, has a password, and remembers what was asked."""

    def __init__(self, server: ScriptedSshd, folder: Path) -> None:
        self.server = server
        self.known = KnownHosts(folder / "known_hosts.toml")
        self.asked: list[FirstContact] = []
        self.opened: list[SftpRemote] = []
        self.answer = True

    @property
    def url(self) -> RemoteUrl:
        return RemoteUrl("sftp", "127.0.0.1", self.server.port, "alice", "/")

    def trust(self, *, pinned: str | None = None, can_ask: bool = True) -> Trust:
        return Trust(self.known, pinned, self._ask if can_ask else None)

    def dial(self, password: str = "right", trust: Trust | None = None, **options: object) -> SftpRemote:
        how = ConnectionOptions(**{"connect_timeout_s": 10.0, "stall_timeout_s": 10.0, "keys": False, **options})  # type: ignore[arg-type]
        remote = open_remote(self.url, Credentials("alice", password), trust or self.trust(), how)
        assert isinstance(remote, SftpRemote)
        self.opened.append(remote)
        return remote

    def _ask(self, contact: FirstContact) -> bool:
        self.asked.append(contact)
        return self.answer


Dial = Callable[..., SftpRemote]


@pytest.fixture
def server() -> Iterator[ScriptedSshd]:
    with ScriptedSshd() as running:
        yield running


@pytest.fixture
def person(server: ScriptedSshd, tmp_path: Path) -> Iterator[Person]:
    made = Person(server, tmp_path)
    made.known.remember(made.url.server, fingerprint_of(server.host_keys[0]))
    yield made
    for remote in made.opened:
        remote.close()


@pytest.fixture
def remote(person: Person) -> SftpRemote:
    return person.dial()
