"""The Remote interface over SFTP, against a server in memory that can be taught."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.ssh.conftest import Person
from tests.client.ssh.scripted_sshd import FILE, ScriptedSshd

from homeport.client import errors
from homeport.client.engine import Engine
from homeport.client.items import download, upload
from homeport.client.options import TransferOptions
from homeport.client.remote import Digest, Kind, RemoteEntry, Space
from homeport.client.retry import RetryPolicy
from homeport.client.ssh.remote import MAX_USELESS_ANSWERS, SftpRemote
from homeport.client.ssh.transfers import WINDOW_BYTES
from homeport.protocols.sftp import replies, requests
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Status
from homeport.protocols.sftp.wire import string, u32, u64

MIB = 1024 * 1024


def pattern(size: int) -> bytes:
    """Bytes of which no block is like another."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def read_all(remote: SftpRemote, path: str, offset: int = 0, block: int = 50_000) -> bytes:
    reader, got, buffer = remote.open_reader(path, offset), bytearray(), memoryview(bytearray(block))
    while count := reader.read_into(buffer):
        got += buffer[:count]
    assert reader.finish() is None
    return bytes(got)


def refuse(code: int, text: str = "") -> Callable[[Any], bytes]:
    return lambda request: replies.status(request.id, Status(code) if code <= 8 else code, text)  # type: ignore[arg-type]


# --- names ---


def test_a_folder(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.folders |= {"/in", "/in/sub"}
    server.files |= {"/in/名 1": bytearray(b"data"), "/in/\udcff": bytearray()}
    server.links["/in/link"] = "/in/sub"
    found = {entry.name: entry for entry in remote.list("/in")}
    assert found["名 1"] == RemoteEntry("名 1", Kind.FILE, 4, 1_000_000_000.0, FILE)
    assert (found["sub"].kind, found["link"].kind, found["\udcff"].kind) == (Kind.DIRECTORY, Kind.LINK, Kind.FILE)
    assert len(found) == 4
    assert remote.stat("/in/名 1").size == 4


def test_a_link_is_told_from_what_it_leads_to(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.folders.add("/d")
    server.links |= {"/l": "/d", "/dangling": "/nothing"}
    assert (remote.stat("/l").kind, remote.stat("/l").is_link) == (Kind.DIRECTORY, True)
    assert remote.stat("/dangling").kind is Kind.LINK
    assert not remote.stat("/d").is_link


def test_what_changes_names(server: ScriptedSshd, remote: SftpRemote) -> None:
    remote.make_directory("/d")
    server.files |= {"/a": bytearray(b"new"), "/b": bytearray(b"old")}
    remote.move("/a", "/b")
    assert server.files == {"/b": bytearray(b"new")}
    remote.set_mtime("/b", 1234.9)
    assert server.times["/b"] == 1234
    remote.remove_file("/b")
    remote.remove_directory("/d")
    assert (server.files, server.folders) == ({}, {"/"})
    assert remote.working_directory() == "/"


def test_a_server_that_never_renames_over_a_file(server: ScriptedSshd, person: Person) -> None:
    server.extensions = []
    server.files |= {"/a": bytearray(b"new"), "/b": bytearray(b"old")}
    remote = person.dial()
    with pytest.raises(errors.RemoteExists, match="cannot rename /a to /b: the server says: Failure"):
        remote.move("/a", "/b")
    remote.move("/a", "/c")
    with pytest.raises(errors.RemoteNotFound):
        remote.move("/nope", "/d")
    assert remote.space() == Space(None)


def test_names_in_another_charset(server: ScriptedSshd, person: Person) -> None:
    name = "中文".encode("gbk").decode("utf-8", "surrogateescape")
    server.files["/" + name] = bytearray(b"x")
    remote = person.dial(charset="gbk")
    assert [entry.name for entry in remote.list("/")] == ["中文"]
    assert remote.stat("/中文").size == 1
    with pytest.raises(errors.UsageError, match="cannot be written in the charset gbk"):
        remote.stat("/\U0001f600")
    with pytest.raises(errors.UsageError, match="a name cannot hold NUL"):
        remote.stat("/a\0b")


REFUSALS: list[tuple[int, str, type[errors.ServerRefused], str]] = [
    (2, "No such file", errors.RemoteNotFound, "No such file"),
    (3, "Permission denied", errors.PermissionRefused, "Permission denied"),
    (4, "Failure", errors.ServerRefused, "Failure"),
    (4, "", errors.ServerRefused, "failure"),
    (4, "Disk quota exceeded", errors.NoRoom, "Disk quota exceeded"),
    (4, "/a: File exists", errors.RemoteExists, "/a: File exists"),
    (4, "/a: is in use", errors.RemoteBusy, "/a: is in use"),
    (8, "", errors.ServerRefused, "op unsupported"),
    (14, "", errors.NoRoom, "14"),
    (11, "", errors.RemoteExists, "11"),
    (99, "", errors.ServerRefused, "99"),
]


@pytest.mark.parametrize(("code", "text", "kind", "shown"), REFUSALS)
def test_what_a_refusal_means(
    server: ScriptedSshd, remote: SftpRemote, code: int, text: str, kind: type[errors.ServerRefused], shown: str
) -> None:
    server.answers[requests.Remove] = refuse(code, text)
    with pytest.raises(errors.ServerRefused) as raised:
        remote.remove_file("/a")
    assert type(raised.value) is kind
    assert str(raised.value) == f"cannot remove /a: the server says: {shown}"
    assert remote.is_open


def test_times_are_told_later(server: ScriptedSshd, remote: SftpRemote) -> None:
    told: list[errors.ClientError | None] = []
    no = refuse(3, "no")
    server.answers[requests.SetStat] = lambda asked: no(asked) if asked.path == "/b" else server.usual(asked)
    remote.set_mtime("/a", 5.0, told=told.append)
    remote.set_mtime("/b", 6.0, told=told.append)
    remote.set_mtime("/c", 2.0**40, told=told.append)
    remote.settle()
    assert [str(failure) for failure in told] == [
        "/c: SFTP knows no times before 1970 and after 2106",
        "None",
        "cannot set the time of /b: the server says: no",
    ]
    with pytest.raises(errors.PermissionRefused):
        remote.set_mtime("/b", 6.0)
    remote.set_mtime("/d", 7.0, told=told.append)
    remote.close()
    assert isinstance(told[-1], errors.ConnectionFailed)


def test_room(server: ScriptedSshd, person: Person) -> None:
    server.extensions = [("statvfs@openssh.com", "2")]
    assert person.dial().space() == Space(20)


NO_QUOTA = requests.NO_QUOTA


@pytest.mark.parametrize(("quota", "told"), [(1000, 1000), (0, 0), (NO_QUOTA, None)])
def test_room_and_quota_at_our_own_server(server: ScriptedSshd, person: Person, quota: int, told: int | None) -> None:
    server.extensions = [("statvfs@openssh.com", "2"), ("usage@homeport", "1")]
    server.answers[requests.Usage] = lambda request: replies.extended(request.id, u64(7) + u64(993) + u64(quota))
    assert person.dial().space() == Space(7, 993, told)


def test_room_that_cannot_be_read(server: ScriptedSshd, person: Person) -> None:
    server.extensions = [("usage@homeport", "1")]
    server.answers[requests.Usage] = lambda request: replies.extended(request.id, u64(7))
    with pytest.raises(errors.ProtocolViolation, match="the server's word on the room left cannot be read"):
        person.dial().space()


# --- reading ---


@pytest.mark.parametrize("size", [0, 1, 4096, 65_536, 65_537, 3 * MIB + 1])
@pytest.mark.parametrize("limits", [False, True])
def test_reading(server: ScriptedSshd, person: Person, size: int, limits: bool) -> None:
    server.extensions = [("limits@openssh.com", "1")] if limits else []
    server.files["/a"] = bytearray(pattern(size))
    remote = person.dial()
    assert read_all(remote, "/a") == pattern(size)
    if size > 1:
        assert read_all(remote, "/a", size - 1) == pattern(size)[-1:]


def test_a_small_file_takes_two_round_trips(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(b"x" * 4096)
    del server.requests[:]
    read_all(remote, "/a")
    remote.settle()
    assert [type(request).__name__ for request in server.requests] == ["OpenFile", "HandleStat", "Read", "Close"]


def test_many_reads_are_on_their_way(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(pattern(8 * MIB))
    reader = remote.open_reader("/a")
    reader.read_into(memoryview(bytearray(10)))
    reader.read_into(memoryview(bytearray(MIB)))
    remote.stat("/a")  # all that was asked before is answered before
    asked = sum(request.size for request in server.requests if isinstance(request, requests.Read))
    assert WINDOW_BYTES <= asked <= WINDOW_BYTES + MIB
    reader.abort()
    assert remote.stat("/a").size == 8 * MIB


def test_answers_may_be_short(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(pattern(MIB))
    server.answers[requests.Read] = lambda request: server.usual(request._replace(size=min(request.size, 20_000)))
    assert read_all(remote, "/a") == pattern(MIB)


def test_answers_may_come_in_any_order(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(pattern(MIB))
    held: list[bytes] = []

    def backwards(request: requests.Read) -> bytes:
        held.append(server.usual(request))
        if request.offset + request.size < MIB and len(held) < 3:
            return b""
        ready, held[:] = b"".join(reversed(held)), []
        return ready

    reader = remote.open_reader("/a")
    buffer, got = memoryview(bytearray(100_000)), bytearray()
    got += buffer[: reader.read_into(buffer)]
    server.answers[requests.Read] = backwards
    while count := reader.read_into(buffer):
        got += buffer[:count]
    assert bytes(got) == pattern(MIB)


@pytest.mark.parametrize("stat", [refuse(8), lambda request: replies.attributes(request.id, Attributes(size=0))])
def test_an_end_that_nobody_knows(server: ScriptedSshd, remote: SftpRemote, stat: Callable[[Any], bytes]) -> None:
    server.files["/a"] = bytearray(pattern(200_000))
    server.answers[requests.HandleStat] = stat
    assert read_all(remote, "/a") == pattern(200_000)


def test_a_file_that_was_cut_meanwhile(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(pattern(100_000))
    server.answers[requests.HandleStat] = lambda request: replies.attributes(request.id, Attributes(size=10 * MIB))
    assert read_all(remote, "/a") == pattern(100_000)


# --- writing ---


def test_writing(server: ScriptedSshd, remote: SftpRemote) -> None:
    data = pattern(5 * MIB + 3)
    writer = remote.open_writer("/a", size=len(data))
    for at in range(0, len(data), 700_000):
        writer.write(memoryview(data)[at : at + 700_000])
    assert writer.finish() is None
    assert bytes(server.files["/a"]) == data


def test_going_on_needs_a_beginning(server: ScriptedSshd, remote: SftpRemote) -> None:
    with pytest.raises(errors.RemoteNotFound):
        remote.open_writer("/a", 5)
    server.files["/a"] = bytearray(b"01234")
    writer = remote.open_writer("/a", 5)
    writer.write(memoryview(b"56"))
    writer.finish()
    assert server.files["/a"] == b"0123456"


def test_a_refused_write_is_heard(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.answers[requests.Write] = refuse(3, "not you")
    writer = remote.open_writer("/a")
    writer.write(memoryview(b"x"))
    with pytest.raises(errors.PermissionRefused, match="cannot store /a: the server says: not you"):
        writer.finish()
    writer.abort()
    assert remote.is_open


def test_a_failure_without_a_reason_on_a_full_disk(server: ScriptedSshd, person: Person) -> None:
    server.extensions = [("statvfs@openssh.com", "2")]
    server.answers[requests.Write] = refuse(4, "Failure")
    writer = person.dial().open_writer("/a")
    writer.write(memoryview(b"x" * 30))
    with pytest.raises(errors.NoRoom, match="Failure; it has no room left"):
        writer.finish()


# --- our own server's extras ---


@pytest.fixture
def ours(server: ScriptedSshd, person: Person) -> SftpRemote:
    server.extensions = [("check-file", "1"), ("upload@homeport", "1"), ("partial-size@homeport", "1")]
    return person.dial()


SHA256 = Digest("SHA-256", "ab" * 32)


def test_an_upload_that_is_announced(server: ScriptedSshd, ours: SftpRemote) -> None:
    assert ours.abilities.checks_uploads
    assert ours.abilities.tells_partial_uploads
    server.files["/h"] = bytearray()
    server.answers[requests.BeginUpload] = lambda request: replies.handle(request.id, b"/h")
    writer = ours.open_writer("/a", 3, size=5, expected=SHA256)
    assert server.requests[-1] == requests.BeginUpload(server.requests[-1].id, "/a", False, 3, 5, "ab" * 32)
    writer.write(memoryview(b"xy"))
    assert writer.finish() == SHA256
    writer = ours.open_writer("/a", size=5, expected=SHA256)
    server.answers[requests.Close] = refuse(4, "/a: SHA-256 abab was announced, cdcd came; nothing was stored")
    with pytest.raises(errors.IntegrityMismatch, match="the old file, if there is one, is untouched"):
        writer.finish()
    server.answers[requests.Close] = refuse(4, "the disk is gone")
    with pytest.raises(errors.ServerRefused, match="the disk is gone"):
        ours.open_writer("/a", size=5, expected=SHA256).finish()


def test_how_much_is_kept(server: ScriptedSshd, ours: SftpRemote) -> None:
    server.answers[requests.PartialSize] = lambda request: replies.extended(request.id, u64(77))
    assert ours.partial_size("/a") == 77
    server.answers[requests.PartialSize] = lambda request: replies.extended(request.id, b"")
    with pytest.raises(errors.ProtocolViolation, match="the server's word on an unfinished upload cannot be read"):
        ours.partial_size("/a")


def test_how_much_other_servers_hold(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(b"123")
    assert (remote.partial_size("/a"), remote.partial_size("/b")) == (3, 0)


@pytest.mark.parametrize("head", [b"", string(b"check-file")])
def test_digests(server: ScriptedSshd, person: Person, head: bytes) -> None:
    server.extensions = [("check-file", "md5,sha256")]
    server.answers[requests.CheckFile] = lambda request: replies.extended(
        request.id, head + string(request.algorithms[0].encode()) + bytes([request.size]) * 32
    )
    remote = person.dial()
    assert remote.abilities.digests == ("SHA-256", "MD5")
    assert remote.digest("/a") == Digest("SHA-256", "00" * 32)
    assert remote.digest("/a", end=5) == Digest("SHA-256", "05" * 32)
    with pytest.raises(errors.ProtocolViolation, match="was asked for a MD5 digest and told something else"):
        remote.digest("/a", "MD5")
    with pytest.raises(errors.Incompatible, match="the server cannot tell a CRC32 digest"):
        remote.digest("/a", "CRC32")


# --- a hostile server ---


def test_names_that_lead_elsewhere_are_left_out(server: ScriptedSshd, remote: SftpRemote) -> None:
    names = ["../x", "..", ".", "", "a/b", "a\0b", "good", "\x1b[2J"]
    listed = iter([[replies.Name(name, "", Attributes(mode=FILE)) for name in names]])

    def listing(request: Any) -> bytes:
        found = next(listed, None)
        end = replies.status(request.id, Status.EOF, "")
        return end if found is None else replies.names(request.id, found)

    server.answers[requests.ReadFolder] = listing
    assert [entry.name for entry in remote.list("/")] == ["good", "\x1b[2J"]


@pytest.mark.parametrize("names", [[], [replies.Name(".", "", Attributes())]])
def test_a_listing_without_end(server: ScriptedSshd, remote: SftpRemote, names: list[replies.Name]) -> None:
    server.answers[requests.ReadFolder] = lambda request: replies.names(request.id, names)
    with pytest.raises(errors.ProtocolViolation, match="the listing of / does not end"):
        list(remote.list("/"))
    assert server.count(requests.ReadFolder) == MAX_USELESS_ANSWERS + 1


def test_more_bytes_than_were_asked_for(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(b"x")
    server.answers[requests.Read] = lambda request: replies.data_head(request.id, 100_000) + bytes(100_000)
    with pytest.raises(errors.ProtocolViolation, match="was asked for 32768 bytes and sent 100000"):
        read_all(remote, "/a")


def test_no_bytes_and_no_end(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.files["/a"] = bytearray(b"x")
    server.answers[requests.Read] = lambda request: replies.data_head(request.id, 0)
    with pytest.raises(errors.ProtocolViolation, match="and sent 0"):
        read_all(remote, "/a")


NONSENSE: list[tuple[Callable[[Any], bytes], str]] = [
    (lambda _: u32(2**31), "a packet of 2147483648 bytes; the most is 262144"),
    (lambda _: u32(0), "a packet of 0 bytes"),
    (lambda request: replies.handle(request.id + 1000, b"h"), "answers the request 100., which was not made"),
    (lambda _: string(b"\x00" * 9), "a packet of type 0 is no answer"),
    (lambda request: replies.handle(request.id, b"h"), "answers something else than what was asked"),
    (lambda request: replies.status(request.id, Status.OK, ""), "says yes where it has to answer"),
]


@pytest.mark.parametrize(("answer", "text"), NONSENSE)
def test_nonsense_ends_the_connection(
    server: ScriptedSshd, remote: SftpRemote, answer: Callable[[Any], bytes], text: str
) -> None:
    server.answers[requests.LinkStat] = answer
    with pytest.raises(errors.ProtocolViolation, match=text):
        remote.stat("/a")
    assert not remote.is_open
    with pytest.raises(errors.ProtocolViolation):
        remote.list("/").__next__()


def test_a_start_file_that_prints_something(server: ScriptedSshd, person: Person) -> None:
    server.greeting = b"Welcome to this server!\n"
    with pytest.raises(errors.ProtocolViolation, match="breaks the SFTP protocol: a packet of 1466264675 bytes"):
        person.dial()


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_longer_than_announced(server: ScriptedSshd, person: Person, tmp_path: Path, is_known: bool) -> None:
    """What is written here ends with the announced size, whatever the server sends, and the target is untouched."""
    server.files["/a"] = bytearray(pattern(300_000))
    announced = Attributes(1000, (0, 0), FILE, (0, 5))
    server.answers[requests.Stat] = lambda request: replies.attributes(request.id, announced)
    server.answers[requests.LinkStat] = server.answers[requests.Stat]
    target = tmp_path / "a"
    target.write_text("old")
    item = download("/a", target)
    with engine(person, tmp_path) as running:
        summary = running.run([item])
    assert isinstance(summary.verdict, errors.IntegrityMismatch)
    assert target.read_text() == "old"


# --- connections that break ---


def engine(person: Person, folder: Path, jobs: int = 2) -> Engine:
    options = TransferOptions(
        jobs=jobs, fsync=False, state_folder=folder / "states", retry=RetryPolicy(first_s=0.01, attempts=4)
    )
    return Engine(person.dial, lambda _: None, options, origin="sftp://alice@h")


def test_files_there_and_back(server: ScriptedSshd, person: Person, tmp_path: Path) -> None:
    contents = {f"f{number}": pattern(number * 70_001) for number in range(30)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with engine(person, tmp_path) as running:
        assert running.run([upload(tmp_path / name, f"/{name}") for name in contents]).verdict is None
        assert {path[1:]: bytes(data) for path, data in server.files.items()} == contents
        (tmp_path / "back").mkdir()
        assert running.run([download(f"/{name}", tmp_path / "back" / name) for name in contents]).verdict is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == contents


@pytest.mark.parametrize("deed", ["upload", "download"])
def test_a_cut_transfer_goes_on(server: ScriptedSshd, person: Person, tmp_path: Path, deed: str) -> None:
    content = pattern(12 * MIB)
    local = tmp_path / "a"
    cut: list[int] = []
    kind: type[Any] = requests.Write if deed == "upload" else requests.Read
    if deed == "upload":
        local.write_bytes(content)
        item = upload(local, "/a")
    else:
        server.files["/a"] = bytearray(content)
        item = download("/a", local)

    def once(request: Any) -> bytes:
        if request.offset > 6 * MIB and not cut:
            cut.append(request.offset)
            for connection in server.connections:
                connection.abort()
            return b""
        return server.usual(request)

    server.answers[kind] = once
    with engine(person, tmp_path, jobs=1) as running:
        assert running.run([item]).verdict is None
    assert cut
    assert bytes(server.files["/a"]) == content == local.read_bytes()
    before = next(at for at, request in enumerate(server.requests) if getattr(request, "offset", 0) == cut[0])
    after = [request.offset for request in server.requests[before + 1 :] if isinstance(request, kind)]
    assert min(after) > 6 * MIB - 2 * WINDOW_BYTES


def test_a_server_that_says_nothing_more(server: ScriptedSshd, person: Person) -> None:
    remote = person.dial(stall_timeout_s=0.2)
    server.answers[requests.LinkStat] = lambda _: b""
    with pytest.raises(errors.Stalled, match=r"127\.0\.0\.1 said nothing for 0 s"):
        remote.stat("/a")
    assert not remote.is_open


def test_a_wait_is_interrupted(server: ScriptedSshd, remote: SftpRemote) -> None:
    arrived = threading.Event()

    def silent(_: Any) -> bytes:
        arrived.set()
        return b""

    server.answers[requests.LinkStat] = silent
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            remote.stat("/a")
        except errors.ClientError as failure:
            failures.append(failure)

    thread = threading.Thread(target=wait)
    thread.start()
    assert arrived.wait(10)
    began = time.monotonic()
    remote.interrupt()
    thread.join(10)
    assert str(failures[0]) == "interrupted"
    assert time.monotonic() - began < 5
    assert not remote.is_open


def test_a_connection_that_is_lost(server: ScriptedSshd, remote: SftpRemote) -> None:
    server.cut()
    with pytest.raises(errors.ConnectionFailed, match=r"127\.0\.0\.1 ended the session"):
        remote.stat("/a")
    assert not remote.is_open
    remote.close()


def test_an_idle_connection_answers(server: ScriptedSshd, remote: SftpRemote) -> None:
    """While nobody uses it, somebody looks in: a server that asks whether we live hears that we do."""

    async def is_alive() -> None:
        result = await server.connections[0]._make_global_request(b"keepalive@openssh.com")
        heard.append(result)

    heard: list[object] = []
    done = threading.Thread(target=lambda: server.call(is_alive()))
    done.start()
    deadline = time.monotonic() + 10
    while done.is_alive() and time.monotonic() < deadline:
        remote._link._driver.look_in()
        done.join(0.01)
    assert heard
