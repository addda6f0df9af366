"""The receive window is opened without being fixed."""

from __future__ import annotations

import socket

from homeport.servers.long_line import widen


def test_the_bound_is_lifted_and_the_threshold_is_what_it_was() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        before = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        widen(client)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > max(before, 2 * 1024 * 1024)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_a_socket_that_knows_no_such_thing_is_left_alone() -> None:
    left, right = socket.socketpair()
    with left, right:
        widen(left)
        left.send(b"x")
        assert right.recv(1) == b"x"
    widen(left)
