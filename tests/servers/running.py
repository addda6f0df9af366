"""A real FTP server on loopback, in a thread with an event loop of its own, over a real core on a temporary folder.

    with built_house(folder) as house, serving(house) as server:
        house.accounts.create("alice", "secret")
        ftplib.FTP().connect(server.host, server.port)

`serving` takes anything that has `accounts`, `services` and `database`.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from tests.servers.living import Living, living

from homeport.core.accounts import Accounts
from homeport.core.audit import AuditLog
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability, Policy
from homeport.core.home import Home, HomeServices, Modes
from homeport.core.login import Login
from homeport.core.login_guard import GuardSettings, LoginGuard
from homeport.core.passwords import HashCost, PasswordVerifier
from homeport.core.quota import Ledger
from homeport.core.sessions import SessionLimits, Sessions
from homeport.core.stages import StageFolder
from homeport.core.state import Database, open_database
from homeport.protocols.ftp.address import parse_epsv
from homeport.servers.core_access import CoreAccess
from homeport.servers.ftp.server import FtpServer
from homeport.servers.ftp.settings import FtpSettings, FtpTimes
from homeport.servers.offload import Offload
from homeport.servers.tls import CertificateFiles

CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)
LENIENT = GuardSettings(first_delay_s=0.0, max_delay_s=0.0, failures_before_ban=1000)
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
    guard: GuardSettings = field(default_factory=lambda: LENIENT)

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
        audit = AuditLog(root / "audit.jsonl", root / "xferlog")
        cleanup.callback(audit.close)
        services = HomeServices(
            ledger=ledger,
            stages=cleanup.enter_context(StageFolder(root / "stage")),
            digests=DigestStore(database),
            audit=audit,
            durability=Durability(Policy.NEVER),
            modes=Modes(),
        )
        yield House(root, database, Accounts(database, root / "homes", cost=CHEAP), services)


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
class RunningServer(Living[FtpServer]):
    """The server and the thread it lives in."""

    house: Any
    host: str = "127.0.0.1"
    port: int = 0
    implicit_port: int = 0

    @property
    def sessions(self) -> Sessions:
        return self.core.sessions

    def wire(self, *, implicit: bool = False, source: str | None = None) -> Wire:
        """A bare connection whose greeting is still to be read."""
        address = (self.host, self.implicit_port if implicit else self.port)
        return Wire(socket.create_connection(address, PATIENCE_S, source_address=(source, 0) if source else None))

    def greeted(self) -> Wire:
        """A bare connection that was greeted."""
        wire = self.wire()
        assert wire.reply().startswith("220")
        return wire

    def visitor(self) -> Wire:
        """A bare connection, logged in."""
        wire = self.greeted()
        wire.log_in()
        return wire

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


class Wire:
    """A client that says exactly what a test wants: bytes out, replies in."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._lines = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *lines: str | bytes) -> None:
        """Send lines in one packet, each with its CRLF."""
        self.socket.sendall(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))

    def line(self) -> str:
        """The next line without its end; empty at the end of the connection."""
        while b"\n" not in self._lines:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return ""
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\r\n")
        return line.decode()

    def reply(self) -> str:
        """The next reply; the lines of a long one are joined by a line feed. Empty at the end of the connection."""
        lines = [self.line()]
        if lines[0][3:4] == "-":
            while not (lines[-1].startswith(lines[0][:3] + " ") or not lines[-1]):
                lines.append(self.line())
        return "\n".join(lines)

    def ask(self, line: str | bytes) -> str:
        self.send(line)
        return self.reply()

    def log_in(self, name: str = NAME, password: str = PASSWORD) -> None:
        assert self.ask(f"USER {name}").startswith("331")
        assert self.ask(f"PASS {password}").startswith("230")
        assert self.ask("TYPE I").startswith("200")

    def passive(self) -> tuple[str, int]:
        """EPSV; where to connect to."""
        answer = self.ask("EPSV")
        assert answer.startswith("229"), answer
        return self.socket.getpeername()[0], parse_epsv(answer)

    def data(self) -> socket.socket:
        """EPSV, and the data connection."""
        return socket.create_connection(self.passive(), timeout=PATIENCE_S)

    def start_tls(self, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
        """AUTH TLS, PBSZ, PROT P."""
        assert self.ask("AUTH TLS").startswith("234")
        context = trusting()
        if version is not None:
            context.maximum_version = version
        self.socket = wrapped = context.wrap_socket(self.socket, server_hostname="localhost")
        assert self.ask("PBSZ 0").startswith("200")
        assert self.ask("PROT P").startswith("200")
        return wrapped

    def private_data(self, *, resume: bool = True) -> ssl.SSLSocket:
        """A data connection; its handshake is still to be done, after the transfer command."""
        assert isinstance(self.socket, ssl.SSLSocket)
        session = self.socket.session if resume else None
        return self.socket.context.wrap_socket(
            self.data(), server_hostname="localhost", session=session, do_handshake_on_connect=False
        )


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
    house: Any, settings: FtpSettings = SETTINGS, *, loop: str = "uvloop", limits: SessionLimits | None = None
) -> Iterator[RunningServer]:
    """Serve `house` until the block ends. Nothing may be left of any client then."""

    def build() -> tuple[FtpServer, CoreAccess]:
        certificate = certificate_in(house.root) if settings.tls != "off" else None
        core = core_of(house, Sessions(limits))
        return FtpServer(settings, core, certificate), core

    with living(build, loop) as found:
        ports = {address.service: address.port for address in reversed(found.server.addresses) if address.port}
        yield RunningServer(
            found.server, found.core, found.loop, house, port=ports.get("ftp", 0), implicit_port=ports.get("ftps", 0)
        )


def core_of(house: Any, sessions: Sessions, *, few: int | None = None) -> CoreAccess:
    """What a server of the house is given. `few`: see Offload, for its files."""
    guard = LoginGuard(house.database, getattr(house, "guard", LENIENT))
    return CoreAccess(
        login=Login(house.accounts, PasswordVerifier(2, cost=CHEAP), guard),
        sessions=sessions,
        open_home=lambda account, record: Home(account, house.services, record),
        files=Offload(16, few=few, name="files"),
        listings=Offload(16, few=2, patience_s=0.25, name="listings"),
        logins=Offload(4, name="logins"),
        audit=house.services.audit.write,
    )
