"""An FTP server that says what a test tells it to: honest unless told otherwise, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import trustme

PATIENCE_S = 20.0


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate(name: str = "localhost") -> ssl.SSLContext:
    """A server's context with a certificate and a key of its own for each `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1", common_name=name).configure_cert(context)
    return context


Answer = bytes | Callable[["Session", str], None]

FEATURES = b"211-Features:\r\n UTF8\r\n MLST type*;size*;modify*;\r\n MFMT\r\n SIZE\r\n REST STREAM\r\n211 End\r\n"


@dataclass
class Script:
    """`answers` by verb replace the honest ones. `private` and `data_private` are contexts for TLS, None without."""

    greeting: bytes = b"220 test\r\n"
    answers: dict[str, Answer] = field(default_factory=dict)
    private: ssl.SSLContext | None = None
    data_private: ssl.SSLContext | None = None
    implicit: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    listing: bytes = b""


class Session:
    """One control connection."""

    def __init__(self, server: ScriptedServer, connection: socket.socket) -> None:
        self.server = server
        self.script = server.script
        self.connection = connection
        self.data_is_private = False
        self.listener: socket.socket | None = None
        self.offset = 0
        self.pending = b""

    def say(self, text: bytes) -> None:
        self.connection.sendall(text)

    def lines(self) -> Iterator[tuple[str, str]]:
        while True:
            while b"\r\n" in self.pending:
                line, _, self.pending = self.pending.partition(b"\r\n")
                verb, _, argument = line.decode("utf-8", "surrogateescape").partition(" ")
                self.server.heard.append(f"{verb} {argument}".strip())
                yield verb.upper(), argument
            data = self.connection.recv(4096)
            if not data:
                return
            self.pending += data

    def secure(self) -> None:
        assert self.script.private is not None
        self.connection = self.script.private.wrap_socket(self.connection, server_side=True)

    def run(self) -> None:
        if self.script.implicit:
            self.secure()
        self.say(self.script.greeting)
        for verb, argument in self.lines():
            answer = self.script.answers.get(verb, _HONEST.get(verb, b"502 what?\r\n"))
            if callable(answer):
                answer(self, argument)
            else:
                self.say(answer)
            if verb == "QUIT":
                return

    def close(self) -> None:
        for opened in (self.connection, self.listener):
            if opened is not None:
                opened.close()

    @contextmanager
    def data(self) -> Iterator[socket.socket]:
        assert self.listener is not None
        connected, _ = self.listener.accept()
        connected.settimeout(PATIENCE_S)
        context = self.script.data_private or self.script.private
        if self.data_is_private and context is not None:
            connected = context.wrap_socket(connected, server_side=True)
        try:
            yield connected
            if isinstance(connected, ssl.SSLSocket):
                connected.unwrap()
        finally:
            connected.close()


def _auth(session: Session, _argument: str) -> None:
    if session.script.private is None:
        session.say(b"502 no TLS\r\n")
        return
    session.say(b"234 go\r\n")
    session.secure()


def _prot(session: Session, argument: str) -> None:
    session.data_is_private = argument == "P"
    session.say(b"200 ok\r\n")


def listen(session: Session) -> int:
    if session.listener is not None:
        session.listener.close()
    session.listener = socket.create_server(("127.0.0.1", 0))
    session.listener.settimeout(PATIENCE_S)
    return int(session.listener.getsockname()[1])


def epsv(session: Session, _argument: str) -> None:
    session.say(f"229 ok (|||{listen(session)}|)\r\n".encode())


def send_data(data: bytes) -> Callable[[Session, str], None]:
    def answer(session: Session, _argument: str) -> None:
        session.say(b"150 here\r\n")
        with session.data() as connection:
            connection.sendall(data[session.offset :])
        session.offset = 0
        session.say(b"226 done\r\n")

    return answer


def _retr(session: Session, argument: str) -> None:
    if argument not in session.script.files:
        session.say(b"550 no such file\r\n")
        return
    send_data(session.script.files[argument])(session, argument)


def _list(session: Session, argument: str) -> None:
    send_data(session.script.listing)(session, argument)


def _stor(session: Session, argument: str) -> None:
    session.say(b"150 send\r\n")
    kept = bytearray(session.script.files.get(argument, b"")[: session.offset])
    with session.data() as connection:
        while data := connection.recv(65536):
            kept += data
    session.offset = 0
    session.script.files[argument] = bytes(kept)
    session.say(b"226 done\r\n")


def _rest(session: Session, argument: str) -> None:
    session.offset = int(argument)
    session.say(b"350 go on\r\n")


_HONEST: dict[str, Answer] = {
    "AUTH": _auth,
    "USER": b"331 and?\r\n",
    "PASS": b"230 in\r\n",
    "FEAT": FEATURES,
    "OPTS": b"200 ok\r\n",
    "PBSZ": b"200 ok\r\n",
    "PROT": _prot,
    "TYPE": b"200 ok\r\n",
    "EPSV": epsv,
    "RETR": _retr,
    "STOR": _stor,
    "MLSD": _list,
    "LIST": _list,
    "REST": _rest,
    "NOOP": b"200 ok\r\n",
    "MFMT": b"213 ok\r\n",
    "QUIT": b"221 bye\r\n",
}


class ScriptedServer:
    """Serves one connection after the other, each in a thread, until it is closed."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._sessions: list[Session] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            session = Session(self, connection)
            self._sessions.append(session)
            thread = threading.Thread(target=self._serve, args=(session,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, session: Session) -> None:
        with contextlib.suppress(OSError, ValueError):
            session.run()
        session.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join(PATIENCE_S)
        for session in self._sessions:
            for opened in (session.connection, session.listener):
                if opened is not None:
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(opened, socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(PATIENCE_S)


@contextmanager
def scripted(script: Script) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script)
    try:
        yield server
    finally:
        server.close()
