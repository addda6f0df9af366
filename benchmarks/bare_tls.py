"""One bare TLS connection: what OpenSSL moves when nobody reads, writes or hashes a file.

python -m benchmarks.bare_tls serve PORT CERTIFICATE KEY
python -m benchmarks.bare_tls up|down HOST PORT BYTES
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import Sequence

_PIECE_BYTES = 256 * 1024
_HEAD_BYTES = 17  # which way, and how much


def serve(port: int, certificate: str, key: str) -> None:
    """Take connections one after the other, for ever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    with socket.create_server(("0.0.0.0", port)) as listener:
        while True:
            plain, _ = listener.accept()
            with plain, contextlib.suppress(OSError, EOFError):  # who only knocks
                _answer(context.wrap_socket(plain, server_side=True))


def _answer(secured: ssl.SSLSocket) -> None:
    with secured:
        head = _exactly(secured, _HEAD_BYTES)
        if head[:1] == b"u":
            _take(secured, int(head[1:], 16))
            secured.sendall(b".")
        else:
            _give(secured, int(head[1:], 16))


def move(way: str, host: str, port: int, amount: int) -> None:
    """Send or fetch `amount` bytes, to the last one's arrival."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection((host, port))) as secured:
        secured.sendall(f"{way[0]}{amount:016x}".encode())
        if way == "up":
            _give(secured, amount)
            _exactly(secured, 1)
        else:
            _take(secured, amount)


def _give(secured: ssl.SSLSocket, amount: int) -> None:
    piece = memoryview(bytes(_PIECE_BYTES))
    while amount:
        amount -= secured.send(piece[:amount])


def _take(secured: ssl.SSLSocket, amount: int) -> None:
    room = bytearray(_PIECE_BYTES)
    while amount:
        got = secured.recv_into(room)
        if not got:
            raise EOFError("the other side has closed")
        amount -= got


def _exactly(secured: ssl.SSLSocket, amount: int) -> bytes:
    found = b""
    while len(found) < amount:
        found += (got := secured.recv(amount - len(found)))
        if not got:
            raise EOFError("the other side has closed")
    return found


def main(words: Sequence[str]) -> None:
    if words[0] == "serve":
        serve(int(words[1]), words[2], words[3])
    else:
        move(words[0], words[1], int(words[2]), int(words[3]))


if __name__ == "__main__":
    main(sys.argv[1:])
