"""The control socket: who is heard, and what garbage does (nothing)."""

from __future__ import annotations

import asyncio
import errno
import json
import random
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from homeport.daemon.control_client import ask, connect, tell, wait_until_ready
from homeport.daemon.control_server import ControlServer, peer_is_trusted
from homeport.daemon.errors import ControlFailed, ControlRefused, InstanceUnusable, NotReady, NotRunning
from homeport.daemon.instance import Instance
from homeport.daemon.wire import MAX_REQUEST_BYTES, BadMessage, Message, decode, encode


async def echo(request: Message) -> Message:
    if request.get("verb") == "refuse":
        raise ControlRefused("busy", "not now")
    if request.get("verb") == "break":
        raise RuntimeError("secret details")
    return {"got": request}


@contextmanager
def serving(path: Path, own_uid: int | None = None) -> Iterator[None]:
    """A control server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ControlServer(path, echo, own_uid=own_uid)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    (tmp_path / "run").mkdir(mode=0o700)
    return Instance(tmp_path)


@pytest.fixture
def served(instance: Instance) -> Iterator[Instance]:
    with serving(instance.control_socket):
        yield instance


def raw(instance: Instance, data: bytes) -> bytes:
    """Everything that the server says to `data` until it closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connect(connection, instance.control_socket)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def test_the_socket_is_private_and_goes_away(instance: Instance) -> None:
    instance.control_socket.touch()  # a dead server's
    with serving(instance.control_socket):
        found = instance.control_socket.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
    assert not instance.control_socket.exists()


def test_a_question_and_its_answer(served: Instance) -> None:
    assert ask(served, "hi", {"name": "Zoë\n\x1b"}) == {"got": {"verb": "hi", "name": "Zoë\n\x1b"}}
    assert tell(served, "hi") is True


def test_a_path_longer_than_sockets_allow(tmp_path: Path) -> None:
    instance = Instance(tmp_path / ("long" * 30))
    instance.run.mkdir(parents=True)
    with serving(instance.control_socket):
        assert ask(instance, "hi") == {"got": {"verb": "hi"}}


def test_refusals(served: Instance) -> None:
    with pytest.raises(ControlRefused) as caught:
        ask(served, "refuse")
    assert (caught.value.kind, str(caught.value)) == ("busy", "not now")


def test_a_failure_says_nothing_of_the_inside(served: Instance, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ControlRefused) as caught:
        ask(served, "break")
    assert str(caught.value) == "the server failed to do it; its log on standard error says more"
    assert "secret details" in caplog.text


def test_without_a_server(instance: Instance) -> None:
    with pytest.raises(NotRunning) as caught:
        ask(instance, "hi")
    assert str(caught.value) == f"no server is running on {instance.directory}; `homeport serve` starts one"
    assert tell(instance, "hi") is False
    with socket.socket(socket.AF_UNIX) as dead:  # killed, so its file is still there
        dead.bind(str(instance.control_socket))
    with pytest.raises(NotRunning):
        ask(instance, "hi")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "not JSON"),
        (b"hello\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"null\n", "not a JSON object"),
        (b'{"verb": "hi"\n', "not JSON"),
        (b"[" * 60_000 + b"\n", "not JSON"),
        (b"GET / HTTP/1.1\n", "not JSON"),
    ],
)
def test_garbage_gets_a_refusal_and_the_next_line_is_heard(served: Instance, line: bytes, reason: str) -> None:
    first, second = raw(served, line + b'{"verb":"hi"}\n').splitlines()
    assert json.loads(first) == {
        "ok": False,
        "kind": "usage",
        "error": f"a request must be one JSON object in one line: {reason}",
    }
    assert json.loads(second) == {"ok": True, "result": {"got": {"verb": "hi"}}}


def test_a_line_without_an_end_is_cut_off(served: Instance) -> None:
    answer = raw(served, b'{"verb":"' + b"a" * (MAX_REQUEST_BYTES * 4))
    if answer:  # the reset of the connection may overtake it
        assert json.loads(answer)["error"] == f"a request is longer than {MAX_REQUEST_BYTES} bytes"
    assert ask(served, "hi") == {"got": {"verb": "hi"}}


def test_random_bytes_do_no_harm(served: Instance) -> None:
    chosen = random.Random(11)
    for _ in range(50):
        raw(served, chosen.randbytes(chosen.randrange(2000)))
    assert ask(served, "hi") == {"got": {"verb": "hi"}}


def test_a_stranger_is_not_heard(instance: Instance) -> None:
    with serving(instance.control_socket, own_uid=4711):
        served = raw(instance, b'{"verb":"hi"}\n')
    import os

    assert (served == b"") == (os.geteuid() not in (0, 4711))


@pytest.mark.parametrize(("uid", "trusted"), [(0, True), (1000, True), (1001, False), (-1, False)])
def test_whom_the_kernel_names_decides(uid: int, trusted: bool) -> None:
    connection = Mock()
    connection.getsockopt.return_value = struct.pack("3i", 1, uid, uid)
    assert peer_is_trusted(connection, 1000) is trusted


def test_more_connections_than_allowed_are_closed(served: Instance) -> None:
    held = []
    try:
        for _ in range(80):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connect(connection, served.control_socket)
            held.append(connection)
        assert held[-1].recv(1) == b""
    finally:
        for connection in held:
            connection.close()


def liar(instance: Instance, answer: bytes) -> threading.Thread:
    """A server that answers the first question with `answer` and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(instance.control_socket))
    listener.listen()

    def lie() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=lie)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"", "the connection ended before the answer"), (b"{", "the connection ended"), (b"no\n", "not JSON")],
)
def test_an_answer_that_is_none(instance: Instance, answer: bytes, reason: str) -> None:
    thread = liar(instance, answer)
    with pytest.raises(ControlFailed, match=f"the server did not answer as it should: {reason}"):
        ask(instance, "hi")
    thread.join()


def test_a_server_that_never_answers(instance: Instance) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(instance.control_socket))
        listener.listen()
        with pytest.raises(ControlFailed, match=r"no answer within 0.05 s"):
            ask(instance, "hi", timeout_s=0.05)


def test_a_socket_that_is_a_file(instance: Instance) -> None:
    instance.control_socket.write_text("", encoding="ascii")
    with pytest.raises(NotRunning):
        ask(instance, "hi")


def test_somebody_elses_server(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("homeport.daemon.control_client.connect", closed)
    sentence = "its control socket is closed to user [0-9]+; run this as the user whose server it is"
    with pytest.raises(InstanceUnusable, match=sentence):
        ask(instance, "status")


def test_waiting_has_an_end(instance: Instance) -> None:
    clock = iter(range(100))
    with pytest.raises(NotReady, match=r"the server was not ready within 3 s"):
        wait_until_ready(instance, 3.0, now=lambda: float(next(clock)), sleep=lambda _: None)


@pytest.mark.parametrize("message", [{}, {"a": "\u2028\ud800 \x00"}, {"b": [1, None, True, 1.5]}])
def test_messages_are_one_line_of_ascii(message: Message) -> None:
    line = encode(message)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_what_is_no_message() -> None:
    with pytest.raises(BadMessage, match="not a JSON object"):
        decode(b"5")
