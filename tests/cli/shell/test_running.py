from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer

from homeport.cli.shell import running
from homeport.cli.shell.commands import ALIASES, COMMANDS
from homeport.cli.shell.running import attempt, run_interactively, run_line, run_script
from homeport.cli.shell.session import LOOK_AFTER_S, Session
from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    LocalFailed,
    PermissionRefused,
    RemoteNotFound,
    UsageError,
)
from homeport.client.remote import Kind, RemoteEntry

Capture = pytest.CaptureFixture[str]

SCRIPTS = [
    ("pwd", "/\n"),
    ("cd docs; pwd; cd deep; pwd; cd ..; pwd; cd -; pwd", "/docs\n/docs/deep\n/docs\n/docs/deep\n/docs/deep\n"),
    ("cd docs; cd; pwd", "/\n"),
    ("cd 我*; ls", "读我 first.txt\n"),
    ("cd '我的 文件'; cat *", "你好"),
    ("ls docs/deep", "x\n"),
    ("ls *.txt", "a.txt\nb.txt\n"),
    ("dir docs", "deep/\n"),
    ("cat a.txt b.txt", "onetwo"),
    ("lpwd", None),
    ("lls; lcd sub; lls", "sub/\nfile\nin sub\n"),
    ("mkdir -p new/two; ls new; rmdir new/two new; ls n*x; pwd", None),
    ("hash a.txt", "SHA-256 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  /a.txt\n"),
    ("df", "free:   3.00 MiB  (3145728 bytes)\nused:   1.00 KiB  (1024 bytes)\n"),
    ("help cd", "cd [FOLDER | -]\n  Change the folder on the server; `cd -` goes back.\n"),
    ("quit; pwd", ""),
]


@pytest.mark.parametrize(("line", "text"), SCRIPTS)
def test_commands(session: Session, line: str, text: str | None, capfd: Capture) -> None:
    Path("sub").mkdir()
    Path("sub/in sub").touch()
    Path("file").touch()
    if "n*x" in line:
        with pytest.raises(RemoteNotFound):
            run_line(session, line)
        return
    run_line(session, line)
    assert capfd.readouterr().out == (f"{Path.cwd()}\n" if text is None else text)


MISTAKES = [
    ("gett a", "no command is called 'gett'; did you mean get"),
    ("xyzzy", "no command is called 'xyzzy'; `help` lists all"),
    ("get", r"type it as: get \[-r\] NAME \[LOCAL\]"),
    ("get a b c", "type it as: get"),
    ("ls -lx", r"ls has no option -x; type it as: ls \[-lbR\] \[NAME\.\.\.\]"),
    ("ls &", "ls cannot go to the background; transfers can"),
    ("cd a.txt", "/a.txt is no folder"),
    ("cd *.txt", r"2 names fit \*\.txt"),
    ("cd -", "there is no folder to go back to yet"),
    ("cd '*.txt'", r"/\*\.txt: no such file or folder"),
    ("lcd nowhere", "nowhere is no folder on this machine"),
    ("lls nowhere", "nowhere cannot be listed: No such file or directory"),
    ("rm docs", "/docs is a folder; add -r"),
    ("rm -r docs", "needs --yes where nobody can be asked"),
    ("mv a.txt b.txt nowhere", "/nowhere: no such file or folder"),
    ("mv a.txt docs/deep/x b.txt", "/b.txt is no folder to take 2 names"),
    ("put nope", "nope cannot be read: No such file or directory"),
    ("put *.nope", r"nothing on this machine fits \*\.nope"),
    ("get docs", "/docs is a folder; add -r"),
    ("wait 7", "there is no job 7; `jobs` lists them"),
    ("kill 7", "there is no job 7"),
    ("!exit 3", "the command ended with 3"),
    ("help gett", "did you mean get"),
    ("cat 'x", "the quote ' is never closed"),
]


@pytest.mark.parametrize(("line", "text"), MISTAKES)
def test_mistakes(session: Session, line: str, text: str) -> None:
    with pytest.raises(ClientError, match=text):
        run_line(session, line)


def test_changing(session: Session, server: FakeServer) -> None:
    run_line(session, "mkdir t; mv a.txt b.txt t; mv t/a.txt t/c.txt; cd t; mv *.txt ..; cd ..; rm c.txt; rm -ry docs")
    assert {name for name in server.files if "我" not in name} == {"/b.txt"}
    assert server.folders == {"/", "/t", "/我的 文件"}


def test_transfers(session: Session, server: FakeServer) -> None:
    run_line(session, "get a.txt; get a.txt other; mget *.txt; get -r docs; lcd docs; put deep/x y; put deep/x ../z/")
    assert Path("a.txt").read_bytes() == b"one"
    assert Path("other").read_bytes() == b"one"
    assert Path("b.txt").read_bytes() == b"two"
    assert Path("docs/deep/x").read_bytes() == b"three"
    assert server.files["/y"] == server.files["/z/x"] == b"three"
    run_line(session, "lcd ..; cd docs; mput *.txt other; put -r docs")
    assert {"/docs/a.txt", "/docs/b.txt", "/docs/other", "/docs/docs/deep/x"} <= set(server.files)


def holding(held: threading.Event) -> Callable[[str, str], None]:
    """Reads wait until `held` is set."""

    def hold(deed: str, _path: str) -> None:
        if deed == "reading":
            assert held.wait(30)

    return hold


def test_background(session: Session, server: FakeServer, capfd: Capture) -> None:
    held = threading.Event()
    server.fail = holding(held)
    run_line(session, "get a.txt & get b.txt second &")
    run_line(session, "cd docs; lcd /; jobs")
    assert [line[:14] for line in capfd.readouterr().out.splitlines()] == ["[1] get a.txt:", "[2] get b.txt "]
    held.set()
    run_line(session, "wait; jobs")
    assert "[1] get a.txt: done: 1 file, 3 B" in capfd.readouterr().out
    assert (Path("a.txt").read_bytes(), Path("second").read_bytes()) == (b"one", b"two")


def test_kill_keeps_the_rest_going(session: Session, server: FakeServer, capfd: Capture) -> None:
    server.fail = lambda deed, path: ConnectionFailed("interrupted") if deed == "reading" and path == "/a.txt" else None
    run_line(session, "get a.txt & kill 1; jobs")
    assert "[1] get a.txt: stopped: " in capfd.readouterr().out
    assert session.jobs.running() == []


def is_at_work(thread: threading.Thread) -> bool:
    """Whether it has more to do than to end."""
    thread.join(1)
    return thread.is_alive()


def test_ctrl_c_leaves_no_thread_behind(session: Session, server: FakeServer, capfd: Capture) -> None:
    """The next command must not find the old one still at the file."""
    is_interrupted = threading.Event()

    def stuck(deed: str, _path: str) -> ConnectionFailed | None:
        if deed != "reading":
            return None
        if not is_interrupted.is_set():
            is_interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 30
        while all(remote.is_open for remote in server.remotes) and time.monotonic() < deadline:
            time.sleep(0.001)
        return ConnectionFailed("interrupted")

    server.fail = stuck
    attempt(session, "get a.txt")
    assert "interrupted; what was transferred is kept\n" in capfd.readouterr().err
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("transfer-") and is_at_work(thread)
    ]
    server.fail = lambda _deed, _path: None
    run_line(session, "get a.txt")
    assert Path("a.txt").read_bytes() == b"one"


def test_too_many_in_the_background(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.cli.shell.background.MOST_JOBS", 0)
    with pytest.raises(UsageError, match="0 transfers are under way already"):
        run_line(session, "get a.txt &")


def test_a_script_ends_with_what_went_wrong_behind_it(session: Session, server: FakeServer) -> None:
    server.fail = lambda deed, _path: PermissionRefused("not yours", 550, "") if deed == "read" else None
    with pytest.raises(PermissionRefused):
        run_script(session, ["get a.txt &", "pwd"])
    with pytest.raises(click.exceptions.Exit):
        run_script(session, ["mget *.txt &"])


def test_a_script_stops_at_the_first_error(session: Session, capfd: Capture) -> None:
    with pytest.raises(RemoteNotFound):
        run_script(session, ["pwd\n", "# a comment\n", "cat nope; pwd\n", "pwd\n"])
    assert capfd.readouterr().out == "/\n"


def test_an_idle_connection_is_made_again(make: Callable[..., Session], server: FakeServer, capfd: Capture) -> None:
    session = make(interactive=True)
    now = [0.0]
    session._clock = lambda: now[0]
    run_line(session, "ls docs")
    now[0] += LOOK_AFTER_S
    run_line(session, "ls docs")
    assert len(server.remotes) == 1
    server.remotes[0].is_open = False
    run_line(session, "ls docs")
    server.fail = lambda deed, _path: ConnectionFailed("421") if deed == "pwd" else None
    now[0] += LOOK_AFTER_S
    run_line(session, "ls docs")
    assert len(server.remotes) == 3
    assert capfd.readouterr().err == "the server had given up the idle connection; connecting again\n" * 2
    server.fail = lambda deed, _path: PermissionRefused("no", 550, "") if deed == "pwd" else None
    now[0] += LOOK_AFTER_S
    run_line(session, "ls docs")
    assert len(server.remotes) == 3


def test_interactively_errors_are_said(session: Session, server: FakeServer, capfd: Capture) -> None:
    attempt(session, "cat nope")
    attempt(session, "cat 'x")
    server.fail = lambda deed, path: (
        PermissionRefused("not\x1byours", 550, "") if (deed, path) == ("read", "/a.txt") else None
    )
    attempt(session, "mget *.txt")
    shown = capfd.readouterr().err
    assert shown.startswith("/nope: no such file or folder\nthe quote ' is never closed\na.txt: not\\x1byours\n")

    def interrupted(_deed: str, _path: str) -> None:
        raise KeyboardInterrupt

    server.fail = interrupted
    attempt(session, "ls")
    assert capfd.readouterr().err == "interrupted; what was transferred is kept\n"
    server.fail = lambda _deed, _path: None
    attempt(session, "ls docs")
    assert capfd.readouterr().out == "deep/\n"


class Typist:
    """Types these lines; an exception is a key."""

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self._lines = iter(lines)
        self.prompts: list[str] = []
        self.closed = False

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        line = next(self._lines, EOFError)
        if isinstance(line, str):
            return line
        raise line

    def close(self) -> None:
        self.closed = True


def test_the_loop(session: Session, capfd: Capture) -> None:
    typist = Typist("cd docs", KeyboardInterrupt, "nonsense", "", "pwd")
    run_interactively(session, typist)  # type: ignore[arg-type]
    assert typist.prompts[:2] == ["alice@host:/> ", "alice@host:/docs> "]
    assert typist.closed
    assert capfd.readouterr().out == "/docs\n"
    typist = Typist("bye", "pwd")
    run_interactively(session, typist)  # type: ignore[arg-type]
    assert capfd.readouterr().out == ""


def test_leaving_waits(session: Session, server: FakeServer, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    server.fail = holding(held)
    wait = session.jobs.wait

    def let_go() -> None:
        held.set()
        wait()

    monkeypatch.setattr(session.jobs, "wait", let_go)
    run_interactively(session, Typist("get a.txt &"))  # type: ignore[arg-type]
    assert "waiting for 1 transfer(s) in the background" in capfd.readouterr().err
    assert Path("a.txt").exists()


def test_every_command_is_told(session: Session, capfd: Capture) -> None:
    run_line(session, "?")
    text = capfd.readouterr().out
    for name, command in COMMANDS.items():
        assert command.usage in text
        assert command.help.endswith(".")
        assert name == command.name
    assert set(ALIASES.values()) <= set(COMMANDS)
    assert set(COMMANDS) >= running._LOOKING


def test_a_link_is_tried(session: Session, server: FakeServer) -> None:
    server.links |= {"/link", "/broken"}
    server.folders.add("/link")
    run_line(session, "cd link")
    assert session.folder == "/link"
    with pytest.raises(UsageError, match=r"/broken is no folder"):
        run_line(session, "cd /broken")


def test_the_local_shell(session: Session, capfd: Capture) -> None:
    Path("sub").mkdir()
    run_line(session, "lcd sub")
    run_line(session, "!pwd; echo x")
    assert capfd.readouterr().out == f"{Path.cwd()}/sub\nx\n"


def test_where_it_begins(make: Callable[..., Session], server: FakeServer) -> None:
    assert make("ftp://alice@host/docs/").folder == "/docs"
    with pytest.raises(UsageError, match=r"/a\.txt is no folder; `homeport get` fetches files"):
        make("ftp://alice@host/a.txt")
    with pytest.raises(RemoteNotFound):
        make("ftp://alice@host/nope")
    assert isinstance(server.remotes[0].stat("/docs"), RemoteEntry)
    assert server.remotes[0].stat("/docs").kind is Kind.DIRECTORY


VERBS = [
    (["-c", "cd docs; pwd"], None, 0, "/docs\n", ""),
    (["-c", "cat nope; pwd"], None, 3, "", "homeport: /nope: no such file or folder\n"),
    ([], "cd docs\npwd\n", 0, "/docs\n", ""),
    ([], "cat nope\npwd\n", 3, "", "homeport: /nope: no such file or folder\n"),
    ([], "", 0, "", ""),
]


@pytest.mark.parametrize(("words", "typed", "code", "out", "err"), VERBS)
def test_the_verb(client: Run, words: list[str], typed: str | None, code: int, out: str, err: str) -> None:
    done = client("shell", "ftp://alice@host", *words, stdin=typed)
    assert (done.code, done.out, done.err) == (code, out, err)


def test_a_shell_that_is_not_there(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/nowhere/sh")
    with pytest.raises(LocalFailed, match="/nowhere/sh cannot be started"):
        run_line(session, "!ls")
