"""scp's old protocol, message by message (threat S6), and its messages alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.servers.running import NAME, House
from tests.servers.ssh.running_ssh import RunningSsh
from tests.servers.ssh.sftp_client import Sftp

from homeport.servers.ssh.scp_messages import (
    BadMessage,
    Coming,
    FolderEnds,
    Message,
    ScpCommand,
    Times,
    Trouble,
    entry_line,
    error_line,
    parse_message,
)

PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("scp -t x", ScpCommand("x", sends=True)),
        ("scp -f 'a b'", ScpCommand("a b", sends=False)),
        ("scp -v -r -p -d -t -- -x", ScpCommand("-x", True, True, True, True)),
        ("scp -rpt x", ScpCommand("x", True, True, True)),
        ("scp -t ''", ScpCommand("", sends=True)),
        ("scp -t -", ScpCommand("-", sends=True)),
    ],
)
def test_command_lines(line: str, command: ScpCommand) -> None:
    assert ScpCommand.parse(line) == command


@pytest.mark.parametrize("line", ["scp", "scp x", "scp -t", "scp -t -f x", "scp -t x y", "scp -S/bin/sh -t x"])
def test_command_lines_that_mean_nothing(line: str) -> None:
    with pytest.raises(BadMessage, match="it takes -t or -f, -r, -p, -d, and one path"):
        ScpCommand.parse(line)


def test_a_command_line_that_no_shell_would_read() -> None:
    with pytest.raises(BadMessage, match="the command line cannot be read: No closing quotation"):
        ScpCommand.parse("scp -t 'x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"C0644 5 file", Coming("file", False, 5)),
        (b"D0755 0 a folder", Coming("a folder", True, 0)),
        (b"C0600 1 \xff", Coming("\udcff", False, 1)),
        (b"T1600000000 0 5 0", Times(1_600_000_000)),
        (b"\1scp: no", Trouble("scp: no", False)),
        (b"\2scp: no", Trouble("scp: no", True)),
    ],
)
def test_messages(line: bytes, message: Message) -> None:
    assert parse_message(line) == message


def test_the_end_of_a_folder() -> None:
    assert isinstance(parse_message(b"E"), FolderEnds)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"C",
        b"C0644 5",
        b"C644 5 x",
        b"C0644 -5 x",
        b"C0644 5 x\0y",
        b"C0648 5 x",
        b"C0644 99999999999999999999 x",
        b"X",
        b"T1",
        b"EE",
    ],
)
def test_messages_that_nobody_knows(line: bytes) -> None:
    with pytest.raises(BadMessage, match="a message that scp does not know"):
        parse_message(line)


@pytest.mark.parametrize("name", [b".", b"..", b"../evil", b"a/b", b"/etc/passwd"])
def test_names_that_are_ways(name: bytes) -> None:
    with pytest.raises(BadMessage, match="not a file name"):
        parse_message(b"C0644 9 " + name)


def test_a_name_with_a_line_break_is_not_said() -> None:
    with pytest.raises(BadMessage, match="fetch it through sftp"):
        entry_line("x\nC0777 1 evil", 0o600, 1, is_folder=False)


def test_errors_are_one_line() -> None:
    assert error_line("a\nb\x1b[2J") == b"\1scp: a?b?[2J\n"


class Talk:
    """One scp conversation."""

    def __init__(self, server: RunningSsh, sftp: Sftp, command: str | bytes) -> None:
        self._server = server
        self.process = server.clients.wait(sftp.connection.create_process(command, encoding=None))

    def say(self, data: bytes) -> None:
        async def write() -> None:
            self.process.stdin.write(data)

        self._server.clients.wait(write())

    def hear(self, size: int) -> bytes:
        async def read() -> bytes:
            return bytes(await asyncio.wait_for(self.process.stdout.readexactly(size), PATIENCE_S))

        return self._server.clients.wait(read())

    def hear_line(self) -> bytes:
        async def read() -> bytes:
            return bytes(await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S))

        return self._server.clients.wait(read())

    def end(self) -> int:
        async def end() -> Any:
            self.process.stdin.write_eof()
            await asyncio.wait_for(self.process.wait_closed(), PATIENCE_S)
            return self.process.exit_status

        return int(self._server.clients.wait(end()))


def used(house: House) -> tuple[int, int]:
    usage = house.services.ledger.usage(house.accounts.get(NAME).id)
    return usage.used_bytes, usage.used_files


def test_a_file_comes_with_its_time(server: RunningSsh, sftp: Sftp, house: House) -> None:
    talk = Talk(server, sftp, "scp -p -t /")
    assert talk.hear(1) == b"\0"
    talk.say(b"T1600000000 0 1600000000 0\n")
    assert talk.hear(1) == b"\0"
    talk.say(b"C0644 5 file\n")
    assert talk.hear(1) == b"\0"
    talk.say(b"hello\0")
    assert talk.hear(1) == b"\0"
    assert talk.end() == 0
    found = house.home() / "file"
    assert (found.read_bytes(), found.stat().st_mtime) == (b"hello", 1_600_000_000)


@pytest.mark.parametrize("cut", ["in the middle", "before its word", "with a complaint"])
def test_a_file_that_was_not_sent_well_is_not_put_in_place(
    server: RunningSsh, sftp: Sftp, house: House, cut: str
) -> None:
    (house.home() / "file").write_bytes(b"old")
    talk = Talk(server, sftp, "scp -t /file")
    talk.hear(1)
    talk.say(b"C0644 5 file\n")
    talk.hear(1)
    talk.say({"in the middle": b"he", "before its word": b"hello", "with a complaint": b"hello\1gone\n"}[cut])
    if cut == "with a complaint":
        assert talk.hear(1) == b"\0"
    assert talk.end() == 1
    assert (house.home() / "file").read_bytes() == b"old"


def test_a_file_beyond_the_quota_is_refused_before_its_first_byte(server: RunningSsh, sftp: Sftp, house: House) -> None:
    talk = Talk(server, sftp, "scp -t /")
    talk.hear(1)
    talk.say(b"C0644 5000000 big\n")
    assert talk.hear_line() == b"\1scp: quota exceeded: 5000000 more bytes wanted, 1000000 of 1000000 free\n"
    talk.say(b"C0644 1 small\n")
    talk.hear(1)
    talk.say(b"x\0")
    assert talk.hear(1) == b"\0"
    assert talk.end() == 1
    assert used(house) == (1, 1)


def test_a_tree_comes_and_goes(server: RunningSsh, sftp: Sftp, house: House) -> None:
    talk = Talk(server, sftp, "scp -r -t /")
    talk.hear(1)
    for message in (b"D0755 0 tree\n", b"C0644 1 file\n", b"x\0", b"D0755 0 inner\n", b"E\n", b"E\n"):
        talk.say(message)
        assert talk.hear(1) == b"\0"
    assert talk.end() == 0
    assert (house.home() / "tree/file").read_bytes() == b"x"
    assert (house.home() / "tree/inner").is_dir()
    talk = Talk(server, sftp, "scp -r -p -f tree")
    said = []
    for _ in range(20):
        talk.say(b"\0")
        line = talk.hear_line()
        said.append(line)
        if line.startswith(b"C"):
            talk.say(b"\0")
            assert talk.hear(2) == b"x\0"
        if said.count(b"E\n") == 2:
            break
    talk.say(b"\0")
    assert talk.end() == 0
    assert [line for line in said if line[:1] != b"T"] in (
        [b"D0700 0 tree\n", b"C0600 1 file\n", b"D0700 0 inner\n", b"E\n", b"E\n"],
        [b"D0700 0 tree\n", b"D0700 0 inner\n", b"E\n", b"C0600 1 file\n", b"E\n"],
    )


def test_names_of_any_bytes_are_fetched(server: RunningSsh, sftp: Sftp, house: House) -> None:
    (house.home() / "\udcd6\udcd0").write_bytes(b"x")
    talk = Talk(server, sftp, b"scp -f '/\xd6\xd0'")
    talk.say(b"\0")
    assert talk.hear_line() == b"C0644 1 \xd6\xd0\n"
    talk.say(b"\0\0")
    assert talk.hear(2) == b"x\0"
    assert talk.end() == 0


@pytest.mark.parametrize(
    ("command", "message", "why"),
    [
        ("scp -t /", b"C0644 9 ../evil\n", "not a file name"),
        ("scp -t /", b"D0755 0 ..\n", "not a file name"),
        ("scp -t /", b"D0755 0 folder\n", "/folder: a folder that was not asked for"),
        ("scp -t /", b"D0755 0 \xd6\xd0\x1b\n", "/???: a folder that was not asked for"),  # no UTF-8
        ("scp -t /", b"E\n", "a folder ends that was not begun"),
        ("scp -t /", b"nonsense\n", "a message that scp does not know"),
        ("scp -t /", b"C0644 5 " + b"x" * 5000, "a message longer than any name"),
        ("scp -d -t /missing", b"", "/missing: not a folder"),
        ("scp -x -t /", b"", "it takes -t or -f, -r, -p, -d, and one path"),
    ],
)
def test_what_cannot_be_meant_ends_it(
    server: RunningSsh, sftp: Sftp, house: House, command: str, message: bytes, why: str
) -> None:
    talk = Talk(server, sftp, command)
    if message:
        talk.hear(1)
        talk.say(message)
    assert talk.hear_line() == b"\2scp: " + why.encode() + b"\n"
    assert talk.end() == 1
    assert used(house) == (0, 0)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("scp -f /missing", "/missing: no such file or folder"),
        ("scp -f /", "/: is a folder; add -r"),
        ("scp -f /fifo", "/fifo: not a regular file"),
        ("scp -f '/line\nbreak'", "scp cannot say a name with a line break; fetch it through sftp"),
        ("scp -f /out", "/out: a link leads out of the home"),
    ],
)
def test_what_cannot_be_fetched_is_said(server: RunningSsh, sftp: Sftp, house: House, command: str, why: str) -> None:
    import os

    os.mkfifo(house.home() / "fifo")
    (house.home() / "line\nbreak").write_bytes(b"x")
    (house.home() / "out").symlink_to("/etc/passwd")
    talk = Talk(server, sftp, command)
    talk.say(b"\0")
    assert talk.hear_line() == b"\1scp: " + why.encode() + b"\n"
    assert talk.end() == 1


def test_who_goes_away_in_between_leaves_what_came(server: RunningSsh, house: House) -> None:
    with Sftp.of(server) as sftp:
        talk = Talk(server, sftp, "scp -t /")
        talk.hear(1)
        talk.say(b"C0644 1000 file\n")
        talk.hear(1)
        talk.say(b"x" * 300)
        give_up_at = time.monotonic() + PATIENCE_S
        while not house.services.stages.count(house.accounts.get(NAME).id).bytes and time.monotonic() < give_up_at:
            time.sleep(0.005)
    give_up_at = time.monotonic() + PATIENCE_S
    while len(server.sessions) and time.monotonic() < give_up_at:
        time.sleep(0.005)
    with Sftp.of(server) as again:
        assert again.stat("/file").size == 300
        assert again.list() == []
