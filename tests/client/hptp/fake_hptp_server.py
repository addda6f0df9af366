"""An HPTP server in memory, over real sockets on loopback: honest unless told otherwise.

It is written from docs/hptp.md against the engine and core's verifiers, and shares nothing with servers/hptp.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import trustme

from homeport.core.scram import ScramVerifier
from homeport.protocols.channel_binding import server_end_point
from homeport.protocols.hptp import names
from homeport.protocols.hptp.connection import Connection
from homeport.protocols.hptp.events import (
    AuthReceived,
    Broken,
    CancelReceived,
    CreditGranted,
    DataReceived,
    EndReceived,
    Event,
    RequestReceived,
)
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.states import Role
from homeport.protocols.hptp.strict_json import JsonObject
from homeport.protocols.scram import ClientFinal, ClientFirst, ServerFinal, ServerFirst, auth_message
from homeport.protocols.secret_text import prepared

PATIENCE_S = 20.0
SALT = b"0123456789abcdef"


@cache
def certificate(name: str = "localhost") -> tuple[ssl.SSLContext, bytes]:
    """A server's context with a certificate and a key of its own for each `name`, and the certificate in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1", common_name=name)
    issued.configure_cert(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["hptp/1"])
    pem = issued.cert_chain_pems[0].bytes().decode()
    return context, ssl.PEM_cert_to_DER_cert(pem)


@cache
def verifier_of(password: str, iterations: int) -> ScramVerifier:
    return ScramVerifier.make(prepared(password), iterations, SALT)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Stored:
    data: bytes
    mtime_ns: int = 1_700_000_000_000_000_000


Answer = Callable[["Session", RequestReceived], None]


@dataclass
class HptpScript:
    """`answers` by operation replace the honest ones; `limits` is what the server takes. `cut_after` bytes of uploads
    it drops the connection, once. `heads` changes what a download is announced with, `results` the answer to an upload.
    """

    password: str = "pencil"
    iterations: int = 600_000
    context: ssl.SSLContext = field(default_factory=lambda: certificate()[0])
    certificate: bytes = field(default_factory=lambda: certificate()[1])
    limits: Limits = field(default_factory=lambda: Limits(software="fake", max_streams=64))
    files: dict[str, Stored] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})
    partials: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    heads: Callable[[JsonObject], JsonObject] = lambda head: head
    results: Callable[[JsonObject], JsonObject] = lambda result: result
    final: Callable[[str], str] = lambda final: final
    cut_after: int | None = None
    asked: list[tuple[str, JsonObject]] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)


@dataclass
class _Body:
    """An upload or download under way."""

    request: RequestReceived
    data: bytearray = field(default_factory=bytearray)
    left: memoryview = field(default_factory=lambda: memoryview(b""))


class Session:
    """One connection."""

    def __init__(self, script: HptpScript, connection: ssl.SSLSocket) -> None:
        self.script = script
        self.socket = connection
        self.engine = Connection(Role.SERVER, script.limits)
        self._bodies: dict[int, _Body] = {}
        self._exchange: tuple[ClientFirst, ServerFirst, ScramVerifier] | None = None

    def run(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()
            while not self.engine.closed:
                data = self.socket.recv(65536)
                if data:
                    self.engine.receive(data)
                else:
                    self.engine.receive_eof()
                for event in self.engine.events():
                    self._hear(event)
                self.flush()

    def flush(self) -> None:
        while output := self.engine.take_output():
            self.socket.sendall(b"".join(output))

    def cut(self) -> None:
        """As a cable that is pulled."""
        self.engine.close()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    # --- the proof ---

    def _prove(self, said: JsonObject) -> None:
        text = str(said["message"])
        if self._exchange is None:
            first = ClientFirst.read(text)
            token = said.get("token")
            secret = self.script.password if token is None else self.script.tokens.get(str(token), "revoked")
            verifier = verifier_of(secret, self.script.iterations if token is None else 4096)
            server = ServerFirst.make(first.nonce + "server", verifier.salt, verifier.iterations)
            self._exchange = first, server, verifier
            self.engine.send_auth({"message": str(server)})
            return
        first, server, verifier = self._exchange
        self.script.proofs.append(text)
        final = ClientFinal.read(text)
        message = auth_message(first, server, final.without_proof)
        bound = final.answers(first, server, server_end_point(self.script.certificate))
        if not (bound and verifier.accepts(message, final.proof)):
            self.engine.send_auth({"error": {"code": "login-refused", "message": "wrong name or password"}})
            self.engine.go_away("login-refused", "wrong name or password")
            return
        signature = self.script.final(str(ServerFinal(verifier.server_signature(message))))
        self.engine.send_auth({"message": signature, "account": {"name": first.user}})
        self.engine.authenticated()

    # --- requests ---

    def _hear(self, event: Event) -> None:
        match event:
            case AuthReceived():
                self._prove(event.message)
            case RequestReceived():
                self.script.asked.append((event.op, event.arguments))
                answer = self.script.answers.get(event.op) or ANSWERS.get(event.op, unknown)
                answer(self, event)
            case DataReceived():
                self._take(event)
            case EndReceived():
                self._store(event)
            case CancelReceived():
                self._stop(event)
            case CreditGranted() | Broken():
                for stream, body in list(self._bodies.items()):
                    self.pour(stream) if isinstance(event, CreditGranted) else self.keep_partial(body)
            case _:
                pass

    def _stop(self, event: CancelReceived) -> None:
        body = self._bodies.pop(event.stream, None)
        if body is not None:  # else it was answered meanwhile
            self.keep_partial(body)
            self.engine.send_error(event.stream, "cancelled", "cancelled")

    def path_of(self, request: RequestReceived, name: str = "path") -> str:
        return names.from_wire(request.arguments[name])

    def begin(self, request: RequestReceived, left: bytes = b"", before: bytes = b"") -> None:
        """A body comes, or `left` is to go."""
        self._bodies[request.stream] = _Body(request, bytearray(before), memoryview(left))

    def keep_partial(self, body: _Body) -> None:
        if body.request.op == "put" and body.data:
            self.script.partials[self.path_of(body.request)] = bytes(body.data)

    def _take(self, event: DataReceived) -> None:
        self.engine.consumed(event.stream, len(event.data))
        if event.stream not in self._bodies:
            return
        body = self._bodies[event.stream]
        body.data += event.data
        limit = self.script.cut_after
        if limit is not None and len(body.data) >= limit:
            self.script.cut_after = None
            self.keep_partial(body)
            self.cut()

    def _store(self, event: EndReceived) -> None:
        body = self._bodies.pop(event.stream, None)
        if body is None:  # it was answered before
            return
        path, data = self.path_of(body.request), bytes(body.data)
        if event.trailer.get("sha256", sha256(data)) != sha256(data):
            self.engine.send_error(event.stream, "digest-mismatch", f"{path}: other bytes than announced")
            return
        mtime_ns = body.request.arguments.get("mtime_ns")
        self.script.files[path] = Stored(data, mtime_ns if isinstance(mtime_ns, int) else 0)
        self.script.partials.pop(path, None)
        self.engine.send_result(event.stream, self.script.results({"size": len(data), "sha256": sha256(data)}))

    def pour(self, stream: int) -> None:
        """As much of a download as there is credit for."""
        body = self._bodies[stream]
        amount = min(self.engine.credit(stream), len(body.left))
        if body.request.op == "get" and amount:
            self.engine.send_data(stream, bytes(body.left[:amount]))
            body.left = body.left[amount:]
        if body.request.op == "get" and not body.left:
            del self._bodies[stream]
            self.engine.send_result(stream, {"size": 0, "sha256": None})

    def entry(self, path: str) -> JsonObject | None:
        if path in self.script.folders:
            return {"kind": "directory", "size": 0, "mtime_ns": 0, "mode": 493}
        if path not in self.script.files:
            return None
        stored = self.script.files[path]
        return {"kind": "file", "size": len(stored.data), "mtime_ns": stored.mtime_ns, "mode": 420}

    def below(self, root: str) -> list[str]:
        prefix = root.rstrip("/") + "/"
        return sorted(
            path for path in {*self.script.files, *self.script.folders} if path.startswith(prefix) and path != "/"
        )


def unknown(session: Session, request: RequestReceived) -> None:
    session.engine.send_error(request.stream, "malformed", f"{request.op} is not known")


def missing(session: Session, request: RequestReceived, path: str) -> None:
    session.engine.send_error(request.stream, "not-found", f"{path}: no such file or folder")


def _stat(session: Session, request: RequestReceived) -> None:
    path = session.path_of(request)
    entry = session.entry(path)
    if entry is None:
        missing(session, request, path)
    else:
        session.engine.send_result(request.stream, {"name": names.to_wire(path.rpartition("/")[2]), **entry})


def _list(session: Session, request: RequestReceived, *, deep: bool = False) -> None:
    root = session.path_of(request)
    if root not in session.script.folders:
        missing(session, request, root)
        return
    items: list[JsonObject] = []
    for path in session.below(root):
        relative = path[len(root.rstrip("/")) + 1 :]
        entry = session.entry(path)
        if entry is not None and (deep or "/" not in relative):
            items.append({"path" if deep else "name": names.to_wire(relative), **entry})
    session.engine.send_items(request.stream, items)
    session.engine.send_result(request.stream, {"count": len(items)})


def _walk(session: Session, request: RequestReceived) -> None:
    _list(session, request, deep=True)


def _get(session: Session, request: RequestReceived) -> None:
    path = session.path_of(request)
    if path not in session.script.files:
        missing(session, request, path)
        return
    stored = session.script.files[path]
    offset = request.arguments.get("offset", 0)
    assert isinstance(offset, int)
    head: JsonObject = {"size": len(stored.data), "mtime_ns": stored.mtime_ns, "sha256": sha256(stored.data)}
    session.engine.send_head(request.stream, session.script.heads(head))
    session.begin(request, stored.data[offset:])
    session.pour(request.stream)


def _put(session: Session, request: RequestReceived) -> None:
    path = session.path_of(request)
    if (path.rpartition("/")[0] or "/") not in session.script.folders:
        missing(session, request, path)
        return
    kept = session.script.partials.get(path, b"")
    if request.arguments.get("resume") and not request.arguments.get("offset"):
        digest = sha256(kept) if kept else None
        session.engine.send_head(request.stream, {"offset": len(kept), "prefix_sha256": digest})
    offset = request.arguments.get("offset", 0)
    assert isinstance(offset, int)
    session.begin(request, before=kept[:offset])


def _mkdir(session: Session, request: RequestReceived) -> None:
    path = session.path_of(request)
    if request.arguments.get("parents"):
        segments = path.strip("/").split("/")
        session.script.folders |= {"/" + "/".join(segments[:count]) for count in range(len(segments) + 1)}
        session.engine.send_result(request.stream, {})
        return
    if session.entry(path) is not None:
        session.engine.send_error(request.stream, "already-exists", f"{path}: is there already")
        return
    session.script.folders.add(path)
    session.engine.send_result(request.stream, {})


def _move(session: Session, request: RequestReceived) -> None:
    source, target = session.path_of(request, "source"), session.path_of(request, "target")
    if source not in session.script.files:
        missing(session, request, source)
        return
    session.script.files[target] = session.script.files.pop(source)
    session.engine.send_result(request.stream, {})


def _remove(session: Session, request: RequestReceived) -> None:
    path = session.path_of(request)
    if session.script.files.pop(path, None) is None and path not in session.script.folders:
        missing(session, request, path)
        return
    session.script.folders.discard(path)
    session.engine.send_result(request.stream, {})


def _set_times(session: Session, request: RequestReceived) -> None:
    mtime_ns = request.arguments["mtime_ns"]
    assert isinstance(mtime_ns, int)
    session.script.files[session.path_of(request)].mtime_ns = mtime_ns
    _stat(session, request)


def _digest(session: Session, request: RequestReceived) -> None:
    path, end = session.path_of(request), request.arguments.get("end")
    data = session.script.files[path].data[: end if isinstance(end, int) else None]
    session.engine.send_result(request.stream, {"algorithm": "SHA-256", "value": sha256(data)})


def _usage(session: Session, request: RequestReceived) -> None:
    session.engine.send_result(
        request.stream,
        {"used_bytes": 5, "quota_bytes": None, "used_files": 1, "max_files": None, "free_bytes": 1000},
    )


def _token_create(session: Session, request: RequestReceived) -> None:
    number = f"t{len(session.script.tokens) + 1}"
    session.script.tokens[number] = f"secret-of-{number}"
    session.engine.send_result(request.stream, {"id": number, "secret": session.script.tokens[number]})


def _token_revoke(session: Session, request: RequestReceived) -> None:
    if session.script.tokens.pop(str(request.arguments["id"]), None) is None:
        session.engine.send_error(request.stream, "token-not-found", "no such token")
    else:
        session.engine.send_result(request.stream, {})


ANSWERS: dict[str, Answer] = {
    "stat": _stat,
    "list": _list,
    "walk": _walk,
    "get": _get,
    "put": _put,
    "mkdir": _mkdir,
    "move": _move,
    "remove": _remove,
    "set_times": _set_times,
    "digest": _digest,
    "usage": _usage,
    "token.create": _token_create,
    "token.revoke": _token_revoke,
}


class FakeHptpServer:
    """Listens until closed; a thread a connection. `connections` counts them."""

    def __init__(self, script: HptpScript) -> None:
        self.script = script
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[ssl.SSLSocket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in (self._accepting, *self._threads):
            thread.join(PATIENCE_S)

    def cut_all(self) -> None:
        for secured in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(secured, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(PATIENCE_S)
        try:
            with self.script.context.wrap_socket(plain, server_side=True) as secured:
                self._open.append(secured)
                Session(self.script, secured).run()
        except OSError:
            plain.close()


@contextmanager
def serving(script: HptpScript) -> Iterator[FakeHptpServer]:
    server = FakeHptpServer(script)
    try:
        yield server
    finally:
        server.close()
