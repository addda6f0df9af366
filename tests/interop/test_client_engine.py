"""The client's engine and sync against Homeport itself, and against every peer that `$HOMEPORT_PEERS` offers.

HOMEPORT_PEERS names the folder in which `benchmarks/peers.sh up FOLDER` runs its servers.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.interop.live_server import LiveServer, running, wait_until

from homeport.client.dial import dialler
from homeport.client.engine import Engine
from homeport.client.errors import IntegrityMismatch, NoRoom, ServerRefused
from homeport.client.events import Event, FileDone, FileStarted, Restarted, Summary
from homeport.client.items import Item, download, upload
from homeport.client.options import ConnectionOptions, Credentials, TransferOptions
from homeport.client.remote import Remote
from homeport.client.sync import Direction, Sync, SyncOptions
from homeport.client.trust import KnownHosts, Trust
from homeport.client.url import RemoteUrl

MIB = 1024 * 1024
PEERS = {
    "vsftpd": 2101,
    "ProFTPD": 2102,
    "pure-ftpd": 2103,
    "pyftpdlib": 2104,
    "vsftpd with TLS": 2111,
    "ProFTPD with TLS": 2112,
    "pyftpdlib with TLS": 2114,
}
OURS, OURS_PLAIN = "Homeport", "Homeport in the clear"

pytestmark = pytest.mark.interop


@dataclass
class Place:
    """A folder of the test's own on a server."""

    name: str
    port: int
    user: str
    password: str
    folder: str
    here: Path
    plain: bool = False
    jobs: int = 3
    events: list[Event] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        return self.name.startswith("Homeport")

    def engine(self) -> Engine:
        url = RemoteUrl("ftp", "127.0.0.1", self.port, self.user, "/")
        trust = Trust(KnownHosts(self.here / "known_hosts.toml"), ask=lambda _contact: True)
        options = ConnectionOptions(plain=True, stall_timeout_s=20)
        dial = dialler(url, Credentials(self.user, self.password), trust, options)
        transfer = TransferOptions(
            jobs=self.jobs, fsync=False, state_folder=self.here / "state", progress_interval_s=0.0
        )
        return Engine(dial, self.events.append, transfer, origin=str(url))

    def run(self, *items: Item) -> Summary:
        with self.engine() as engine:
            return engine.run(items)

    def ask(self, act: Callable[[Remote], None]) -> None:
        with self.engine() as engine:
            engine.attempt(act)

    def local(self, name: str, size: int = 0) -> Path:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(f"{name}{size}").randbytes(size))
        os.utime(path, (1_600_000_000.25, 1_600_000_000.25))
        return path

    def heard(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LiveServer]]:
    with (
        running(tmp_path_factory.mktemp("private")) as private,
        running(tmp_path_factory.mktemp("clear"), ftp__tls="off") as clear,
    ):
        yield {OURS: private, OURS_PLAIN: clear}


@pytest.fixture(params=[OURS, OURS_PLAIN, *PEERS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name = request.param
    digest = hashlib.sha256(f"{request.node.nodeid}{os.getpid()}".encode()).hexdigest()[:12]
    if name in PEERS:
        if "HOMEPORT_PEERS" not in os.environ:
            pytest.skip("HOMEPORT_PEERS names no folder made by benchmarks/peers.sh")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PEERS[name])):
                pytest.skip(f"{name} is not running")
        made = Place(name, PEERS[name], "bench", "benchpw", f"/t{digest}", tmp_path)
        made.ask(lambda remote: remote.make_directory(made.folder))
        yield made
        _remove(made)
        return
    server = request.getfixturevalue("ours")[name]
    account = server.add_account(f"u{digest}")
    yield Place(name, server.port, account.name, account.password, "/t", tmp_path, name == OURS_PLAIN)


@pytest.fixture
def at_ours(ours: dict[str, LiveServer], tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    account = ours[OURS].add_account("o" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12])
    return Place(OURS, ours[OURS].port, account.name, account.password, "", tmp_path)


def _remove(place: Place) -> None:
    empty = place.here / "nothing"
    empty.mkdir()
    (empty / "one").touch()
    with place.engine() as engine:
        cleaning = Sync(engine, empty, place.folder, Direction.UP, SyncOptions(delete=True, max_delete=10_000))
        cleaning.execute(cleaning.plan())
        engine.attempt(lambda remote: remote.remove_file(f"{place.folder}/one"))
        engine.attempt(lambda remote: remote.remove_directory(place.folder))


def tree_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_tree_up_and_down_and_then_nothing_to_do(place: Place) -> None:
    for number in range(40):
        place.local(f"tree/d{number % 4}/文件 {number}", number * 997)
    place.local("tree/large", 5 * MIB + 17)
    place.local("tree/empty file")
    (place.here / "tree/empty folder").mkdir()
    with place.engine() as engine:
        up = Sync(engine, place.here / "tree", place.folder, Direction.UP)
        plan = up.plan()
        assert len(plan.transfers) == 42
        assert up.execute(plan).is_clean
        assert up.plan().steps == ()
        down = Sync(engine, place.here / "back", place.folder, Direction.DOWN)
        assert down.execute(down.plan()).is_clean
        assert down.plan().steps == ()
    assert tree_of(place.here / "back") == tree_of(place.here / "tree")
    assert (place.here / "back/empty folder").is_dir()


def test_delete_and_replace(place: Place) -> None:
    place.local("tree/a", 100)
    place.local("tree/kind/file", 100)
    place.local("tree/gone/x", 100)
    with place.engine() as engine:
        one = Sync(engine, place.here / "tree", place.folder, Direction.UP)
        assert one.execute(one.plan()).is_clean
        for name in ("kind/file", "gone/x"):
            (place.here / "tree" / name).unlink()
            (place.here / "tree" / name).parent.rmdir()
        place.local("tree/kind", 50)
        place.local("tree/a", 200)
        one = Sync(engine, place.here / "tree", place.folder, Direction.UP, SyncOptions(delete=True))
        assert one.execute(one.plan()).is_clean
        assert one.plan().steps == ()
        down = Sync(engine, place.here / "back", place.folder, Direction.DOWN)
        assert down.execute(down.plan()).is_clean
    assert tree_of(place.here / "back") == tree_of(place.here / "tree")


class Interrupter:
    """Hears an engine and breaks its connections after some bytes of progress."""

    def __init__(self, place: Place, after: int) -> None:
        self.place = place
        self.after = after
        self.moved = 0
        self.engine: Engine | None = None

    def __call__(self, event: Event) -> None:
        self.place.events.append(event)
        self.moved += getattr(event, "amount", 0)
        if self.engine is not None and self.moved >= self.after:
            self.engine.stop()


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_transfer_that_is_stopped_goes_on(place: Place, way: str) -> None:
    size = 24 * MIB + 5
    source = place.local("large", size)
    there = f"{place.folder}/large"
    place.ask(lambda remote: None if remote.stat("/") and not place.is_ours else _make(remote, place.folder))
    item = upload(source, there)
    if way == "down":
        assert place.run(item).is_clean
        item = download(there, place.here / "back")
    place.events.clear()
    hear = Interrupter(place, 8 * MIB)
    with place.engine() as engine:
        engine._listener, hear.engine = hear, engine
        assert engine.run([item]).stopped
    first = hear.moved
    place.events.clear()
    summary = place.run(item)
    assert summary.is_clean
    assert first + summary.bytes <= size + 4 * MIB
    assert place.heard(Restarted) == []
    target = place.here / "back"
    assert place.run(download(there, target)).is_clean
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()


def _make(remote: Remote, folder: str) -> None:
    if folder:
        remote.make_directory(folder)


def test_what_each_server_refuses_is_told_in_words(place: Place) -> None:
    verdict = place.run(download(f"{place.folder}/none", place.here / "none")).verdict
    assert isinstance(verdict, ServerRefused)
    assert "the server says: " in str(verdict) or "no such file" in str(verdict)


def test_our_server_proves_every_file(at_ours: Place) -> None:
    small, large = at_ours.local("small", 100), at_ours.local("large", 3 * MIB)
    assert at_ours.run(upload(small, "/small"), upload(large, "/large")).is_clean
    assert at_ours.run(download("/small", at_ours.here / "s"), download("/large", at_ours.here / "l")).is_clean
    assert [event.verified for event in at_ours.heard(FileDone) if isinstance(event, FileDone)] == ["SHA-256"] * 4


def test_our_server_keeps_times(at_ours: Place) -> None:
    assert at_ours.run(upload(at_ours.local("a", 10), "/a")).is_clean
    assert at_ours.run(download("/a", at_ours.here / "b")).is_clean
    assert (at_ours.here / "b").stat().st_mtime == pytest.approx(1_600_000_000.25, abs=1)


def test_a_full_quota_ends_the_job(at_ours: Place, ours: dict[str, LiveServer]) -> None:
    ours[OURS].run("user", "set", at_ours.user, "--quota", "1MiB")
    items = [upload(at_ours.local(f"f{number}", 300_000), f"/f{number}") for number in range(12)]
    summary = at_ours.run(*items)
    assert isinstance(summary.error, NoRoom)
    assert summary.done <= 3


def test_a_mismatch_leaves_the_old_file(at_ours: Place) -> None:
    assert at_ours.run(upload(at_ours.local("a", 100), "/a")).is_clean

    def lie(remote: Remote) -> None:
        from homeport.client.remote import Digest

        writer = remote.open_writer("/a", size=5, expected=Digest("SHA-256", "0" * 64))
        writer.write(memoryview(b"wrong"))
        with pytest.raises(IntegrityMismatch):
            writer.finish()
        assert remote.stat("/a").size == 100

    at_ours.ask(lie)


_CHILD = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
from tests.interop.test_client_engine import Place
from homeport.client.items import download, upload
port, user, password, here, way = sys.argv[2:]
place = Place("Homeport", int(port), user, password, "", Path(here))
item = upload(Path(here, "large"), "/large") if way == "up" else download("/large", Path(here, "back"))
sys.exit(0 if place.run(item).is_clean else 1)
"""


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_client_that_is_killed_loses_next_to_nothing(at_ours: Place, ours: dict[str, LiveServer], way: str) -> None:
    size = 96 * MIB
    source = at_ours.local("large", size)
    if way == "down":
        assert at_ours.run(upload(source, "/large")).is_clean
    else:
        at_ours.engine().close()
    child = [sys.executable, "-c", _CHILD, ":".join(sys.path), str(at_ours.port), at_ours.user, at_ours.password]
    part = at_ours.here / ".back.homeport-part"
    stages = ours[OURS].directory / "stage"

    def held() -> int:
        found = [part] if way == "down" else [path for path in stages.rglob("*") if path.is_file()]
        return max((path.stat().st_size for path in found if path.exists()), default=0)

    for goal in (20 * MIB, 50 * MIB, 70 * MIB):
        process = subprocess.Popen([*child, str(at_ours.here), way])
        wait_until(lambda goal=goal, process=process: held() >= goal or process.poll() is not None, "it is under way")  # type: ignore[misc]
        process.kill()
        process.wait()
    at_ours.events.clear()
    item = upload(source, "/large") if way == "up" else download("/large", at_ours.here / "back")
    summary = at_ours.run(item)
    assert summary.is_clean
    started = at_ours.heard(FileStarted)
    assert summary.already_complete or (isinstance(started[0], FileStarted) and started[0].offset >= 66 * MIB)
    if way == "down":
        assert (at_ours.here / "back").read_bytes() == source.read_bytes()


def test_a_server_that_is_killed_is_waited_for(tmp_path: Path) -> None:
    with running(tmp_path / "instance") as server:
        account = server.add_account("anna")
        place = Place(OURS, server.port, account.name, account.password, "", tmp_path, jobs=1)
        source = place.local("large", 96 * MIB)
        killed = threading.Event()

        def hear(event: Event) -> None:
            place.events.append(event)
            if getattr(event, "position", 0) >= 32 * MIB and not killed.is_set():
                killed.set()
                server.kill()
                threading.Thread(target=server.start).start()

        with place.engine() as engine:
            engine._listener = hear
            summary = engine.run([upload(source, "/large")])
        assert summary.is_clean
        assert summary.bytes <= 100 * MIB
        assert [event.verified for event in place.heard(FileDone) if isinstance(event, FileDone)] == ["SHA-256"]
