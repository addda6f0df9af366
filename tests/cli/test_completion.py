from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from homeport.cli import powershell
from homeport.cli.cmd_completion import SHELLS, VARIABLE, script
from homeport.cli.main import VERBS, cli


def completed(shell: str, words: list[str], typed: str) -> list[str]:
    """What `homeport` answers to a shell's question."""
    environment = {
        **os.environ,
        VARIABLE: f"{shell}_complete",
        "COMP_WORDS": "\n".join(["homeport", *words])
        if shell == "powershell"
        else " ".join(["homeport", *words, typed]),
        "COMP_CWORD": typed if shell == "powershell" else str(len(words) + 1),
    }
    code = "from homeport.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts(shell: str) -> None:
    text = CliRunner().invoke(cli, ["completion", shell]).output
    assert text == script(shell).rstrip("\n") + "\n"
    assert VARIABLE in text
    assert f"{shell}_complete" in text
    assert "homeport" in text
    assert "%(" not in text


@pytest.mark.parametrize(("shell", "extension"), [("bash", []), ("zsh", []), ("fish", [])])
def test_scripts_are_sound(shell: str, extension: list[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", *extension, "/dev/stdin"], input=script(shell), text=True, check=True)


QUESTIONS = [
    ("bash", [], "mk", ["plain,mkdir"]),
    ("bash", ["put"], "--pass", ["plain,--password-stdin"]),
    ("bash", ["put", "--progress"], "j", ["plain,json"]),
    ("powershell", [], "mk", ["plain\tmkdir\tMake a folder on a server."]),
    ("powershell", ["put", "--progress"], "j", ["plain\tjson\t"]),
    ("powershell", ["put"], "", ["file\t\t"]),
]


@pytest.mark.parametrize(("shell", "words", "typed", "answers"), QUESTIONS)
def test_answers(shell: str, words: list[str], typed: str, answers: list[str]) -> None:
    assert completed(shell, words, typed) == answers


def test_verbs_are_completed_without_importing_them() -> None:
    assert len(completed("bash", [], "")) == len(VERBS)
    code = (
        "import sys\nfrom homeport.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, VARIABLE: "bash_complete", "COMP_WORDS": "homeport s", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert not [name for name in done.stderr.split() if name.startswith("homeport.cli.cmd_")]


def test_an_unknown_shell() -> None:
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2


def test_powershell_is_known_after_registering() -> None:
    from click.shell_completion import get_completion_class

    powershell.register()
    assert get_completion_class("powershell") is powershell.PowerShellComplete
