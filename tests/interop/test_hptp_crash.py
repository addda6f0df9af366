"""HPTP and kill -9 of the server: every file is old or new and whole, what was answered stands, the ledger is exact."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.interop.live_server import Account, LiveServer, running, wait_until
from tests.servers.hptp.client import Failed, Gone, HptpClient

pytestmark = pytest.mark.interop

KILLS = 6
SMALL = 40
LARGE = 4 * 2**20 + 77


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[LiveServer]:
    """A server with two workers that is killed as a whole again and again."""
    with running(tmp_path / "victim", workers="2", fsync="group") as server:
        port = server.json("status")[0]["services"]["hptp"]["port"]
        server.settings = server.settings | {"hptp.port": str(port)}  # a second start takes the same one
        yield server


@dataclass
class Round:
    """One mixed transfer: what was to be stored, and which answers came."""

    seed: int
    answered: set[str] = field(default_factory=set)
    begun: threading.Event = field(default_factory=threading.Event)

    def content(self, path: str) -> bytes:
        size = LARGE if path == "/large" else random.Random(f"size {path}").randrange(0, 40_000)
        return random.Random(f"{self.seed} {path}").randbytes(size)

    @property
    def stays_half(self) -> bool:
        """Whether the server is killed when it has a part of the large file, and the rest never comes."""
        return self.seed % 2 == 1

    @property
    def paths(self) -> list[str]:
        return ["/large", *(f"/many/{number % 3}/{number}" for number in range(SMALL))]

    def run(self, client: HptpClient) -> None:
        """Send everything without waiting, then collect the answers until the server is gone."""
        with contextlib.suppress(Gone, OSError, Failed):
            large, *small = self.paths
            streams = {client.open("put", path=large, size=LARGE): large}
            client.send_body(next(iter(streams)), self.content(large)[: LARGE // 2])
            self.begun.set()
            for path in small:
                data = self.content(path)
                streams[client.begin_put(path, data, size=len(data), parents=True)] = path
            if self.stays_half:
                client.finish(next(iter(streams)))
            stream = next(iter(streams))
            client.send_body(stream, self.content(large)[LARGE // 2 :])
            client.engine.send_end(stream, {})
            for stream, path in streams.items():
                client.finish(stream)
                self.answered.add(path)
        self.begun.set()


def connected(server: LiveServer, account: Account) -> HptpClient:
    client = HptpClient(("127.0.0.1", int(server.settings["hptp.port"])))
    client.log_in(account.name, account.password)
    return client


@pytest.mark.timeout(600)
def test_kill_at_random_moments_of_a_mixed_transfer(victim: LiveServer) -> None:
    account = victim.add_account("crash")
    home = victim.home(account)
    chance = random.Random(20261)
    standing: dict[str, set[bytes]] = {path: set() for path in Round(0).paths}
    resumed = []
    for seed in range(KILLS):
        this = Round(seed)
        client = connected(victim, account)
        thread = threading.Thread(target=this.run, args=(client,))
        thread.start()
        assert this.begun.wait(20)
        if this.stays_half:
            wait_until(lambda: largest_stage(victim, account) >= LARGE // 4, "a part of the large file")
        time.sleep(chance.uniform(0, 0.15))
        victim.kill()
        thread.join(20)
        assert not thread.is_alive()
        client.cut()
        for path, contents in standing.items():
            found = home / path[1:]
            new = this.content(path)
            if path in this.answered:
                assert found.read_bytes() == new, f"{path} was answered for and is not there"
                contents.clear()
            contents.add(new)
            assert not found.exists() or found.read_bytes() in contents, f"{path} is neither old nor new"
            if found.exists():
                standing[path] = {found.read_bytes()}
        victim.start()
        offset = resume_large(victim, account, this)
        if this.stays_half:
            resumed.append(offset)
        standing["/large"] = {this.content("/large")}
        assert (home / "large").read_bytes() == this.content("/large")
    victim.assert_no_drift(account)
    assert len(resumed) == KILLS // 2
    assert all(LARGE // 4 <= offset <= LARGE // 2 for offset in resumed), resumed


def largest_stage(server: LiveServer, account: Account) -> int:
    """The bytes in it."""
    return max((stage["size"] for stage in server.json("user", "stages", "list", account.name)), default=0)


def resume_large(server: LiveServer, account: Account, this: Round) -> int:
    """Go on as a client does: compare what is there by its digest, and send the rest. How much was there already."""
    import hashlib

    content = this.content("/large")
    with connected(server, account) as client:
        stream = client.open("put", path="/large", resume=True)
        client.wait(lambda: stream in client.streams and client.streams[stream].head is not None)
        head = client.streams[stream].head
        assert head is not None
        offset = head["offset"]
        assert isinstance(offset, int)
        if offset and head["prefix_sha256"] != hashlib.sha256(content[:offset]).hexdigest():
            client.engine.cancel(stream, "another file")
            stream, offset = client.open("put", path="/large"), 0
        client.send_body(stream, content[offset:])
        client.engine.send_end(stream, {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        client.finish(stream)
    return offset
