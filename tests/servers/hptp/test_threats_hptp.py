"""Every H row of the threats over a real socket: who attacks is answered by a code, and everybody else is served."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import socket
import ssl
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hptp.client import Failed, Gone, HptpClient, context, derive
from tests.servers.hptp.serving import SETTINGS, Running, serving
from tests.servers.running import NAME, PASSWORD, House, built_house

from homeport.core.login_guard import GuardSettings
from homeport.protocols.channel_binding import TYPE
from homeport.protocols.hptp.frames import HEADER, FrameType
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.scram import Binding, ScramRefused

QUICK = replace(SETTINGS, times=replace(SETTINGS.times, send_s=0.4, data_s=0.4))
HELLO = {
    "hptp": 1,
    "software": "evil",
    "max_payload": 1 << 20,
    "stream_window": 1 << 20,
    "connection_window": 1 << 20,
    "max_streams": 16,
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built_house(tmp_path) as house:
        house.accounts.create(NAME, PASSWORD)
        yield house


@pytest.fixture
def server(house: House) -> Iterator[Running]:
    """A server whose other clients are served when the attack is over."""
    with serving(house) as server:
        yield server
        others_are_served(server)


@pytest.fixture
def impatient(house: House) -> Iterator[Running]:
    with serving(house, QUICK) as server:
        yield server
        others_are_served(server)


def others_are_served(server: Running) -> None:
    with server.client() as client:
        client.put("/served", b"bytes")
        assert client.get("/served") == b"bytes"


def frame(kind: int, stream: int, payload: bytes, *, length: int | None = None, flags: int = 0) -> bytes:
    return HEADER.pack(len(payload) if length is None else length, kind, flags, 0, stream) + payload


def said(**members: Any) -> bytes:
    return json.dumps(members).encode()


def farewell(client: HptpClient) -> str:
    """The code of the server's GOAWAY, when it has closed."""
    client.hear_all()
    assert client.goodbye is not None, client.others
    return client.goodbye.code


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# H1: frames

JSON_BOMBS = {
    "deep": b'{"op":' + b"[" * 30000 + b"]" * 30000 + b"}",
    "deep objects": b'{"op":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "wide": said(op="ping", **{f"k{n}": n for n in range(6000)}) + b" ",
    "twice": b'{"op":"ping","op":"ping"}',
    "nan": b'{"op":"ping","n":NaN}',
    "infinity": b'{"op":"ping","n":1e999}',
    "huge number": b'{"op":"ping","n":' + b"9" * 60000 + b"}",
    "no object": b'["ping"]',
    "no text": b'{"op":"ping","n":"\xff"}',
    "half a pair": b'{"op":"ping","n":"\\ud800"}',
    "nothing": b"",
    "no op": b"{}",
}


@pytest.mark.parametrize("bomb", [name for name in JSON_BOMBS if name != "wide"])
def test_h1_json_bombs(server: Running, bomb: str) -> None:
    with server.client() as client:
        client.send(frame(FrameType.REQUEST, 1, JSON_BOMBS[bomb]))
        assert farewell(client) == "json-malformed"


def test_h1_many_keys_are_unread(server: Running) -> None:
    with server.client() as client:
        stream = client.open("ping", **{f"k{n}": n for n in range(4000)})
        assert client.finish(stream).result() == {}


FRAMES = {
    "2^32-1 long": (frame(FrameType.DATA, 1, b"", length=(1 << 32) - 1), "frame-too-long"),
    "negative as signed": (frame(FrameType.REQUEST, 1, b"", length=1 << 31), "frame-too-long"),
    "1 GiB of control": (frame(FrameType.REQUEST, 1, b"", length=1 << 30), "frame-too-long"),
    "a byte too much": (frame(FrameType.DATA, 1, b"", length=(1 << 20) + 1), "frame-too-long"),
    "no data": (frame(FrameType.DATA, 1, b""), "frame-malformed"),
    "unknown type": (frame(99, 1, b"x"), "frame-unknown"),
    "type of the server's": (frame(FrameType.RESULT, 1, b"{}"), "frame-unexpected"),
    "second hello": (frame(FrameType.HELLO, 0, said(**HELLO)), "frame-unexpected"),
    "late auth": (frame(FrameType.AUTH, 0, said(message="x")), "frame-unexpected"),
    "flags": (frame(FrameType.PING, 0, bytes(8), flags=1), "frame-malformed"),
    "short ping": (frame(FrameType.PING, 0, bytes(7)), "frame-malformed"),
    "request on stream 0": (frame(FrameType.REQUEST, 0, said(op="ping")), "stream-malformed"),
    "stream beyond": (frame(FrameType.REQUEST, 1 << 31, said(op="ping")), "stream-malformed"),
    "data of nobody": (frame(FrameType.DATA, 7, b"x"), "stream-malformed"),
    "end of nobody": (frame(FrameType.END, 7, b"{}"), "stream-malformed"),
    "no credit": (frame(FrameType.WINDOW, 0, bytes(4)), "window-malformed"),
    "endless credit": (frame(FrameType.WINDOW, 0, b"\xff" * 4), "window-malformed"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_h1_false_frames(server: Running, name: str) -> None:
    raw, code = FRAMES[name]
    with server.client() as client:
        client.send(raw)
        assert farewell(client) == code


def test_h1_streams_used_twice(server: Running) -> None:
    with server.client() as client:
        client.ask("ping")
        client.send(frame(FrameType.REQUEST, 1, said(op="ping")))
        assert farewell(client) == "stream-malformed"


def test_h1_a_frame_in_single_bytes_and_a_thousand_in_one_piece(server: Running) -> None:
    with server.client() as client:
        for byte in frame(FrameType.PING, 0, b"one byte"):
            client.send(bytes([byte]))
        client.wait(lambda: len(client.others) > 1)
        client.send(frame(FrameType.PING, 0, b"together") * 1000)
        pongs = len(client.others) + 1000
        client.wait(lambda: len(client.others) >= pongs)


def test_h1_a_length_that_trickles_takes_no_memory(server: Running) -> None:
    """Fifty clients announce the largest control frame and send a byte of it now and then."""
    with contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(server.visitor()) for _ in range(50)]
        before = resident_bytes()
        for client in clients:
            client.flush()
            client.socket.sendall(frame(FrameType.AUTH, 0, b"{", length=8192))
        others_are_served(server)
        assert resident_bytes() - before < 20 * 2**20


def test_h1_before_the_login_little_is_heard(server: Running) -> None:
    with server.visitor() as client:
        client.send(frame(FrameType.AUTH, 0, b"", length=8193))
        assert farewell(client) == "frame-too-long"
    with server.visitor() as client:
        client.send(frame(FrameType.REQUEST, 1, said(op="ping")))
        assert farewell(client) == "frame-unexpected"


def test_h1_a_flood_of_pings_that_nobody_reads_the_answers_of(impatient: Running) -> None:
    """Memory stays flat, and the one who does not read is cut."""
    with impatient.client() as client:
        before = resident_bytes()
        flood = frame(FrameType.PING, 0, bytes(8)) * 4096
        with pytest.raises(OSError):  # noqa: PT011, PT012 - a reset or a timeout, as the kernel likes, at any time
            for _ in range(2000):
                client.socket.sendall(flood)
        assert resident_bytes() - before < 30 * 2**20
        client.cut()


def test_h1_ten_thousand_streams(server: Running) -> None:
    with server.client() as client:
        requests = b"".join(frame(FrameType.REQUEST, n, said(op="put", path=f"/{n}")) for n in range(1, 10001))
        with contextlib.suppress(OSError):
            client.socket.sendall(requests)
        assert farewell(client) == "streams-too-many"


def test_h1_a_connection_that_ends_in_a_frame_keeps_what_came(server: Running, house: House) -> None:
    with server.client() as client:
        client.open("put", path="/half")
        client.send(frame(FrameType.DATA, 1, b"x" * 1000, length=4000))
        wait_for(lambda: staged(house, "/half") == 1000)
        client.cut()
    assert not (house.home() / "half").exists()
    with server.client() as client:
        assert client.ask("resume_size", path="/half") == {"size": 1000}


def staged(house: House, path: str) -> int | None:
    from homeport.core.paths import ROOT

    return house.services.stages.size_of(house.accounts.get(NAME).id, ROOT.join(path))


def wait_for(condition: Any) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at, "it never came to be"
        time.sleep(0.005)


# H2: the login


def test_h2_a_replayed_proof(server: Running) -> None:
    with server.visitor() as client:
        scram = client.prover(NAME)
        first = client.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS")
        final = scram.answer(str(first["message"]), derive(PASSWORD), 4096)
        scram.verify(str(client.prove(final)["message"]))
    with server.visitor() as client:
        client.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS")
        with pytest.raises(Failed) as caught:
            client.prove(final)
        assert (caught.value.code, caught.value.message) == ("login-refused", "login incorrect")
        assert farewell(client) == "login-refused"


def tampered(final: str, name: str) -> str:
    parts = dict(part.split("=", 1) for part in final.split(","))
    if name == "p":
        proof = bytearray(b64decode(parts["p"]))
        proof[0] ^= 1
        parts["p"] = b64encode(proof).decode()
    elif name == "c":
        parts["c"] = b64encode(b64decode(parts["c"])[:-1] + b"x").decode()
    else:
        parts["r"] += "x"
    return ",".join(f"{key}={value}" for key, value in parts.items())


@pytest.mark.parametrize("part", ["p", "c", "r"])
def test_h2_a_tampered_proof(server: Running, part: str) -> None:
    with server.visitor() as client:
        scram = client.prover(NAME)
        first = client.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS")
        final = scram.answer(str(first["message"]), derive(PASSWORD), 4096)
        with pytest.raises(Failed, match="login-refused: login incorrect"):
            client.prove(tampered(final, part))


@pytest.mark.parametrize(
    ("first", "mechanism"),
    [
        ("n,,n=alice,r=abcdef", "SCRAM-SHA-256-PLUS"),
        ("y,,n=alice,r=abcdef", "SCRAM-SHA-256-PLUS"),
        ("p=tls-unique,,n=alice,r=abcdef", "SCRAM-SHA-256-PLUS"),
        ("p=tls-server-end-point,,n=alice,r=abcdef", "SCRAM-SHA-256"),
        ("p=tls-server-end-point,a=root,n=alice,r=abcdef", "SCRAM-SHA-256-PLUS"),
        ("p=tls-server-end-point,,n=alice", "SCRAM-SHA-256-PLUS"),
        ("", "SCRAM-SHA-256-PLUS"),
    ],
)
def test_h2_a_downgrade_of_the_binding(server: Running, first: str, mechanism: str) -> None:
    with server.visitor() as client, pytest.raises(Failed) as caught:
        client.prove(first, mechanism=mechanism)
    assert caught.value.code == "auth-malformed"


def test_h2_another_servers_certificate(server: Running) -> None:
    """What a man in the middle gets: a proof bound to his own certificate, which is good for nothing here."""
    with server.visitor() as client:
        other = Binding(TYPE, hashlib.sha256(b"another certificate").digest())
        scram = client.prover(NAME, other)
        first = client.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS")
        final = scram.answer(str(first["message"]), derive(PASSWORD), 4096)
        with pytest.raises(Failed, match="login-refused"):
            client.prove(final)


def test_h2_a_lowered_count_of_iterations_is_refused_by_the_client(server: Running) -> None:
    with server.visitor() as client:
        scram = client.prover(NAME)
        first = str(client.prove(scram.first(), mechanism="SCRAM-SHA-256-PLUS")["message"])
        assert first.endswith("i=4096")
        with pytest.raises(ScramRefused):
            scram.answer(first.replace("i=4096", "i=1"), derive(PASSWORD), 4096)


def test_h2_messages_out_of_order(server: Running) -> None:
    with server.visitor() as client:
        client.engine.send_auth({"message": "p=tls-server-end-point,,n=alice,r=abc", "mechanism": "SCRAM-SHA-256-PLUS"})
        client.engine.send_auth({"message": "c=biws,r=abcdef,p=AAAA"})
        client.flush()
        # As the two arrive: before the first was answered, or as an answer to what was not asked.
        assert farewell(client) in ("frame-unexpected", "login-refused")


def test_h2_a_name_that_nobody_has_looks_like_any_other(server: Running) -> None:
    salts = []
    for name in ("nobody", "nobody", NAME):
        with server.visitor() as client:
            first = client.prove(client.prover(name).first(), mechanism="SCRAM-SHA-256-PLUS")
            salts.append(str(first["message"]).split(",", 1)[1])
    assert salts[0] == salts[1]
    assert len(salts[0]) == len(salts[2])
    with server.visitor() as client, pytest.raises(Failed, match="login-refused: login incorrect"):
        client.log_in("nobody", PASSWORD)


def test_h2_guessing_is_banned(house: House) -> None:
    house.guard = GuardSettings(first_delay_s=0.0, max_delay_s=0.0, failures_before_ban=6)
    with serving(house) as server:
        codes = []
        for _ in range(4):
            with server.visitor() as client, pytest.raises(Failed) as caught:
                client.log_in(NAME, "wrong")
            codes.append(caught.value.code)
        assert codes == ["login-refused", "login-refused", "login-refused", "banned"]


def test_h2_older_tls_and_other_protocols_are_refused(server: Running) -> None:
    old = context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        server.visitor(tls=old)
    other = context()
    other.set_alpn_protocols(["h2"])
    with contextlib.suppress(OSError), server.visitor(tls=other) as client, pytest.raises((OSError, Gone)):
        client.log_in(NAME, PASSWORD)


# H3: credit


def test_h3_an_overrun_of_a_stream_fails_that_stream(house: House) -> None:
    limits = Limits(stream_window=256 * 1024, connection_window=8 << 20)
    with serving(house, replace(SETTINGS, limits=limits)) as server, server.client() as client:
        stream = client.open("put", path="/over")
        client.flush()
        for _ in range(8):  # past the engine, which keeps to the window
            client.socket.sendall(frame(FrameType.DATA, stream, bytes(64 * 1024)) * 16)
        with pytest.raises(Failed) as caught:
            client.finish(stream)
        assert caught.value.code == "window-overrun"
        client.put("/fine", b"x")
        assert not (house.home() / "over").exists()


def test_h3_an_overrun_of_the_connection_ends_it(house: House) -> None:
    limits = Limits(stream_window=1 << 20, connection_window=1 << 20)
    with serving(house, replace(SETTINGS, limits=limits)) as server:
        with server.client() as client:
            # One byte too many, however fast the server reads: so little is not given back alone.
            for stream, size in ((1, 1), (2, 1 << 20)):
                client.send(frame(FrameType.REQUEST, stream, said(op="put", path=f"/{stream}", size=size)))
                client.send(frame(FrameType.DATA, stream, bytes(size)))
            assert farewell(client) == "window-overrun"
        others_are_served(server)


def test_h3_a_window_of_zero_for_ever(impatient: Running, house: House) -> None:
    (house.home() / "large").write_bytes(bytes(1 << 20))
    none = Limits(software="test", stream_window=0, connection_window=1 << 20)
    with impatient.client(limits=none) as client:
        stream = client.open("get", path="/large")
        client.ask("ping")  # others on the same connection are served meanwhile
        with pytest.raises(Failed) as caught:
            client.finish(stream)
        assert caught.value.code == "stalled"
        client.ask("ping")


def test_h3_streams_that_are_never_read(impatient: Running, house: House) -> None:
    """More than may be open at once: they fail one after another, and a small one behind them comes through."""
    (house.home() / "large").write_bytes(bytes(1 << 20))
    tight = Limits(software="test", stream_window=1000, connection_window=1 << 20)
    with impatient.client(limits=tight, automatic=False) as client:
        streams = [client.open("get", path="/large") for _ in range(80)]
        (house.home() / "small").write_bytes(b"x")
        last = client.open("get", path="/small")
        assert client.finish(last).body == b"x"
        for stream in streams:
            with pytest.raises(Failed, match="stalled"):
                client.finish(stream)


def test_h3_uploads_that_never_go_on(impatient: Running, house: House) -> None:
    with impatient.client() as client:
        large, small = client.open("put", path="/large"), client.open("put", path="/small", size=100)
        client.send_body(large, b"x" * 100_000)
        client.send_body(small, b"x" * 10)
        for stream in (large, small):
            with pytest.raises(Failed, match="stalled"):
                client.finish(stream)
        assert client.ask("resume_size", path="/large") == {"size": 100_000}


def test_h3_a_thousand_uploads_that_are_begun_and_not_ended(server: Running) -> None:
    """They would fill the window and wait for each other for ever; those beyond a bound are told to come later."""
    with server.client() as client:
        streams = []
        for number in range(900):
            stream = client.open("put", path=f"/{number}", size=120 * 1024)
            client.send_body(stream, bytes(60 * 1024))
            streams.append(stream)
        client.ask("ping")
        refused = [stream for stream in streams if client.streams.get(stream) and client.streams[stream].over]
        assert refused
        for stream in refused:
            with pytest.raises(Failed, match="too-many-transfers"):
                client.finish(stream)
        client.put("/one more", bytes(2 << 20))


# Silence


def test_silent_peers_are_cut_and_hold_up_nobody(house: House) -> None:
    times = replace(SETTINGS.times, login_s=0.5, handshake_s=0.3)
    with serving(house, replace(SETTINGS, times=times)) as server:
        assert isinstance(server.address, tuple)
        silent = [socket.create_connection(server.address, 10) for _ in range(20)]
        half = server.visitor()
        others_are_served(server)
        for connection in silent:
            assert connection.recv(1) == b""
            connection.close()
        assert farewell(half) == "going-away"
        half.close()


def test_a_client_that_is_gone_without_a_word_is_noticed(house: House) -> None:
    times = replace(SETTINGS.times, ping_s=0.2, send_s=0.3)
    with serving(house, replace(SETTINGS, times=times)) as server, server.client() as client:
        give_up_at = time.monotonic() + 5
        while len(server.core.sessions) and time.monotonic() < give_up_at:
            time.sleep(0.01)  # it answers no PING, for nobody reads
        assert len(server.core.sessions) == 0
        client.cut()


def test_an_idle_session_ends(house: House) -> None:
    times = replace(SETTINGS.times, idle_s=0.3)
    with serving(house, replace(SETTINGS, times=times)) as server, server.client() as client:
        client.ask("ping")
        assert farewell(client) == "going-away"
        assert client.goodbye is not None
        assert client.goodbye.message == "idle for 0 s"


def test_descriptors_and_threads_come_back(server: Running, house: House) -> None:
    (house.home() / "large").write_bytes(bytes(1 << 20))
    others_are_served(server)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with server.client(automatic=False) as client:
            client.open("get", path="/large")
            client.send_body(client.open("put", path="/up"), b"x" * 100_000)
            client.open("walk", path="/")
            client.flush()
            client.cut()
    wait_for(lambda: len(server.core.sessions) == 0)
    wait_for(
        lambda: (
            len(os.listdir("/proc/self/fd")) <= before + 4
            or print(
                [
                    os.readlink(f"/proc/self/fd/{f}")
                    for f in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{f}")
                ]
            )
        )
    )


def test_struct_of_the_header() -> None:
    """The tests' own frames are those of the specification."""
    assert frame(FrameType.PING, 0, b"12345678")[:12] == struct.pack("!IBBHI", 8, 3, 0, 0, 0)
