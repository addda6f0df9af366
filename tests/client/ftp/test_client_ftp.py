"""FtpRemote against a server that behaves, and against one that does not."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.client.ftp.scripted_server import (
    FEATURES,
    Answer,
    Script,
    ScriptedServer,
    Session,
    certificate,
    epsv,
    listen,
    scripted,
    send_data,
)

from homeport.client import errors
from homeport.client.dial import dialler, open_remote
from homeport.client.errors import ClientError, ConnectionFailed, ProtocolViolation, ServerRefused, Stalled
from homeport.client.ftp import data
from homeport.client.ftp.remote import FtpRemote
from homeport.client.options import ConnectionOptions, Credentials
from homeport.client.remote import Digest, Kind, RemoteEntry
from homeport.client.trust import KnownHosts, Trust
from homeport.client.url import RemoteUrl

OPTIONS = ConnectionOptions(plain=True, connect_timeout_s=5, stall_timeout_s=5)
IMPATIENT = replace(OPTIONS, stall_timeout_s=0.2)
HOMEPORT = b"220 Homeport ready\r\n"


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "known_hosts.toml")


def connect(
    server: ScriptedServer,
    known: KnownHosts,
    options: ConnectionOptions = OPTIONS,
    *,
    scheme: str = "ftp",
    asks: bool = True,
) -> FtpRemote:
    trust = Trust(known, ask=(lambda _contact: True) if asks else None)
    url = RemoteUrl(scheme, "127.0.0.1", server.port, "anna", "/")
    remote = open_remote(url, Credentials("anna", "secret"), trust, options)
    assert isinstance(remote, FtpRemote)
    return remote


@pytest.fixture
def serve(known: KnownHosts) -> Iterator[Callable[..., tuple[FtpRemote, ScriptedServer]]]:
    opened: list[tuple[contextmanager[ScriptedServer], FtpRemote]] = []  # type: ignore[valid-type]

    def start(
        options: ConnectionOptions = OPTIONS, *, script: Script | None = None, **answers: Answer
    ) -> tuple[FtpRemote, ScriptedServer]:
        script = script or Script()
        script.answers.update(answers)
        running = scripted(script)
        server = running.__enter__()
        try:
            remote = connect(server, known, options)
        except BaseException:
            server.close()
            raise
        opened.append((running, remote))
        return remote, server

    yield start
    for running, remote in opened:
        remote.close()
        running.__exit__(None, None, None)  # type: ignore[attr-defined]


Serve = Callable[..., tuple[FtpRemote, ScriptedServer]]


def fetch(
    remote: FtpRemote, path: str = "/a", offset: int = 0, digest: str | None = None
) -> tuple[bytes, Digest | None]:
    reader = remote.open_reader(path, offset, digest=digest)
    received = bytearray()
    buffer = memoryview(bytearray(4096))
    try:
        while count := reader.read_into(buffer):
            received += buffer[:count]
    except ClientError:
        reader.abort()
        raise
    return bytes(received), reader.finish()


def store(remote: FtpRemote, data: bytes, path: str = "/a", offset: int = 0, **more: object) -> Digest | None:
    writer = remote.open_writer(path, offset, **more)  # type: ignore[arg-type]
    try:
        writer.write(memoryview(data))
        return writer.finish()
    except ClientError:
        writer.abort()
        raise


# --- honest ---


@pytest.mark.parametrize("is_private", [False, True], ids=["clear", "private"])
def test_files_both_ways(serve: Serve, is_private: bool) -> None:
    remote, server = serve(script=Script(private=certificate() if is_private else None))
    large = bytes(range(256)) * 2000
    for _ in range(3):  # from the second on the ports are asked for ahead
        store(remote, b"small")
        store(remote, large, "/large")
        assert fetch(remote) == (b"small", None)
        assert fetch(remote, "/large", 500_000) == (large[500_000:], None)
    store(remote, b"END", "/large", 4)
    assert server.script.files["/large"] == large[:4] + b"END"
    assert remote.is_open


def test_login_takes_few_round_trips(serve: Serve) -> None:
    remote, server = serve(script=Script(private=certificate()))
    remote.settle()
    assert server.heard[1:] == [  # the first try found that no authority vouches for the certificate
        "AUTH TLS", "USER anna", "PASS secret", "FEAT", "PBSZ 0", "PROT P", "TYPE I", "OPTS UTF8 ON",
    ]  # fmt: skip


def test_implicit_tls(known: KnownHosts) -> None:
    with scripted(Script(private=certificate(), implicit=True)) as server:
        remote = connect(server, known, scheme="ftps")
        store(remote, b"x")
        remote.close()
        assert "AUTH TLS" not in server.heard


def test_our_server_is_asked_ahead(serve: Serve) -> None:
    def site(session: Session, argument: str) -> None:
        session.say(b"214-SITE commands:\r\n EXPECT  RESUME\r\n214 end\r\n" if argument == "HELP" else b"200 ok\r\n")

    features = FEATURES.replace(b" MFMT", b" HASH SHA-256*;SHA-512\r\n RANG STREAM\r\n AVBL\r\n MFMT")
    value = "ab" * 32
    answers: dict[str, Answer] = {
        "FEAT": features,
        "SITE": site,
        "HASH": f"213 SHA-256 0-1 {value} /a\r\n".encode(),
        "ALLO": b"200 ok\r\n",
    }
    remote, server = serve(script=Script(greeting=HOMEPORT, answers=answers))
    assert remote.abilities.checks_uploads
    assert remote.abilities.tells_partial_uploads
    for _ in range(3):
        store(remote, b"x", size=1, expected=Digest("SHA-256", value))
        assert fetch(remote, digest="SHA-256") == (b"x", Digest("SHA-256", value))
    store(remote, b"x", size=2_000_000)
    heard = server.heard[server.heard.index("OPTS UTF8 ON") + 1 :]
    expect = f"SITE EXPECT 1 {value}"
    assert heard[:6] == [expect, "EPSV", "STOR /a", "EPSV", "RETR /a", "EPSV"]
    assert heard[6:11] == ["HASH /a", expect, "STOR /a", "EPSV", "RETR /a"]
    assert "ALLO 2000000" in heard


def test_a_digest_behind_a_transfer_that_the_server_refuses(serve: Serve) -> None:
    features = FEATURES.replace(b" MFMT", b" HASH SHA-256*\r\n MFMT")
    remote, _ = serve(script=Script(greeting=HOMEPORT, files={"/a": b"x"}), FEAT=features, HASH=b"550 no\r\n")
    assert fetch(remote, digest="SHA-256") == (b"x", None)


def test_what_our_server_did_not_expect(serve: Serve) -> None:
    def stor(session: Session, _argument: str) -> None:
        session.say(b"150 send\r\n")
        with session.data() as connection:
            while connection.recv(4096):
                pass
        session.say(b"551 the digest differs\r\n")

    remote, _ = serve(script=Script(greeting=HOMEPORT), STOR=stor)
    with pytest.raises(errors.IntegrityMismatch, match="the digest differs; the old file"):
        store(remote, b"x", size=1, expected=Digest("SHA-256", "0" * 64))
    with pytest.raises(ServerRefused, match="the digest differs"):
        store(remote, b"x")


def test_a_server_without_epsv(serve: Serve) -> None:
    def pasv(session: Session, _argument: str) -> None:
        port = listen(session)
        session.say(f"227 ok (127,0,0,1,{port // 256},{port % 256})\r\n".encode())

    remote, server = serve(EPSV=b"500 what?\r\n", PASV=pasv)
    store(remote, b"x")
    assert fetch(remote) == (b"x", None)
    assert server.heard.count("EPSV") == 1


def test_times(serve: Serve) -> None:
    def mfmt(session: Session, argument: str) -> None:
        session.say(
            b"501 no fractions\r\n"
            if "." in argument
            else b"550 no such file\r\n"
            if "none" in argument
            else b"213 ok\r\n"
        )

    remote, server = serve(MFMT=mfmt)
    remote.set_mtime("/a", 1_000_000_000.5)
    remote.set_mtime("/a", 1_000_000_000.5)
    assert [line for line in server.heard if line.startswith("MFMT")] == [
        "MFMT 20010909014640.500 /a", "MFMT 20010909014640 /a", "MFMT 20010909014640 /a",
    ]  # fmt: skip
    told: list[ClientError | None] = []
    remote.set_mtime("/a", 0.0, told=told.append)
    remote.set_mtime("/none", 0.0, told=told.append)
    remote.settle()
    assert told[0] is None
    assert isinstance(told[1], errors.RemoteNotFound)
    with pytest.raises(errors.RemoteNotFound):
        remote.set_mtime("/none", 0.0)


def test_a_time_whose_answer_never_comes(serve: Serve) -> None:
    remote, _ = serve(IMPATIENT, MFMT=lambda _session, _argument: None)
    told: list[ClientError | None] = []
    remote.set_mtime("/a", 0.0, told=told.append)
    with pytest.raises(Stalled):
        remote.settle()
    assert isinstance(told[0], ConnectionFailed)


def test_renaming_asks_both_at_once(serve: Serve) -> None:
    remote, _ = serve(RNFR=b"350 to?\r\n", RNTO=b"250 ok\r\n")
    remote.move("/a", "/b")
    remote, _ = serve(RNFR=b"550 no such file\r\n", RNTO=b"503 what?\r\n")
    with pytest.raises(errors.RemoteNotFound, match="cannot rename /a"):
        remote.move("/a", "/b")
    assert remote.space().free_bytes is None  # in step


# --- refusals ---


@pytest.mark.parametrize("is_private", [False, True], ids=["clear", "private"])
def test_a_refused_transfer_leaves_the_connection_in_use(serve: Serve, is_private: bool) -> None:
    remote, _ = serve(
        script=Script(private=certificate() if is_private else None, files={"/a": b"x"}), STOR=b"552 quota exceeded\r\n"
    )
    for _ in range(3):
        with pytest.raises(errors.RemoteNotFound):
            fetch(remote, "/none")
        with pytest.raises(errors.NoRoom):
            store(remote, b"x" * 1_000_000)
        with pytest.raises(errors.NoRoom):
            store(remote, b"x")
    assert fetch(remote) == (b"x", None)


def test_a_server_that_stops_listening_when_it_refuses(serve: Serve) -> None:
    def dead(session: Session, argument: str) -> None:
        epsv(session, argument)
        assert session.listener is not None
        session.listener.close()

    remote, _ = serve(EPSV=dead)
    with pytest.raises(errors.RemoteNotFound):
        remote.open_reader("/none")
    remote, _ = serve(IMPATIENT, EPSV=dead, RETR=b"150 here\r\n")
    with pytest.raises(ConnectionFailed, match="cannot open a data connection to port"):
        remote.open_reader("/a")
    assert not remote.is_open


def test_a_private_server_that_resets_when_it_refuses(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def dead(session: Session, argument: str) -> None:
        epsv(session, argument)
        assert session.listener is not None
        connected, _ = session.listener.accept()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connected.close()
        over.set()

    create = socket.create_connection

    def connect_and_wait(address: tuple[str, int], timeout_s: float) -> socket.socket:
        connected = create(address, timeout_s)
        assert over.wait(20)
        return connected

    remote, _ = serve(script=Script(private=certificate()), EPSV=dead)
    monkeypatch.setattr(socket, "create_connection", connect_and_wait)
    with pytest.raises(errors.RemoteNotFound):
        remote.open_reader("/none")
    assert remote.is_open


def test_a_refused_offset_stores_nothing(serve: Serve) -> None:
    remote, server = serve(REST=b"502 no\r\n")
    with pytest.raises(ServerRefused):
        store(remote, b"tail", offset=5)
    assert not any(line.startswith("STOR") for line in server.heard)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"PASS": b"530 wrong\r\n"}, errors.LoginFailed),
        ({"PASS": b"332 account\r\n"}, errors.Incompatible),
        ({"USER": b"421 go away\r\n"}, ConnectionFailed),
        ({"TYPE": b"504 no\r\n"}, ServerRefused),
    ],
)
def test_logins_that_fail(serve: Serve, answers: dict[str, Answer], error: type[ClientError]) -> None:
    with pytest.raises(error):
        serve(**answers)


def test_servers_that_take_nobody_in(known: KnownHosts) -> None:
    with scripted(Script(greeting=b"120 wait\r\n421 too many\r\n")) as server:
        with pytest.raises(ConnectionFailed, match="takes nobody in now; it says: too many"):
            connect(server, known)
        port = server.port
    url = RemoteUrl("ftp", "127.0.0.1", port, "anna", "/")
    with pytest.raises(ConnectionFailed, match="cannot connect to"):
        dialler(url, Credentials("anna", "x"), Trust(known), OPTIONS)()


def test_protocols_of_later_versions(known: KnownHosts) -> None:
    with pytest.raises(errors.Incompatible, match="does not speak other:// yet; it speaks ftp://, ftps://"):
        open_remote(RemoteUrl("other", "h", 22, None, "/"), Credentials("a", "b"), Trust(known), OPTIONS)


# --- hostile: control connection ---


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"220 " + b"x" * 20_000 + b"\r\n", ProtocolViolation),
        (b"220-x\r\n" + b"line\r\n" * 5000, ProtocolViolation),
        (b"HTTP/1.1 200 OK\r\n", ProtocolViolation),
        (b"", ConnectionFailed),
    ],
    ids=["an endless line", "endless lines", "another protocol", "silence"],
)
def test_greetings_that_are_none(known: KnownHosts, greeting: bytes, error: type[ClientError]) -> None:
    with scripted(Script(greeting=greeting)) as server, pytest.raises(error):
        connect(server, known, replace(IMPATIENT, connect_timeout_s=0.3))


def test_an_endless_line_in_the_middle(serve: Serve) -> None:
    remote, _ = serve(NOOP=b"200 " + b"x" * 20_000)
    with pytest.raises(ProtocolViolation, match="a line of more than"):
        remote.keep_alive()
    assert not remote.is_open


def test_a_server_that_hangs_up_or_says_nothing(serve: Serve) -> None:
    remote, _ = serve(NOOP=lambda session, _argument: session.connection.close())
    with pytest.raises(ConnectionFailed):
        remote.keep_alive()
    remote, _ = serve(IMPATIENT, NOOP=lambda _session, _argument: None)
    with pytest.raises(Stalled, match="said nothing for"):
        remote.keep_alive()
    remote, _ = serve(NOOP=b"421 idle\r\n")
    with pytest.raises(ConnectionFailed, match="ends the session: idle"):
        remote.keep_alive()


def test_names_that_would_be_a_second_command(serve: Serve) -> None:
    remote, server = serve()
    with pytest.raises(errors.UsageError, match="line break"):
        remote.remove_file("/a\r\nDELE /b")
    assert not any("DELE" in line for line in server.heard)
    remote, _ = serve(replace(OPTIONS, charset="gbk"))
    with pytest.raises(errors.UsageError, match="cannot be written in the charset gbk"):
        remote.remove_file("/\U0001f600")


# --- hostile: TLS ---


def test_a_changed_certificate_is_a_hard_stop(known: KnownHosts) -> None:
    script = Script(private=certificate("first"))
    with scripted(script) as server:
        connect(server, known).close()
        connect(server, known, asks=False).close()
        script.private = certificate("second")
        with pytest.raises(errors.IdentityChanged, match="another key than the one that is trusted"):
            connect(server, known)
        assert server.heard.count("PASS secret") == 2


def test_first_contact_without_anybody_to_ask(known: KnownHosts) -> None:
    with scripted(Script(private=certificate())) as server:
        with pytest.raises(errors.IdentityUnknown, match="--fingerprint sha256:"):
            connect(server, known, asks=False)
        assert set(server.heard) == {"AUTH TLS"}


def test_tls_stripped_from_a_server_that_had_it(known: KnownHosts) -> None:
    script = Script(private=certificate())
    with scripted(script) as server:
        connect(server, known).close()
        script.private = None
        with pytest.raises(errors.TlsRefused, match="had TLS before and offers none now"):
            connect(server, known)
        assert server.heard.count("PASS secret") == 1


def test_no_password_in_the_clear_without_leave(known: KnownHosts) -> None:
    with scripted(Script()) as server:
        with pytest.raises(errors.TlsRefused, match="add --plain to accept that"):
            connect(server, known, replace(OPTIONS, plain=False))
        assert server.heard.count("PASS secret") == 0


def test_bytes_in_the_clear_before_tls(serve: Serve) -> None:
    with pytest.raises(ProtocolViolation, match="bytes in the clear before TLS"):
        serve(AUTH=b"234 go\r\n230 you are in already\r\n")


def test_a_handshake_that_is_none(serve: Serve) -> None:
    def auth(session: Session, _argument: str) -> None:
        session.say(b"234 go\r\n")
        session.connection.recv(100)
        session.say(b"this is no TLS at all\r\n")

    with pytest.raises(ConnectionFailed, match="; what answers there speaks no TLS, is it the right port"):
        serve(AUTH=auth)


def test_another_key_on_the_data_connection(serve: Serve) -> None:
    remote, _ = serve(script=Script(private=certificate("one"), data_private=certificate("two"), files={"/a": b"x"}))
    with pytest.raises((errors.IdentityChanged, ConnectionFailed)):
        fetch(remote)


def test_a_private_download_cut_short(serve: Serve) -> None:
    def retr(session: Session, _argument: str) -> None:
        session.say(b"150 here\r\n")
        assert session.listener is not None
        raw, _ = session.listener.accept()
        private = session.script.private.wrap_socket(raw, server_side=True)  # type: ignore[union-attr]
        private.sendall(b"half")
        assert isinstance(private, ssl.SSLSocket)
        private.close()  # no close_notify
        session.say(b"226 done\r\n")

    remote, _ = serve(script=Script(private=certificate()), RETR=retr)
    with pytest.raises(ConnectionFailed, match="the data connection broke"):
        fetch(remote)


# --- hostile: data connection ---


def test_another_hosts_data_address_is_ignored(serve: Serve) -> None:
    def pasv(session: Session, _argument: str) -> None:
        port = listen(session)
        session.say(f"227 ok (192,0,2,1,{port // 256},{port % 256})\r\n".encode())

    remote, _ = serve(EPSV=b"502 no\r\n", PASV=pasv, script=Script(files={"/a": b"from here"}))
    assert fetch(remote) == (b"from here", None)


@pytest.mark.parametrize("reply", [b"229 (|||0|)\r\n", b"229 (|||99999|)\r\n", b"229 nothing\r\n"])
def test_ports_that_are_none(serve: Serve, reply: bytes) -> None:
    remote, _ = serve(EPSV=reply)
    with pytest.raises(ProtocolViolation, match="no usable data port"):
        remote.open_reader("/a")


def test_an_end_that_the_server_takes_back(serve: Serve) -> None:
    def retr(session: Session, _argument: str) -> None:
        session.say(b"150 here\r\n")
        with session.data() as connection:
            connection.sendall(b"half")
        session.say(b"426 broken\r\n")

    remote, _ = serve(RETR=retr)
    with pytest.raises(errors.RemoteBusy):
        fetch(remote)


def test_a_transfer_that_ends_before_it_begins(serve: Serve) -> None:
    remote, _ = serve(RETR=b"226 done\r\n")
    with pytest.raises(ProtocolViolation, match="ended it before it began"):
        fetch(remote)


def test_a_data_connection_without_a_byte(serve: Serve) -> None:
    done = threading.Event()

    def retr(session: Session, _argument: str) -> None:
        session.say(b"150 here\r\n")
        with session.data():
            done.wait(10)

    remote, _ = serve(IMPATIENT, RETR=retr)
    with pytest.raises(Stalled, match="no byte came through for"):
        fetch(remote)
    done.set()


@pytest.mark.parametrize("is_private", [False, True], ids=["clear", "private"])
def test_an_interrupted_upload_does_not_look_whole(serve: Serve, is_private: bool) -> None:
    fate: list[str] = []
    over = threading.Event()

    def stor(session: Session, _argument: str) -> None:
        session.say(b"150 send\r\n")
        try:
            with session.data() as connection:
                while connection.recv(100):
                    pass
            fate.append("whole")
        except OSError:
            fate.append("broken")
        over.set()

    remote, _ = serve(script=Script(private=certificate() if is_private else None), STOR=stor)
    writer = remote.open_writer("/a")
    writer.write(memoryview(b"x" * 100_000))
    remote.interrupt()
    with pytest.raises(ConnectionFailed):
        writer.write(memoryview(b"x" * 10_000_000))
    writer.abort()
    assert over.wait(20)
    assert fate == ["broken"]
    assert not remote.is_open


def test_an_interrupted_download(serve: Serve) -> None:
    remote, _ = serve(script=Script(files={"/a": b"x" * 100}))
    reader = remote.open_reader("/a")
    remote.interrupt()
    with pytest.raises(ConnectionFailed):
        reader.read_into(memoryview(bytearray(10)))
    reader.abort()


def test_data_connections_hold_little(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[socket.socket] = []
    monkeypatch.setattr(data, "hold_little", held.append)
    remote, _ = serve(script=Script(files={"/a": b"x" * 100}))
    assert fetch(remote)[0] == b"x" * 100
    assert len(held) == 1


# --- hostile: listings ---

LISTING = (
    b"type=file;size=5;modify=20200101000000.5; a b\r\n"
    b"type=dir; \xe4\xb8\xad\r\n"
    b"type=cdir; .\r\ntype=file; ..\r\ntype=file; ../../x\r\ntype=file; x/y\r\n"
    b"type=file;size=99999999999999999999999; huge\r\n"
    b"type=file;modify=99999999999999; late\r\n"
    b"type=OS.unix=slink:/etc; link\r\n"
    b"rubbish\r\n"
    b"type=file;size=-1; \x1b[2J\r\n"
)


def test_names_that_lead_elsewhere_are_left_out(serve: Serve) -> None:
    remote, _ = serve(script=Script(listing=LISTING))
    assert list(remote.list("/")) == [
        RemoteEntry("a b", Kind.FILE, 5, 1577836800.5),
        RemoteEntry("中", Kind.DIRECTORY),
        RemoteEntry("huge", Kind.FILE),
        RemoteEntry("late", Kind.FILE),
        RemoteEntry("link", Kind.LINK),
        RemoteEntry("\x1b[2J", Kind.FILE),
    ]


def test_a_listing_whose_line_never_ends(serve: Serve) -> None:
    remote, _ = serve(MLSD=send_data(b"type=file; " + b"x" * 100_000))
    with pytest.raises(ProtocolViolation, match="a listing line of more than"):
        list(remote.list("/"))


def test_a_listing_that_nobody_reads_to_its_end(serve: Serve) -> None:
    remote, _ = serve(script=Script(listing=LISTING))
    entries = remote.list("/")
    next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert not remote.is_open


# --- folders and questions ---


def test_looking_at_one_name(serve: Serve) -> None:
    def mlst(session: Session, argument: str) -> None:
        if argument == "/empty":
            session.say(b"250 ok\r\n")
        elif argument == "/none":
            session.say(b"550 no such file\r\n")
        else:
            session.say(b"250-here\r\n type=file;size=7;unix.mode=0644; /d/a\r\n250 end\r\n")

    remote, _ = serve(MLST=mlst)
    assert remote.stat("/d/a") == RemoteEntry("a", Kind.FILE, 7, None, 0o644)
    assert remote.stat("/").is_directory
    with pytest.raises(errors.RemoteNotFound):
        remote.stat("/none")
    with pytest.raises(ProtocolViolation, match="sent no entry for /empty"):
        remote.stat("/empty")


def test_a_server_without_machine_listings(serve: Serve) -> None:
    listing = b"total 1\r\n-rw-r--r-- 1 a b 5 Jan 01 2020 x y\r\ndrwxr-xr-x 1 a b 5 Jan 01 2020 d"
    remote, server = serve(script=Script(listing=listing), FEAT=b"502 no\r\n")
    assert [entry.name for entry in remote.list("/")] == ["x y", "d"]
    assert remote.stat("/x y").size == 5
    with pytest.raises(errors.RemoteNotFound, match="/none: no such file or folder"):
        remote.stat("/none")
    with pytest.raises(errors.Incompatible, match="no MFMT"):
        remote.set_mtime("/a", 0.0)
    assert "MLSD" not in " ".join(server.heard)


def test_commands_that_are_one_question(serve: Serve) -> None:
    ok = b"250 ok\r\n"
    features = FEATURES.replace(b" MFMT", b" AVBL\r\n MFMT")
    answers: dict[str, Answer] = {"FEAT": features, "MKD": b"257 ok\r\n", "DELE": ok, "RMD": ok}
    answers |= {"AVBL": b"213 42\r\n", "PWD": b'257 "/a ""b"\r\n', "SIZE": b"213 9\r\n"}
    remote, server = serve(script=Script(answers=answers))
    remote.make_directory("/d")
    remote.remove_file("/a")
    remote.remove_directory("/d")
    assert remote.space().free_bytes == 42
    assert remote.working_directory() == '/a "b'
    assert remote.partial_size("/a") == 9
    remote.keep_alive()
    assert server.heard[-7:] == ["MKD /d", "DELE /a", "RMD /d", "AVBL", "PWD", "SIZE /a", "NOOP"]


def test_answers_that_say_nothing(serve: Serve) -> None:
    features = FEATURES.replace(b" MFMT", b" AVBL\r\n HASH SHA-256*\r\n MFMT")
    answers: dict[str, Answer] = {
        "FEAT": features,
        "AVBL": b"213 much\r\n",
        "PWD": b"257 here\r\n",
        "SIZE": b"213 x\r\n",
    }
    remote, _ = serve(script=Script(answers=answers), HASH=b"213 rubbish\r\n")
    assert remote.space().free_bytes is None
    assert remote.partial_size("/a") == 0
    with pytest.raises(ProtocolViolation, match="named no folder"):
        remote.working_directory()
    with pytest.raises(ProtocolViolation, match="named no SHA-256 digest"):
        remote.digest("/a")
    with pytest.raises(errors.Incompatible, match="no RANG"):
        remote.digest("/a", end=5)
    with pytest.raises(errors.Incompatible, match="cannot tell a MD5 digest"):
        remote.digest("/a", "MD5")


def test_digests_by_hash(serve: Serve) -> None:
    features = FEATURES.replace(b" MFMT", b" HASH SHA-256*;SHA-1\r\n RANG STREAM\r\n MFMT")
    values = {"SHA-256": "ab" * 32, "SHA-1": "cd" * 20}
    chosen = ["SHA-256"]

    def opts(session: Session, argument: str) -> None:
        if argument.startswith("HASH"):
            chosen[0] = argument.split()[1]
        session.say(b"200 ok\r\n")

    def hashes(session: Session, argument: str) -> None:
        session.say(f"213 {chosen[0]} 0-5 {values[chosen[0]].upper()} {argument}\r\n".encode())

    remote, server = serve(FEAT=features, OPTS=opts, HASH=hashes, RANG=b"350 ok\r\n")
    assert remote.digest("/a") == Digest("SHA-256", values["SHA-256"])
    assert remote.digest("/a", "SHA-1", end=6) == Digest("SHA-1", values["SHA-1"])
    assert server.heard[-4:] == ["HASH /a", "OPTS HASH SHA-1", "RANG 0 5", "HASH /a"]


def test_digests_by_commands_of_their_own(serve: Serve) -> None:
    features = FEATURES.replace(b" MFMT", b" XMD5\r\n XCRC\r\n MFMT")
    remote, server = serve(FEAT=features, XMD5=f"250 {'ab' * 16}\r\n".encode(), XCRC=b"250 0123ABCD\r\n")
    assert remote.abilities.digests == ("MD5", "CRC32")
    assert remote.digest("/a b", "MD5") == Digest("MD5", "ab" * 16)
    assert remote.digest("/a b", "CRC32", end=5) == Digest("CRC32", "0123abcd")
    assert server.heard[-2:] == ["XMD5 /a b", 'XCRC "/a b" 0 5']


def test_what_our_server_holds_of_an_upload(serve: Serve) -> None:
    def site(session: Session, argument: str) -> None:
        session.say(b"214 EXPECT RESUME\r\n" if argument == "HELP" else b"213 77\r\n")

    remote, server = serve(script=Script(greeting=HOMEPORT), SITE=site)
    assert remote.partial_size("/a b") == 77
    assert server.heard[-1] == "SITE RESUME /a b"


def test_a_transfer_that_was_left_unfinished(serve: Serve) -> None:
    remote, _ = serve(script=Script(files={"/a": b"x"}))
    remote.open_reader("/a")
    with pytest.raises(ConnectionFailed, match="was left unfinished"):
        remote.open_reader("/a")
    remote, _ = serve(script=Script(files={"/a": b"x"}))
    remote.open_reader("/a")
    remote.close()
    assert not remote.is_open
