"""Somebody in between: ends TLS with a certificate of his own, and relays every byte both ways."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from types import TracebackType

from tests.client.hptp.fake_hptp_server import PATIENCE_S, certificate


class Middle:
    """A context manager. `heard` is all that passed, in the clear."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def relayed(self) -> int:
        return sum(map(len, self.heard))

    def __enter__(self) -> Middle:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                self._relay(plain)

    def _relay(self, plain: socket.socket) -> None:
        plain.settimeout(PATIENCE_S)
        onward = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        onward.check_hostname = False
        onward.verify_mode = ssl.CERT_NONE
        onward.set_alpn_protocols(["hptp/1"])
        with (
            certificate("middle")[0].wrap_socket(plain, server_side=True) as to_client,
            socket.create_connection(("127.0.0.1", self._target), PATIENCE_S) as there,
            onward.wrap_socket(there) as to_server,
        ):
            # One thread: OpenSSL does not allow one connection to be read and written at the same time.
            other = {to_client: to_server, to_server: to_client}
            with contextlib.suppress(OSError):
                while ready := select.select(list(other), [], [], PATIENCE_S)[0]:
                    for end in ready:
                        self._pass_on(end, other[end])

    def _pass_on(self, source: ssl.SSLSocket, target: ssl.SSLSocket) -> None:
        """What has come goes on. Raises OSError at its end."""
        source.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):  # what came was not for us, or not yet whole
            while data := source.recv(65536):
                self.heard.append(data)
                target.settimeout(PATIENCE_S)
                target.sendall(data)
            raise ConnectionAbortedError("one end has gone")
