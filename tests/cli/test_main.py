from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.cli.conftest import Run

import homeport
from homeport.cli.cmd_chat import command as chat
from homeport.cli.main import VERBS, cli

HEAVY = {"sqlalchemy", "pydantic", "alembic", "asyncio", "cryptography", "rich", "homeport.daemon.services"}


def imported_by(*words: str) -> set[str]:
    """The modules that `homeport WORDS` has imported when it ends."""
    code = (
        "import sys\n"
        "from homeport.cli.main import main\n"
        f"sys.argv = ['homeport', *{list(words)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    imported = imported_by(*words)
    assert not HEAVY & imported
    assert not {name for name in imported if name.startswith(("homeport.cli.cmd_", "homeport.core", "homeport.config"))}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_imports_nothing_heavy(verb: str) -> None:
    assert not HEAVY & imported_by(verb, "--help")


def test_every_verb_is_there_and_explains_itself() -> None:
    overview = CliRunner().invoke(cli, ["-h"]).output
    for verb, row in VERBS.items():
        assert f"  {verb} " in overview
        assert row.help in " ".join(overview.split())
        assert CliRunner().invoke(cli, [verb, "-h"]).exit_code == 0


@pytest.mark.parametrize("verb", ["ban", "config", "quota", "room", "user"])
def test_no_sentence_about_a_command_is_cut(verb: str) -> None:
    assert "..." not in CliRunner().invoke(cli, [verb, "-h"]).output.partition("\nCommands:\n")[2]


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"homeport {homeport.__version__}\n"


MISTAKES = [
    (["serv"], "homeport: no command is called 'serv'; did you mean serve or user?; see `homeport --help`\n"),
    (["xyzzy"], "homeport: no command is called 'xyzzy'; `homeport --help` lists them\n"),
    (["x\x1b[2Jy"], "homeport: no command is called 'x\\x1b[2Jy'; `homeport --help` lists them\n"),
    (["status", "--jsn"], "--json"),
    (["kick"], "homeport: Missing argument 'SESSION-OR-NAME'; see `homeport kick --help`\n"),
    (["user", "ad"], "homeport: no command is called 'ad'; did you mean add or passwd?; see `homeport user --help`\n"),
]


@pytest.mark.parametrize(("words", "text"), MISTAKES)
def test_mistakes_get_advice(run: Run, words: list[str], text: str) -> None:
    done = run(*words)
    assert done.code == 2
    assert text in done.err


def test_without_a_server(run: Run, directory: object) -> None:
    sentence = f"no server is running on {directory}"
    for words in (["who"], ["kick", "bob"], ["reload"], ["status"]):
        done = run(*words)
        assert (done.code, done.err) == (1, f"homeport: {sentence}; `homeport serve` starts one\n")
    done = run("stop")
    assert (done.code, done.err) == (0, f"{sentence}\n")
    done = run("status", "--json")
    assert (done.code, done.objects) == (1, [{"state": "stopped", "directory": str(directory)}])


@pytest.mark.parametrize(
    "words",
    [
        "user list",
        "user show bob",
        "user set bob --quota 1",
        "user passwd bob --generate",
        "user enable bob",
        "user remove bob",
        "quota show",
        "quota check bob",
        "ban list",
        "ban add 192.0.2.7",
    ],
)
def test_a_mistyped_folder_is_no_empty_instance(run: Run, directory: Path, words: str) -> None:
    done = run(*words.split())
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        f"homeport: there is no Homeport instance in {directory}; --dir or $HOMEPORT_DIR names another folder, "
        "`homeport serve` or `homeport user add NAME` makes one here\n"
    )
    assert not directory.exists()


def test_what_the_machine_refuses_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, code in ((errno.EACCES, 1), (errno.ENOSPC, 6)):

        def refused(*_: object, number: int = number) -> None:
            raise OSError(number, os.strerror(number), "/srv/x\ny")

        monkeypatch.setattr("homeport.daemon.control_client.ask", refused)
        done = run("who")
        assert (done.code, done.err) == (code, f"homeport: {os.strerror(number)}: /srv/x\\ny\n")


def test_an_error_that_should_not_happen_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("homeport.daemon.control_client.ask", broken)
    with pytest.raises(ZeroDivisionError):
        run("who")


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("homeport.daemon.control_client.ask", interrupted)
    assert run("who").code == 130


def test_the_chat_offers_no_option_that_says_nothing_to_hptp() -> None:
    offered = {name for option in chat.params if isinstance(option, click.Option) for name in option.opts}
    assert offered == {"--no-udp", "--fingerprint", "--password-stdin", "--timeout", "--json"}
