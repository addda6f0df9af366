"""Every verb over a real socket, against a server that was written from the paper."""

from __future__ import annotations

import pytest
from tests.client.hptp.conftest import Enter
from tests.client.hptp.fake_hptp_server import FakeHptpServer, HptpScript, Session, Stored, sha256

from homeport.client import errors
from homeport.client.errors import ClientError
from homeport.client.hptp.remote import HptpRemote
from homeport.client.remote import Digest, Kind, RemoteEntry
from homeport.protocols.hptp.events import RequestReceived
from homeport.protocols.hptp.limits import Limits
from homeport.protocols.hptp.strict_json import JsonObject

MIB = 1 << 20


def read_all(remote: HptpRemote, path: str, offset: int = 0) -> tuple[bytes, Digest | None]:
    reader = remote.open_reader(path, offset)
    data = bytearray()
    buffer = memoryview(bytearray(100_000))
    while count := reader.read_into(buffer):
        data += buffer[:count]
    return bytes(data), reader.finish()


def test_looking(script: HptpScript, enter: Enter) -> None:
    script.folders |= {"/in", "/in/deep"}
    script.files |= {"/in/a": Stored(b"abc"), "/caf\udce9": Stored(b""), "/in/deep/b": Stored(b"12345")}
    remote = enter()
    assert remote.is_open
    assert remote.working_directory() == "/"
    assert list(remote.list("/")) == [
        RemoteEntry("caf\udce9", Kind.FILE, 0, 1_700_000_000.0, 420),
        RemoteEntry("in", Kind.DIRECTORY, 0, 0.0, 493),
    ]
    assert remote.stat("/in/a") == RemoteEntry("a", Kind.FILE, 3, 1_700_000_000.0, 420)
    assert remote.stat("/").is_directory
    assert remote.digest("/in/a") == Digest("SHA-256", sha256(b"abc"))
    assert remote.digest("/in/a", end=2) == Digest("SHA-256", sha256(b"ab"))
    assert remote.space().free_bytes == 1000
    with pytest.raises(errors.RemoteNotFound, match="cannot look at /x: the server says: /x: no such file"):
        remote.stat("/x")


def test_changing(script: HptpScript, enter: Enter) -> None:
    script.files["/a"] = Stored(b"abc")
    remote = enter()
    remote.make_directory("/in")
    with pytest.raises(errors.RemoteExists):
        remote.make_directory("/in")
    remote.move("/a", "/in/b")
    told: list[ClientError | None] = []
    remote.set_mtime("/in/b", 1.5, told=told.append)
    remote.set_mtime("/in/b", 2.5)
    remote.settle()
    assert told == [None]
    assert script.files["/in/b"].mtime_ns == 2_500_000_000
    remote.set_mtime("/in/b", 1e10)  # the year 2286: more nanoseconds than can be said
    assert script.files["/in/b"].mtime_ns == 2**63 - 1
    remote.remove_file("/in/b")
    remote.remove_directory("/in")
    assert (script.files, script.folders) == ({}, {"/"})


@pytest.mark.parametrize("size", [0, 1, 4096, 3 * MIB + 7])
def test_a_file_goes_up_and_comes_down(script: HptpScript, enter: Enter, size: int) -> None:
    script.limits = Limits(software="tight", stream_window=100_000, connection_window=150_000, max_payload=65536)
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    remote = enter()
    writer = remote.open_writer("/a", size=size)
    for at in range(0, size, 70_000):
        writer.write(memoryview(data)[at : at + 70_000])
    assert writer.finish() == Digest("SHA-256", sha256(data))
    assert script.files["/a"].data == data
    assert read_all(remote, "/a") == (data, Digest("SHA-256", sha256(data)))
    assert read_all(remote, "/a", offset=size // 2)[0] == data[size // 2 :]


def test_what_was_begun_is_told_and_gone_on_with(script: HptpScript, enter: Enter) -> None:
    remote = enter()
    assert remote.partial_size("/a") == 0
    assert remote.partial_size("/none/a") == 0
    script.partials["/a"] = b"abc"
    assert remote.partial_size("/a") == 3
    assert remote.digest("/a", end=3) == Digest("SHA-256", sha256(b"abc"))
    writer = remote.open_writer("/a", 3)
    writer.write(memoryview(b"def"))
    writer.finish()
    assert script.files["/a"].data == b"abcdef"


def test_one_link_serves_all_of_a_process(server: FakeHptpServer, enter: Enter) -> None:
    first, second = enter(), enter()
    assert server.connections == 1
    first.close()
    first.close()
    assert not first.is_open
    with pytest.raises(errors.ConnectionFailed, match="the connection was closed"):
        first.stat("/")
    assert second.stat("/").is_directory
    second.close()
    third = enter()
    assert third.stat("/").is_directory
    assert server.connections == 2


def test_another_password_shares_nothing(server: FakeHptpServer, enter: Enter) -> None:
    enter()
    with pytest.raises(errors.LoginFailed, match="cannot log in: the server says: wrong name or password"):
        enter("pen")
    assert server.connections == 2


def test_leaving_early_leaves_the_others_alone(script: HptpScript, enter: Enter) -> None:
    script.files["/big"] = Stored(bytes(20 * MIB))
    script.files["/small"] = Stored(b"abc")
    remote = enter()
    reader = remote.open_reader("/big")
    reader.read_into(memoryview(bytearray(10)))
    assert read_all(remote, "/small")[0] == b"abc"
    reader.abort()
    writer = remote.open_writer("/new", size=10)
    writer.write(memoryview(b"12345"))
    writer.abort()
    for name in remote.list("/"):
        assert name
        break
    assert read_all(remote, "/small")[0] == b"abc"
    assert "/new" not in script.files
    assert remote.partial_size("/new") == 5


def test_a_refusal_in_the_middle_of_an_upload_ends_it(script: HptpScript, enter: Enter) -> None:
    def refuse(session: Session, request: RequestReceived) -> None:
        session.engine.send_error(request.stream, "quota-exceeded", "no room")

    script.answers["put"] = refuse
    remote = enter()
    writer = remote.open_writer("/a", size=64 * MIB)
    with pytest.raises(errors.NoRoom, match="cannot store /a: the server says: no room"):
        writer.write(memoryview(bytes(64 * MIB)))
    writer.abort()
    assert remote.stat("/").is_directory


def test_an_interrupted_one_fails_and_the_others_go_on(script: HptpScript, enter: Enter) -> None:
    script.answers["usage"] = lambda session, request: None
    stuck, other = enter(), enter()

    def never(session: Session, request: RequestReceived) -> None:
        stuck.interrupt()

    script.answers["usage"] = never
    with pytest.raises(errors.ConnectionFailed, match="interrupted"):
        stuck.space()
    assert other.stat("/").is_directory


def test_a_cut_connection_fails_everything_that_was_asked(
    server: FakeHptpServer, script: HptpScript, enter: Enter
) -> None:
    script.answers["usage"] = lambda session, request: session.cut()
    remote = enter()
    with pytest.raises(errors.ConnectionFailed, match="the connection to the server was cut"):
        remote.space()
    assert not remote.is_open
    with pytest.raises(errors.ConnectionFailed):
        remote.stat("/")
    assert enter().stat("/").is_directory
    assert server.connections == 2


def test_a_silent_server_is_given_up(script: HptpScript, enter: Enter) -> None:
    def sleep(session: Session, request: RequestReceived) -> None:
        session.socket.settimeout(20)
        while session.socket.recv(1000):  # hears everything, a PING too, and never answers
            pass

    script.answers["usage"] = sleep
    remote = enter(stall_s=0.2)
    with pytest.raises(errors.Stalled, match=r"no byte came from the server for 0\.2 s"):
        remote.space()


def test_a_server_that_stops_takes_nothing_new(script: HptpScript, enter: Enter) -> None:
    def stop(session: Session, request: RequestReceived) -> None:
        session.engine.go_away("shutdown", "The server stops.")
        session.engine.send_result(request.stream, {"free_bytes": 7})

    script.answers["usage"] = stop
    remote = enter()
    assert remote.space().free_bytes == 7
    with pytest.raises(errors.ConnectionFailed, match="takes no more requests"):
        remote.stat("/")
    assert not remote.is_open


def test_more_than_the_server_takes_at_once_waits(script: HptpScript, enter: Enter) -> None:
    script.limits = Limits(software="one at a time", max_streams=1)
    script.files["/a"] = Stored(b"abc")
    remote = enter()
    reader = remote.open_reader("/a")
    assert reader.read_into(memoryview(bytearray(10))) == 3
    assert remote.stat("/a").size == 3
    reader.abort()
    assert remote.stat("/a").size == 3


NONSENSE: list[tuple[str, str, JsonObject]] = [
    ("stat", "look at /", {"kind": 7, "size": -1, "mtime_ns": "x", "mode": None}),
]


def test_facts_that_are_none_are_left_out(script: HptpScript, enter: Enter) -> None:
    script.answers["stat"] = lambda session, request: session.engine.send_result(request.stream, NONSENSE[0][2])
    assert enter().stat("/a") == RemoteEntry("a", Kind.OTHER)


def _head(session: Session, request: RequestReceived) -> None:
    session.engine.send_head(request.stream, {})


def _items(session: Session, request: RequestReceived) -> None:
    session.engine.send_items(request.stream, [{"name": 7}])


def _result(session: Session, request: RequestReceived) -> None:
    session.engine.send_result(request.stream, {})


@pytest.mark.parametrize(
    ("op", "answer", "act", "complaint"),
    [
        ("stat", _head, lambda remote: remote.stat("/"), "cannot look at /: the server answers with HeadReceived"),
        ("stat", _items, lambda remote: remote.stat("/"), "answers with ItemsReceived"),
        ("list", _head, lambda remote: list(remote.list("/")), "answers with HeadReceived"),
        ("list", _items, lambda remote: list(remote.list("/")), "the server lists a name is text"),
        ("get", _result, lambda remote: read_all(remote, "/a"), "answers with ResultReceived"),
        ("get", _items, lambda remote: read_all(remote, "/a"), "answers with ItemsReceived"),
        ("digest", _result, lambda remote: remote.digest("/a"), "tells no digest of /a"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    script: HptpScript, enter: Enter, op: str, answer: object, act: object, complaint: str
) -> None:
    script.answers[op] = answer  # type: ignore[assignment]
    remote = enter()
    with pytest.raises(errors.ProtocolViolation, match=complaint):
        act(remote)  # type: ignore[operator]
    assert remote.is_open


def test_a_server_that_breaks_the_protocol_is_left(script: HptpScript, enter: Enter) -> None:
    script.answers["usage"] = lambda session, request: session.socket.sendall(b"\0\0\0\0\x63\0\0\0\0\0\0\1")
    remote = enter()
    with pytest.raises(errors.ProtocolViolation, match=r"the server breaks the protocol: a frame of type 99"):
        remote.space()
    assert not remote.is_open


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "a\0b"])
def test_names_that_could_not_be_files_are_left_out(script: HptpScript, enter: Enter, name: str) -> None:
    def lie(session: Session, request: RequestReceived) -> None:
        session.engine.send_items(request.stream, [{"name": name}, {"name": "honest"}])
        session.engine.send_result(request.stream, {})

    script.answers["list"] = lie
    assert [entry.name for entry in enter().list("/")] == ["honest"]
