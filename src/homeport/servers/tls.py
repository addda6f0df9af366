"""TLS for every server: how contexts are made, and a pump that speaks TLS over bytes instead of sockets.

The one rule: one SSLContext a control connection. Its ticket keys are its own, so a data connection that resumes a
session proves that it belongs to this very control connection, with TLS 1.2 and 1.3 alike.
"""

from __future__ import annotations

import enum
import os
import re
import ssl
import tempfile
from dataclasses import dataclass

_PIECE = 65536  # bytes taken out of OpenSSL at once
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
TLS_RECORD_HANDSHAKE = 0x16  # the first byte that a TLS client sends


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificate chain and its private key are, as PEM."""

    certificate: str
    key: str


class Certificates:
    """The certificate that new connections get. Checked whole when loaded, so a half-replaced pair changes nothing."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._pem = b""
        self.reload()

    def reload(self) -> None:
        """Read the files again; connections made from now on use them.

        Raises OSError or ssl.SSLError when they cannot be used; the old certificate stays in use then.
        """
        _new_context(self._files.certificate, self._files.key)
        with open(self._files.key, "rb") as key, open(self._files.certificate, "rb") as certificate:
            self._pem = key.read().rstrip() + b"\n" + certificate.read()

    def context(self, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A context of its own for one control connection; `protocols` are offered by ALPN. About 0.6 ms."""
        # OpenSSL's chain loader wants a path; memory has one too, and no disk is touched on the loop.
        fd = _memory_file()
        try:
            os.write(fd, self._pem)
            os.lseek(fd, 0, os.SEEK_SET)  # macOS: /dev/fd shares the position
            context = _new_context(f"/dev/fd/{fd}", None)
        finally:
            os.close(fd)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def leaf(self) -> bytes:
        """The certificate, in DER, that contexts made now present: what a proof can be bound to (RFC 5929)."""
        found = _CERTIFICATE.search(self._pem)
        assert found is not None, "a chain that was loaded has a certificate"
        return ssl.PEM_cert_to_DER_cert(found[0].decode("ascii"))


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("certificate")
    fd, path = tempfile.mkstemp()  # macOS: mode 0600, gone at once
    os.unlink(path)
    return fd


def _new_context(certificate: str, key: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # An end without close_notify must be seen: it is how a cut upload looks.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.num_tickets = CONTROL_TICKETS
    context.load_cert_chain(certificate, key)
    return context


CONTROL_TICKETS = 2
DATA_TICKETS = 0  # a client that only writes leaves tickets unread, and its close() becomes a reset that eats the tail


def ready_for_data(context: ssl.SSLContext) -> None:
    """Call when the control handshake is done: handshakes from now on are data connections' and send no tickets."""
    context.num_tickets = DATA_TICKETS


class TlsState(enum.Enum):
    """Where the connection stands. `CLOSED` is a clean close_notify, `CUT` an end without one, `FAILED` an error."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"
    CUT = "cut"
    FAILED = "failed"


class TlsPump:
    """Server-side TLS without a socket: `receive` gives the clear text in what came, `take_output` is for the wire."""

    __slots__ = ("_incoming", "_object", "_outgoing", "failure", "state")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.state = TlsState.HANDSHAKE
        self.failure = ""

    @property
    def version(self) -> str | None:
        """Such as `TLSv1.3`; None before the handshake is done."""
        return self._object.version() if self._object.cipher() else None

    def receive(self, data: bytes) -> bytes:
        """Take `data` from the wire; the clear text in it. Never raises: see `state` and `failure`."""
        self._incoming.write(data)
        if self.state is TlsState.HANDSHAKE:
            self._shake_hands()
        return self._read() if self.state is TlsState.OPEN else b""

    def receive_eof(self) -> None:
        """The wire has ended."""
        self._incoming.write_eof()
        if self.state in (TlsState.HANDSHAKE, TlsState.OPEN):
            self._fail("the connection ended without close_notify", TlsState.CUT)

    def send(self, data: bytes) -> None:
        """Encrypt `data` for `take_output`. Nothing happens unless the handshake is done and the peer still there."""
        if self.state not in (TlsState.OPEN, TlsState.CLOSED):
            return
        view = memoryview(data)
        while view:
            try:
                view = view[self._object.write(view) :]
            except ssl.SSLError as error:
                self._fail(_reason(error), TlsState.FAILED)
                return

    def close(self) -> None:
        """Put a close_notify into the output."""
        if self.state not in (TlsState.OPEN, TlsState.CLOSED):
            return
        try:
            self._object.unwrap()
        except ssl.SSLError:
            return  # it wants to read the peer's, for which nobody waits; ours is in the output

    def take_output(self) -> bytes:
        """What is to be written to the wire; drains."""
        return self._outgoing.read()

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ValueError) as error:
            self._fail(_reason(error), TlsState.FAILED)
            return
        self.state = TlsState.OPEN

    def _read(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._object.read(_PIECE):
                pieces.append(piece)
            self.state = TlsState.CLOSED
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.state = TlsState.CLOSED
        except ssl.SSLError as error:
            self._fail(_reason(error), TlsState.FAILED)
        return b"".join(pieces)

    def _fail(self, reason: str, state: TlsState) -> None:
        self.state = state
        self.failure = reason


def _reason(error: Exception) -> str:
    """The error's reason in lower case words, without OpenSSL's file names."""
    reason = getattr(error, "reason", None) or str(error)
    return str(reason).replace("_", " ").lower()
