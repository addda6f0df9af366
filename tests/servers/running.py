"""A real FTP server on loopback ports, in a thread with an event loop of its own, over a real core on a temporary folder.

    with built_house(folder) as house, serving(house) as server:
        house.accounts.create("alice", "secret")
        ftplib.FTP().connect(server.host, server.port)

`serving` takes anything that has `accounts`, `services` and `database`.
"""

from __future__ import annotations

import asyncio
import ftplib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import trustme

from homeport.core.accounts import Account, Accounts
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability, Policy
from homeport.core.errors import TooManySessions
from homeport.core.home import Home, HomeServices, Modes
from homeport.core.login import Login
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import HashCost, PasswordVerifier
from homeport.core.quota import Ledger
from homeport.core.stages import StageFolder
from homeport.core.state import Database, open_database
from homeport.servers.ftp.front import FtpCore
from homeport.servers.ftp.server import FtpServer
from homeport.servers.ftp.settings import FtpSettings, FtpTimes
from homeport.servers.offload import Offload
from homeport.servers.tls import CertificateFiles
from tests.servers.loops import FACTORIES

T = TypeVar("T")

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)
NAME, PASSWORD = "alice", "secret"
PATIENCE_S = 20.0
# Loopback, any port, plain logins; a test changes what it is about.
SETTINGS = FtpSettings(
    listen=("127.0.0.1", "::1"),
    port=0,
    implicit_port=0,
    tls="optional",
    data_tls="optional",
    times=FtpTimes(connect_s=10.0, data_s=10.0, login_s=10.0, handshake_s=5.0, send_s=5.0),
)


@dataclass
class House:
    """A core on a folder."""

    root: Path
    database: Database
    accounts: Accounts
    services: HomeServices
    guard: GuardSettings = GuardSettings(first_delay_s=0.0, max_delay_s=0.0, failures_before_ban=1000)

    def home(self, name: str = NAME) -> Path:
        return self.root / "homes" / name


@contextmanager
def built_house(root: Path) -> Iterator[House]:
    """A core with no accounts."""
    with ExitStack() as cleanup:
        database = open_database(f"sqlite:///{root / 'state.db'}")
        cleanup.callback(database.close)
        for folder in ("homes", "run"):
            (root / folder).mkdir()
        ledger = Ledger(database, "test", root / "run")
        cleanup.callback(ledger.close)
        services = HomeServices(
            ledger=ledger,
            stages=cleanup.enter_context(StageFolder(root / "stage")),
            digests=DigestStore(database),
            audit=None,  # type: ignore[arg-type]
            durability=Durability(Policy.NEVER),
            modes=Modes(),
            clock=lambda: 0.0,
        )
        yield House(root, database, Accounts(database, root / "homes", cost=CHEAP), services)


@dataclass
class Record:
    id: int
    protocol: str
    peer: str
    kick: Callable[[str], None]
    account: str = ""
    doing: str = ""


@dataclass
class Registry:
    """Who is connected."""

    limit: int = 10_000
    records: list[Record] = field(default_factory=list)

    def open(self, protocol: str, peer: str, kick: Callable[[str], None]) -> Record:
        if len(self.records) >= self.limit:
            raise TooManySessions("the server", self.limit)
        record = Record(len(self.records), protocol, peer, kick)
        self.records.append(record)
        return record

    def log_in(self, record: Record, account: Account) -> None:
        record.account = account.name

    def log_out(self, record: Record) -> None:
        record.account = ""

    def close(self, record: Record) -> None:
        self.records.remove(record)

    def snapshot(self) -> list[Record]:
        return list(self.records)


@cache
def authority() -> trustme.CA:
    """Who signed every test server's certificate."""
    return trustme.CA()


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the test servers."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def certificate_in(folder: Path) -> CertificateFiles:
    issued = authority().issue_cert("localhost", "127.0.0.1", "::1")
    key, chain = folder / "key.pem", folder / "cert.pem"
    issued.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return CertificateFiles(str(chain), str(key))


@dataclass
class RunningServer:
    """The server and the thread it lives in. `call` runs something in its loop."""

    server: FtpServer
    house: Any
    registry: Registry
    loop: asyncio.AbstractEventLoop
    host: str = "127.0.0.1"
    port: int = 0
    implicit_port: int = 0

    def call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(PATIENCE_S)

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def client(self, name: str | None = NAME, password: str = PASSWORD) -> ftplib.FTP:
        """A plain client, logged in unless `name` is None. Its `close` does not wait for anybody."""
        client = ftplib.FTP(timeout=PATIENCE_S, encoding="utf-8")
        client.connect(self.host, self.port)
        if name is not None:
            client.login(name, password)
        return client

    def private_client(self, name: str | None = NAME, password: str = PASSWORD) -> ResumingClient:
        """A client over TLS, data connections included, which resumes the control connection's session there."""
        client = ResumingClient(timeout=PATIENCE_S, encoding="utf-8", context=trusting())
        client.connect("localhost" if self.host == "127.0.0.1" else self.host, self.port)
        client.auth()
        if name is not None:
            client.login(name, password)
            client.prot_p()
        return client


class ResumingClient(ftplib.FTP_TLS):
    """ftplib's, with the session resumption that it lacks."""

    resume = True

    def ntransfercmd(self, cmd: str, rest: Any = None) -> Any:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:  # type: ignore[attr-defined]
            assert isinstance(self.sock, ssl.SSLSocket)
            session = self.sock.session if self.resume else None
            connection = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        return connection, size


@contextmanager
def serving(
    house: Any, settings: FtpSettings = SETTINGS, *, loop: str = "uvloop", registry: Registry | None = None
) -> Iterator[RunningServer]:
    """Serve `house` until the block ends. Nothing may be left of any client then."""
    registry = registry or Registry()
    started, stop = threading.Event(), asyncio.Event()
    running: list[RunningServer] = []
    failure: list[BaseException] = []

    async def main() -> None:
        core = _core(house, registry)
        server = FtpServer(settings, core, certificate_in(house.root) if settings.tls != "off" else None)
        try:
            await server.bind()
            await server.serve()
            running.append(_running(server, house, registry))
            started.set()
            await stop.wait()
        finally:
            await server.close()
            core.files.close()
            core.logins.close()

    def live() -> None:
        try:
            with asyncio.Runner(loop_factory=FACTORIES[loop], debug=False) as runner:
                runner.run(main())
        except BaseException as error:  # noqa: BLE001 - raised where the server was asked for
            failure.append(error)
            started.set()

    thread = threading.Thread(target=live, name="server")
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        if failure:
            raise failure[0]
        yield running[0]
    finally:
        if running:
            running[0].loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    if failure:
        raise failure[0]
    assert registry.records == []


def _core(house: Any, registry: Registry) -> FtpCore:
    guard = LoginGuard(house.database, getattr(house, "guard", GuardSettings(first_delay_s=0.0, max_delay_s=0.0)))
    verifier = PasswordVerifier(2, cost=CHEAP)
    return FtpCore(
        login=Login(house.accounts, verifier, guard),
        sessions=registry,
        open_home=lambda account, record: Home(account, house.services, record),
        files=Offload(16, name="files"),
        logins=Offload(4, name="logins"),
        new_bucket=lambda rate: Bucket(rate),
    )


class Bucket:
    """A rate limit: so many bytes a second, no burst."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def delay(self, now: float, amount: float) -> float:
        return amount / self.rate


def _running(server: FtpServer, house: Any, registry: Registry) -> RunningServer:
    running = RunningServer(server, house, registry, asyncio.get_running_loop())
    for address in server.addresses:
        if address.service == "ftp" and not running.port:
            running = replace(running, port=address.port)
        elif address.service == "ftps" and not running.implicit_port:
            running = replace(running, implicit_port=address.port)
    return running
