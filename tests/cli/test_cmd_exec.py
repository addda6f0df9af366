"""`homeport exec` against a server in memory: streams, status, signals, a terminal, and memory that stays bounded."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.client.ssh.scripted_sshd import ScriptedSshd, key

from homeport.cli import exec_streams, raw_terminal
from homeport.client.ssh.connection import fingerprint_of

HOMEPORT = Path(sys.executable).with_name("homeport")
PATIENCE_S = 60.0
BIG = 64 * 1024 * 1024
Process = asyncssh.SSHServerProcess[bytes]


async def echo(process: Process) -> int:
    """Says what was asked for, and what came in."""
    process.stdout.write((process.command or "a shell").encode() + b"\n")
    process.stdout.write(await process.stdin.read())
    return 0


async def both(process: Process) -> int:
    process.stdout.write(b"out\n")
    process.stderr.write(b"err\n")
    return 7


async def gbk(process: Process) -> int:
    for piece in (b"\xc4", b"\xe3\xba", b"\xc3\n\xff"):  # characters cut in the middle
        process.stdout.write(piece)
    process.stderr.write("错\n".encode("gbk"))
    return 0


async def killed(process: Process) -> None:
    process.exit_with_signal("KILL")


async def silent_end(process: Process) -> None:
    process.close()


async def much(process: Process) -> int:
    block = bytes(range(256)) * 256
    for _ in range(BIG // len(block)):
        process.stdout.write(block)
        await process.stdout.drain()
    return 0


async def until_signal(process: Process) -> int:
    process.stdout.write(b"ready\n")
    try:
        await process.stdin.read()
        await process.stdin.read()
    except asyncssh.SignalReceived as received:
        process.stdout.write(f"got {received.signal}\n".encode())
        return 9
    return 1


async def deaf(process: Process) -> int:
    process.stdout.write(b"ready\n")
    while True:
        try:
            await process.stdin.read()
            return 1
        except asyncssh.SignalReceived:
            process.stdout.write(b"heard\n")


async def terminal(process: Process) -> int:
    """A terminal: says its size and how it changes, echoes keys, ends at q."""
    process.stdout.write(f"{process.term_type} {process.term_size[:2]}\r\n".encode())
    while True:
        try:
            if (pressed := await process.stdin.read(1)) in (b"q", b""):
                return 4
            process.stdout.write(repr(pressed).encode() + b"\r\n")
        except asyncssh.TerminalSizeChanged as changed:
            process.stdout.write(f"now {changed.width}x{changed.height}\r\n".encode())


COMMANDS: dict[str, Callable[[Process], Any]] = {
    command.__name__: command for command in (both, gbk, killed, silent_end, much, until_signal, deaf, terminal)
}


async def run_command(process: Process) -> None:
    status = await COMMANDS.get(process.command or "", echo)(process)
    if status is not None:
        process.exit(status)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedSshd]:
    made = ScriptedSshd()
    made.run = run_command
    with made:
        yield made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT_", "PYTHON", "LC_"))}
    places = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    return {**kept, **places, "LANG": "C.UTF-8", "HOMEPORT_PASSWORD": "right", "SSH_AUTH_SOCK": ""}


Words = Callable[..., list[str]]


@pytest.fixture
def words(server: ScriptedSshd) -> Words:
    def make(*command: str, options: tuple[str, ...] = ()) -> list[str]:
        url = f"sftp://alice@127.0.0.1:{server.port}"
        known = ("--fingerprint", fingerprint_of(key()))
        return [str(HOMEPORT), "exec", *known, *options, url, *(("--", *command) if command else ())]

    return make


def run(line: list[str], environment: dict[str, str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(line, input=given, capture_output=True, check=False, env=environment, timeout=PATIENCE_S)


def test_streams_and_status(words: Words, environment: dict[str, str]) -> None:
    done = run(words("both"), environment)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


LINES = [
    (("cat",), b"cat"),
    (("echo $HOME; ls | wc",), b"echo $HOME; ls | wc"),
    (("ls", "a b", "it's", "$HOME", "中文"), "ls 'a b' 'it'\"'\"'s' '$HOME' '中文'".encode()),
    (("ls", "-l", "--", "-x"), b"ls -l -- -x"),
    ((), b"a shell"),
]


@pytest.mark.parametrize(("command", "line"), LINES)
def test_the_line_and_the_input(
    words: Words, environment: dict[str, str], command: tuple[str, ...], line: bytes
) -> None:
    done = run(words(*command), environment, b"\x00input\xff" * 50_000)
    assert (done.returncode, done.stdout) == (0, line + b"\n" + b"\x00input\xff" * 50_000)


def test_output_in_another_charset(words: Words, environment: dict[str, str]) -> None:
    done = run(words("gbk", options=("--decode", "gbk")), environment)
    assert (done.stdout.decode(), done.stderr.decode()) == ("你好\n\ufffd", "错\n")
    done = run(words("gbk"), environment)
    assert done.stdout == b"\xc4\xe3\xba\xc3\n\xff"


def test_output_for_scripts(words: Words, environment: dict[str, str]) -> None:
    done = run(words("both", options=("--json",)), environment)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    texts = {each["stream"]: each["text"] for each in objects[:-1]}
    assert texts == {"stdout": "out\n", "stderr": "err\n"}
    summary = objects[-1]
    assert summary.pop("seconds") >= 0
    assert summary == {"event": "summary", "status": 7, "signal": None, "stdout_bytes": 4, "stderr_bytes": 4}
    assert (done.returncode, done.stderr) == (7, b"")


FAILURES = [
    (("killed",), 137, b"the command was ended by the signal KILL\n"),
    (("silent_end",), 255, b"the server did not tell how the command ended\n"),
    (
        ("both", "--decode", "nope"),
        255,
        b"homeport: 'nope' is no charset that is known here; gbk and gb18030 are some\n",
    ),
    (("both", "-t"), 255, b"homeport: -t needs a terminal here: standard input and output are none\n"),
]


@pytest.mark.parametrize(("command", "status", "text"), FAILURES)
def test_other_ends(
    words: Words, environment: dict[str, str], command: tuple[str, ...], status: int, text: bytes
) -> None:
    done = run(words(command[0], options=command[1:]), environment)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", text)


REFUSED = [
    ("ftp://a@h", b"homeport: commands run over SSH: write the server as sftp://h, not ftp://\n"),
    ("sftp://a@h/x", b"homeport: /x: a command has no path; say `cd` in the command\n"),
    ("sftp://a@127.0.0.1:1", b"homeport: cannot connect to 127.0.0.1 port 1: Connection refused\n"),
]


@pytest.mark.parametrize(("url", "text"), REFUSED)
def test_what_never_reaches_a_command(environment: dict[str, str], url: str, text: bytes) -> None:
    done = run([str(HOMEPORT), "exec", url, "--", "ls"], environment)
    assert (done.returncode, done.stderr) == (255, text)


def test_a_connection_that_is_lost(server: ScriptedSshd, words: Words, environment: dict[str, str]) -> None:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words("deaf"), env=environment, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        server.cut()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err.startswith(b"homeport: the connection to 127.0.0.1 was lost")) == (255, True)


def test_output_flows_in_bounded_memory(words: Words, environment: dict[str, str]) -> None:
    """Nobody reads at first: the command waits, and this side holds little."""
    with subprocess.Popen(words("much"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        digest, size, held = hashlib.sha256(), 0, 0
        while block := process.stdout.read(1024 * 1024):
            digest.update(block)
            size += len(block)
            held = max(held, _resident_bytes(process.pid) or held)
    assert (process.returncode, size) == (0, BIG)
    assert digest.hexdigest() == hashlib.sha256(bytes(range(256)) * (BIG // 256)).hexdigest()
    assert held < 150 * 1024 * 1024


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def test_a_reader_that_has_had_enough(words: Words, environment: dict[str, str]) -> None:
    with subprocess.Popen(words("much"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 1


SIGNALS = [
    ("until_signal", [signal.SIGINT], 9, b"got INT\n"),
    ("deaf", [signal.SIGINT, signal.SIGINT], 130, b"heard\n"),
    ("deaf", [signal.SIGTERM], 143, None),
]


@pytest.mark.parametrize(("command", "signals", "status", "text"), SIGNALS)
def test_signals_are_the_commands(
    words: Words, environment: dict[str, str], command: str, signals: list[int], status: int, text: bytes | None
) -> None:
    with subprocess.Popen(
        words(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signals[0])
        if text is not None:
            assert process.stdout.readline() == text
        for number in signals[1:]:
            process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status


class Screen:
    """A terminal with `homeport` in it."""

    def __init__(self, line: list[str], environment: dict[str, str]) -> None:
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(line[0], line, environment | {"TERM": "xterm"})

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: bytes) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.text:
            assert time.monotonic() < deadline, (text, self.text)
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 65536)
                except OSError:
                    pytest.fail(f"{text!r} never came: {self.text!r}")
        self.text = self.text.partition(text)[2]

    def end(self) -> int:
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_over_there(words: Words, environment: dict[str, str]) -> None:
    line = words("terminal", options=("-t",))
    # A shell around it, so that what it leaves behind in the terminal can be seen.
    script = f"stty rows 33 cols 77; before=$(stty -g); {subprocess.list2cmdline(line)}; echo status=$?; "
    environment |= {"COLUMNS": "80", "LINES": "24"}  # what a parent left there, for a terminal of its own
    screen = Screen(["/bin/sh", "-c", script + '[ "$before" = "$(stty -g)" ] && echo as it was'], environment)
    screen.expect(b"xterm (77, 33)")
    screen.size(20, 100)
    screen.expect(b"now 100x20")
    os.write(screen.fd, b"\x03")  # Ctrl-C is a key there
    screen.expect(b"b'\\x03'")
    os.write(screen.fd, b"q")
    screen.expect(b"status=4")
    screen.expect(b"as it was")
    assert screen.end() == 0


def test_the_way_out_of_a_terminal(words: Words, environment: dict[str, str]) -> None:
    screen = Screen(words("terminal", options=("-t",)), environment)
    screen.expect(b"xterm")
    os.write(screen.fd, b"\r~.")
    screen.expect(b"the session was ended from this side")
    assert screen.end() == 255


ESCAPES = [
    (b"abc", b"abc", False),
    (b"~.", b"", True),
    (b"a~.", b"a~.", False),
    (b"a\r~.rest", b"a\r", True),
    (b"a\n~~b", b"a\n~b", False),
    (b"~x", b"~x", False),
    (b"\r~\r~.", b"\r~\r", True),
]


@pytest.mark.parametrize(("typed", "passed", "is_over"), ESCAPES)
@pytest.mark.parametrize("step", [1, 100])
def test_escapes(typed: bytes, passed: bytes, is_over: bool, step: int) -> None:
    escapes = raw_terminal.Escapes()
    got = b"".join(escapes.pass_on(typed[at : at + step]) for at in range(0, len(typed), step))
    assert (got, escapes.is_over) == (passed, is_over)


def test_a_spout_holds_little_and_says_when_there_is_room() -> None:
    read_end, write_end = os.pipe()
    freed = threading.Event()
    spout = exec_streams.Spout(write_end, exec_streams.unchanged, lambda call: call())
    spout.freed = freed.set
    block, taken = b"x" * 100_000, 0
    while spout.take(block):
        taken += 1
        assert taken < 100
    assert taken * len(block) <= 3 * exec_streams.MAX_PENDING_BYTES
    got = 0
    while not freed.is_set():
        got += len(os.read(read_end, 1 << 20))
    finisher = threading.Thread(target=spout.finish)
    finisher.start()
    while got < (taken + 1) * len(block):
        got += len(os.read(read_end, 1 << 20))
    finisher.join(PATIENCE_S)
    os.close(write_end)
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    assert spout.taken_bytes == got


def test_a_spout_whose_reader_is_gone() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    broken = threading.Event()
    spout = exec_streams.Spout(write_end, exec_streams.unchanged, lambda call: call())
    spout.broken = broken.set
    spout.take(b"x")
    assert broken.wait(PATIENCE_S)
    assert spout.take(b"y")
    with pytest.raises(BrokenPipeError):
        spout.finish()
    os.close(write_end)
