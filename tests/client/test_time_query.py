from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from homeport.client import time_query
from homeport.client.errors import ClientError, ConnectionFailed, ProtocolViolation, RemoteBusy, UsageError
from homeport.client.time_query import Place, ask_text, measure_offset, parse_place
from homeport.protocols import ntp

CLOCK = ntp.Clock(True, stratum=3, leap=0)
Script = Callable[[bytes], list[bytes]]


@contextmanager
def server(script: Script, host: str = "127.0.0.1") -> Iterator[Place]:
    """Answers each datagram with those that `script` gives."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as listening:
        listening.bind((host, 0))

        def run() -> None:
            while True:
                request, peer = listening.recvfrom(2048)
                if request == b"the end":
                    return
                for reply in script(request):
                    listening.sendto(reply, peer)

        thread = threading.Thread(target=run)
        thread.start()
        yield Place(host, listening.getsockname()[1])
        with socket.socket(family, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"the end", listening.getsockname())
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_query, "_WAITS_S", (0.2, 5.0))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("time.example.org", Place("time.example.org")),
        ("192.0.2.1:2123", Place("192.0.2.1", 2123)),
        ("[2001:db8::1]:2123", Place("2001:db8::1", 2123)),
        ("[::1]", Place("::1")),
        ("::1", Place("::1")),
        ("localhost", Place("localhost")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


@pytest.mark.parametrize("text", ["", "host:0", "host:65536", "ftp://host/", "[::1", "a b", "host:"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_place(text)
    assert str(caught.value) == (
        f"{text!r} is no host; write such as time.example.org, 192.0.2.1:2123 or [2001:db8::1]:2123"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_time_as_text(host: str) -> None:
    with server(lambda request: [request.upper()], host) as place:
        assert ask_text(place, "%h %m") == "%H %M"
        assert ask_text(place, "") == ""


def test_a_lost_question_is_asked_again() -> None:
    came: list[bytes] = []
    with server(lambda request: came.append(request) or ([request] if len(came) > 1 else [])) as place:  # type: ignore[func-returns-value]
        assert ask_text(place, "x") == "x"
    assert came == [b"x", b"x"]


def test_a_refusal_is_said() -> None:
    with server(lambda _: [b"? no directive %Q"]) as place, pytest.raises(UsageError) as caught:
        ask_text(place, "%Q")
    assert str(caught.value) == f"{place} refuses the format: no directive %Q"


@pytest.mark.parametrize("ask", [lambda place: ask_text(place, ""), measure_offset])
def test_no_socket_stays_with_an_error(ask: Callable[[Place], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """An error has its traceback's frames, and whoever keeps it keeps them: none may hold an open socket."""
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *how: Any) -> None:
            super().__init__(*how)
            made.append(self)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", Noted)
        with server(lambda _: [b"? no"]) as place, pytest.raises(ClientError) as caught:
            ask(place)
    assert caught.value.__traceback__ is not None
    assert [each.fileno() for each in made] == [-1] * 3


def test_an_answer_that_is_no_text_is_shown_nevertheless() -> None:
    with server(lambda _: [b"\xff"]) as place:
        assert ask_text(place, "") == "\\xff"


@pytest.mark.parametrize("ask", [lambda place: ask_text(place, ""), measure_offset])
def test_nobody_there(ask: Callable[[Place], object]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        place = Place("127.0.0.1", free.getsockname()[1])
    with pytest.raises(ConnectionFailed, match=f"^{place} does not tell the time on UDP port {place.port}; is it"):
        ask(place)
    with pytest.raises(ConnectionFailed, match="no such host"):
        ask(Place("nowhere.invalid"))


def answered(request: bytes, ahead_ns: int = 0, wait_s: float = 0.0) -> bytes:
    now = time.time_ns() + ahead_ns
    if wait_s:
        time.sleep(wait_s)
    reply = ntp.answer(request, CLOCK, now, now)
    assert reply is not None
    return reply


@pytest.mark.parametrize("ahead_s", [0, 3600, -86400])
def test_the_offset_of_the_quickest_answer(ahead_s: int) -> None:
    count = iter(range(100))

    def script(request: bytes) -> list[bytes]:
        return [answered(request, ahead_s * 10**9, wait_s=0.5 if next(count) != 2 else 0.0)]

    with server(script) as place:
        found = measure_offset(place)
    assert abs(found.offset_s - ahead_s) < 0.24
    assert found.delay_s < 0.45
    assert found.synchronised


def test_late_answers_and_forged_ones_are_not_taken() -> None:
    forged = answered(ntp.question(1), 10**18)
    with server(lambda request: [forged, answered(request)]) as place:
        assert abs(measure_offset(place).offset_s) < 1
    with server(lambda _: [forged, b"short"]) as place, pytest.raises(ProtocolViolation, match="is too short to be"):
        measure_offset(place)


def test_a_server_that_asks_for_patience() -> None:
    with server(lambda request: [ntp.slow_down(request) or b""]) as place, pytest.raises(RemoteBusy) as caught:
        measure_offset(place)
    assert str(caught.value) == f"{place}: the server asks to be asked less often"


def test_every_refusal_is_an_error_of_the_client() -> None:
    assert issubclass(RemoteBusy, ClientError)
