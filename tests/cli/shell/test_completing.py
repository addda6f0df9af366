from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from tests.cli.fake_server import FakeServer

from homeport.cli.shell.completing import FRESH_S, MOST_FOLDERS, RemoteNames, ShellCompleter
from homeport.cli.shell.prompting import Prompter, TidyHistory, history
from homeport.cli.shell.session import Session
from homeport.client.errors import ConnectionFailed, PermissionRefused
from homeport.client.remote import Kind, RemoteEntry


@pytest.fixture
def complete(session: Session) -> Callable[[str], list[str]]:
    """The whole line after each completion of it."""
    names = RemoteNames(session.connector.dialer(session.url))
    completer = ShellCompleter(session, names)

    def call(text: str) -> list[str]:
        offered = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
        return [text[: len(text) + each.start_position] + each.text for each in offered]

    return call


COMPLETIONS = [
    ("qu", ["quit "]),
    ("lp", ["lpwd "]),
    ("ls; pw", ["ls; pwd "]),
    ("cat a", ["cat a.txt "]),
    ("cat ", ["cat docs/", "cat 我的\\ 文件/", "cat a.txt ", "cat b.txt "]),
    ("cd ", ["cd docs/", "cd 我的\\ 文件/"]),
    ("cd 我", ["cd 我的\\ 文件/"]),
    ("cd '我", ["cd '我的 文件/"]),
    ('cd "我', ['cd "我的 文件/']),
    ("cat 我的\\ 文件/", ["cat 我的\\ 文件/读我\\ first.txt "]),
    ("cat '我的 文件/读", ["cat '我的 文件/读我 first.txt' "]),
    ("cat /docs/de", ["cat /docs/deep/"]),
    ("cat docs/../a", ["cat docs/../a.txt "]),
    ("get a.txt fi", ["get a.txt file "]),
    ("get -r d", ["get -r docs/"]),
    ("put f", ["put file "]),
    ("lcd ", ["lcd sub/"]),
    ("put sub/", ["put sub/in\\ sub "]),
    ("help qu", ["help quit "]),
    ("jobs ", []),
    ("xyzzy ", []),
    ("!ls a", []),
    ("cat nowhere/x", []),
    ("lls nowhere/x", []),
]


@pytest.mark.parametrize(("text", "lines"), COMPLETIONS)
def test_completions(complete: Callable[[str], list[str]], text: str, lines: list[str]) -> None:
    Path("sub").mkdir()
    Path("sub/in sub").touch()
    Path("file").touch()
    assert complete(text) == lines


def test_names_from_the_server_are_shown_escaped(session: Session, server: FakeServer) -> None:
    server.extra_entries = [RemoteEntry("z\x1b[2J", Kind.FILE)]
    completer = ShellCompleter(session, RemoteNames(session.connector.dialer(session.url)))
    (offered,) = completer.get_completions(Document("cat z"), CompleteEvent())
    assert offered.display_text == "z\\x1b[2J"


def test_names_are_kept_for_a_while(session: Session, server: FakeServer) -> None:
    now = [0.0]
    asked: list[str] = []
    server.fail = lambda deed, path: asked.append(path) if deed == "list" else None
    names = RemoteNames(session.connector.dialer(session.url), lambda: now[0])
    for _ in range(3):
        names.of("/")
    assert asked == ["/"]
    now[0] += FRESH_S
    names.of("/")
    assert asked == ["/"] * 2
    names.forget()
    names.of("/")
    assert asked == ["/"] * 3
    for number in range(MOST_FOLDERS + 5):
        server.folders.add(f"/{number}")
        names.of(f"/{number}")
    assert len(names._kept) == MOST_FOLDERS
    names.close()
    names.close()


def test_what_goes_wrong_is_no_names(session: Session, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    names = RemoteNames(session.connector.dialer(session.url))
    server.fail = lambda deed, _path: PermissionRefused("no", 550, "") if deed == "list" else None
    assert names.of("/") == []
    server.fail = lambda deed, _path: ConnectionFailed("no") if deed == "dial" else None
    names.close()
    assert names.of("/") == []
    server.fail = lambda _deed, _path: None
    assert len(names.of("/")) == 4
    connections = len(server.remotes)
    server.remotes[-1].is_open = False  # the server has given it up
    names.forget()
    assert len(names.of("/")) == 4
    assert len(server.remotes) == connections + 1
    monkeypatch.setattr("homeport.cli.shell.completing.MOST_NAMES", 2)
    names.forget()
    assert len(names.of("/")) == 2


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as made:
        yield made


def test_the_editor_completes_and_remembers(session: Session, keys: PipeInput, tmp_path: Path) -> None:
    prompter = Prompter(session, keys, DummyOutput())
    keys.send_text("cat 我的")
    keys.send_text("\r")
    assert prompter.ask("> ") == "cat 我的"
    keys.send_text("\x1b[A\r")  # up
    assert prompter.ask("> ") == "cat 我的"
    keys.send_text("\x03")
    with pytest.raises(KeyboardInterrupt):
        prompter.ask("> ")
    keys.send_text("\x04")
    with pytest.raises(EOFError):
        prompter.ask("> ")
    prompter.close()
    file = tmp_path / "state" / "homeport" / "shell-history"
    assert "+cat 我的\n" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_history_takes_whatever_was_typed(session: Session, tmp_path: Path) -> None:
    assert isinstance(history(), TidyHistory)
    history().store_string("cat \udcff")
    assert "+cat ?\n" in (tmp_path / "state" / "homeport" / "shell-history").read_text()


def test_a_history_that_cannot_be_kept(session: Session, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "homeport").write_text("a file in its place")
    assert type(history()).__name__ == "InMemoryHistory"
    assert os.path.isfile(tmp_path / "state" / "homeport")
