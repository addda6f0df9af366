"""The client as its user meets it: its own process, a real server, real terminals, consoles of other charsets."""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.live_server import HOMEPORT, Account, LiveServer, running

PATIENCE_S = 60.0
SERVER_ONLY = (
    "pydantic",
    "sqlalchemy",
    "alembic",
    "argon2",
    "uvloop",
    "cryptography",
    "homeport.core",
    "homeport.servers",
    "homeport.daemon",
    "homeport.config",
)
# What a transfer over HPTP has no use for: half of a short command's time is its start.
ELSEWHERE = (
    "subprocess",
    "tempfile",
    "homeport.client.chat",
    "homeport.client.ftp",
    "homeport.protocols.ftp",
    "homeport.cli.shell",
    "homeport.cli.progress_bars",
)
HEAVY = ("prompt_toolkit", "rich", "asyncio", "keyring", "asyncssh", "homeport.client.ssh")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, Account]]:
    with running(tmp_path_factory.mktemp("instance")) as server:
        yield server, server.add_account("alice")


@pytest.fixture
def home(live: tuple[LiveServer, Account]) -> Path:
    server, account = live
    return server.home(account)


@pytest.fixture
def url(live: tuple[LiveServer, Account]) -> str:
    return f"ftp://alice@127.0.0.1:{live[0].port}"


@pytest.fixture
def environment(live: tuple[LiveServer, Account], tmp_path: Path) -> dict[str, str]:
    """A person with a password and nothing else."""
    account = live[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEPORT_", "PYTHON", "LC_"))}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOMEPORT_PASSWORD": account.password,
    }


@pytest.fixture
def trusting(environment: dict[str, str], live: tuple[LiveServer, Account], url: str) -> dict[str, str]:
    """The same, with the server's key known."""
    fingerprint = next(found[0] for line in live[0].output if (found := re.search(r"sha256:[0-9a-f]{64}", line)))
    assert run(["trust", url, "--fingerprint", fingerprint], environment).returncode == 0
    return environment


def run(words: list[str], environment: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [HOMEPORT, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=environment,
        cwd=cwd,
        timeout=PATIENCE_S,
    )


def modules_of(words: list[str], environment: dict[str, str]) -> set[str]:
    """What a process has imported by its end."""
    code = (
        "import sys\nfrom homeport.cli.start import main\n"
        f"sys.argv = ['homeport', *{words!r}]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print('MODULES', *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=PATIENCE_S,
    )
    return set(done.stderr.partition("MODULES ")[2].split())


def those(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {name for name in modules if any(name == each or name.startswith(each + ".") for each in packages)}


def test_a_clients_process_is_a_client(trusting: dict[str, str], url: str, tmp_path: Path) -> None:
    file = tmp_path / "modules.txt"
    file.write_text("x")
    for words in (["--help"], ["ls", url], ["put", str(file), url], ["get", f"{url}/modules.txt", str(tmp_path)]):
        assert those(modules_of(words, trusting), SERVER_ONLY + HEAVY) == set(), words
    assert those(modules_of(["shell", url, "-c", "ls; pwd"], trusting), SERVER_ONLY + HEAVY) == set()


def test_a_client_of_hptp_loads_nothing_else(
    environment: dict[str, str], live: tuple[LiveServer, Account], tmp_path: Path
) -> None:
    port = live[0].json("status")[0]["services"]["hptp"]["port"]
    url = f"hp://alice@127.0.0.1:{port}"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "modules.txt").write_text("x")
    assert run(["ls", url], environment).returncode == 0  # the key is remembered, which takes a little more
    for words in (
        ["put", "-r", str(folder), url],
        ["get", f"{url}/folder/modules.txt", str(tmp_path)],
        ["sync", str(folder), f"{url}/folder"],
    ):
        assert those(modules_of(words, environment), SERVER_ONLY + HEAVY + ELSEWHERE) == set(), words


def test_a_file_there_and_back(trusting: dict[str, str], url: str, home: Path, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "影片 1.bin").write_bytes(content)
    done = run(["put", "影片 1.bin", f"{url}/新/", "--json"], trusting, tmp_path)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["verified"] for each in told if each["event"] == "file-done"] == ["SHA-256"]
    assert (home / "新" / "影片 1.bin").read_bytes() == content
    done = run(["hash", f"{url}/新/影片 1.bin", "影片 1.bin"], trusting, tmp_path)
    assert (done.returncode, done.stdout.split()[0].decode()) == (0, hashlib.sha256(content).hexdigest())
    assert run(["get", f"{url}/新/*", "back/"], trusting, tmp_path).returncode == 0
    assert (tmp_path / "back" / "影片 1.bin").read_bytes() == content
    done = run(["get", f"{url}/新/*", "back/"], trusting, tmp_path)
    assert b"1 already complete" in done.stderr
    assert run(["rm", "-r", "--yes", f"{url}/新"], trusting).returncode == 0
    assert not (home / "新").exists()


def test_the_quota_is_told(trusting: dict[str, str], live: tuple[LiveServer, Account], url: str) -> None:
    server, account = live
    used = server.usage(account)["used_bytes"]  # asks all workers, which a session need not do
    figures = json.loads(run(["df", url, "--json"], trusting).stdout)
    assert (figures["quota_bytes"], figures["used_bytes"]) == (None, used)
    server.run("user", "set", account.name, "--quota", "1GiB")
    figures = json.loads(run(["df", url, "--json"], trusting).stdout)
    server.run("user", "set", account.name, "--quota", "none")
    assert figures["quota_bytes"] == 2**30
    assert figures["free_bytes"] <= 2**30 - figures["used_bytes"]


def test_a_server_nobody_knows(environment: dict[str, str], url: str) -> None:
    done = run(["ls", url], environment)
    assert done.returncode == 10
    flag = re.search(rb"--fingerprint sha256:[0-9a-f]{64}", done.stderr)
    assert flag is not None
    assert run(["ls", url, *flag[0].decode().split()], environment).returncode == 0


CONSOLES = [
    ({"PYTHONIOENCODING": "gbk"}, "gbk", "名 ", "\\U0001f600"),
    ({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii", "\\u540d ", "\\U0001f600"),
    ({"PYTHONIOENCODING": "ascii"}, "ascii", "\\u540d ", "\\U0001f600"),
]


@pytest.mark.parametrize(("changes", "encoding", "name", "other"), CONSOLES)
def test_no_console_is_too_small(
    changes: dict[str, str], encoding: str, name: str, other: str, trusting: dict[str, str], url: str, home: Path
) -> None:
    (home / "console").mkdir(exist_ok=True)
    (home / "console" / "名 \U0001f600").write_text("你好\n", encoding="utf-8")
    person = trusting | changes
    for words in (["ls", "-l", f"{url}/console"], ["ls", "-R", f"{url}/console"]):
        done = run(words, person)
        assert (done.returncode, done.stderr) == (0, b"")
        assert f"{name}{other}" in done.stdout.decode(encoding)
    done = run(["ls", "--json", f"{url}/console"], person)
    assert json.loads(done.stdout.splitlines()[0])["name"] == "名 \U0001f600"
    done = run(["get", "-r", f"{url}/console"], person, Path(person["XDG_CONFIG_HOME"]))
    assert (done.returncode, done.stdout) == (0, b"")
    assert (Path(person["XDG_CONFIG_HOME"]) / "console" / "名 \U0001f600").exists()
    done = run(["rm", f"{url}/console/nope名\x1b"], person)
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    done = run(["shell", url, "-c", "cd console; ls; cat *"], person)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "你好\n".encode() in done.stdout  # a pipe gets the bytes as they are


class Terminal:
    """A person's terminal with `homeport` in it."""

    def __init__(self, words: list[str], environment: dict[str, str], cwd: Path) -> None:
        self.text = ""
        self._held = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            os.chdir(cwd)
            os.execve(HOMEPORT, ["homeport", *words], environment | {"TERM": "xterm"})

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Reads until `text` is shown; everything up to its end, which is then forgotten."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.text:
            if time.monotonic() > deadline or not self._read(deadline - time.monotonic()):
                pytest.fail(f"{text!r} never came:\n" + re.sub(r"\s*\n\s*", "\n", self.text))
        before, _, self.text = self.text.partition(text)
        return before + text

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other end is gone
            return False
        arrived = self._held + self._decoder.decode(data)
        if "\x1b[6n" in arrived:  # it asks where the cursor is
            os.write(self._fd, b"\x1b[1;1R")
        shown = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", "", arrived)
        shown, escape, rest = shown.partition("\x1b")  # a sequence may be cut by the end of a packet
        self._held = escape + rest
        self.text += shown
        return bool(data)

    def end(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self._fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        pytest.fail(f"it never ended:\n{self.text}")


Open = Callable[[list[str], dict[str, str]], Terminal]


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def make(words: list[str], environment: dict[str, str]) -> Terminal:
        terminal = Terminal(words, environment, tmp_path)
        opened.append(terminal)
        return terminal

    yield make
    for terminal in opened:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_a_shell_on_a_terminal(
    environment: dict[str, str], url: str, home: Path, open_terminal: Open, live: tuple[LiveServer, Account]
) -> None:
    """First contact, the password, completion of a Chinese name with a space, and leaving."""
    (home / "我的 文件").mkdir(exist_ok=True)
    (home / "我的 文件" / "读我.txt").write_text("你好\x1b[2J\n", encoding="utf-8")
    del environment["HOMEPORT_PASSWORD"]
    terminal = open_terminal(["shell", url], environment)
    terminal.expect("is not known yet. It shows this key:")
    terminal.expect("to be trusted from now on? [y/N]: ")
    terminal.type("y\r")
    terminal.expect("Password of alice at 127.0.0.1: ")
    terminal.type(live[1].password + "\r")
    terminal.expect("alice@127.0.0.1:/>")
    terminal.type("cd 我\t")
    terminal.expect("的\\ 文件/")
    terminal.type("\r")
    terminal.expect("alice@127.0.0.1:/我的 文件>")
    terminal.type("cat \t")
    terminal.expect("读我.txt")
    terminal.type("\r")
    terminal.expect("你好\\x1b[2J")
    terminal.expect("文件>")
    terminal.type("\x03")
    terminal.expect("文件>")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_ctrl_c_ends_the_transfer_and_not_the_shell(
    trusting: dict[str, str],
    url: str,
    home: Path,
    open_terminal: Open,
    live: tuple[LiveServer, Account],
    tmp_path: Path,
) -> None:
    server, account = live
    content = os.urandom(20_000_000)
    (home / "film").write_bytes(content)
    server.run("user", "set", account.name, "--download-rate", "2M")
    terminal = open_terminal(["shell", url], trusting)
    terminal.expect("/>")
    terminal.type("get film\r")
    terminal.expect("MiB/s")  # a bar
    terminal.type("\x03")
    terminal.expect("interrupted; what was transferred is kept")
    terminal.expect("/>")
    assert not (tmp_path / "film").exists()
    server.run("user", "set", account.name, "--download-rate", "none")
    terminal.type("get film\r")
    line = terminal.expect("SHA-256 verified")
    fetched = re.findall(r"1 file, ([\d.]+) MiB in ", line)
    assert fetched
    assert float(fetched[-1]) < 19.07, "it began anew"
    assert (tmp_path / "film").read_bytes() == content
    terminal.type("quit\r")
    assert terminal.end() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_what_there_is(
    trusting: dict[str, str],
    url: str,
    home: Path,
    live: tuple[LiveServer, Account],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    server, account = live
    (home / f"film{code}").write_bytes(os.urandom(20_000_000))
    server.run("user", "set", account.name, "--download-rate", "2M")
    words = [str(HOMEPORT), "get", f"{url}/film{code}", "--json"]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=trusting, cwd=tmp_path
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert b"what was transferred is kept; the same command goes on from there" in err
    server.run("user", "set", account.name, "--download-rate", "none")
    done = run(["get", f"{url}/film{code}", "--json"], trusting, tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert next(event for event in events if event["event"] == "file-started")["offset"] > 1_000_000
