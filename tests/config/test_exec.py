from __future__ import annotations

from pathlib import Path

import pytest

from homeport.config.exec import ExecSettings, fill
from homeport.config.load import examine
from homeport.config.render import render
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.settings import command_settings

WRONG = [
    ('folders = ["opt"]', "exec.folders", "'opt' is no absolute path of a folder; write such as /opt/tools"),
    ('folders = "/a/../b"', "exec.folders", "'/a/../b' is no absolute path of a folder; write such as /opt/tools"),
    (
        '[exec.commands.x]\nargv = ["ls"]',
        "exec.commands.x.argv",
        "argv begins with the program's absolute path, such as /usr/bin/du",
    ),
    (
        '[exec.commands.x]\naccounts = "*"',
        "exec.commands.x",
        "argv begins with the program's absolute path, such as /usr/bin/du",
    ),
    (
        "[exec.commands.x]\nargv = []",
        "exec.commands.x.argv",
        "argv begins with the program's absolute path, such as /usr/bin/du",
    ),
    ("[exec.commands.x]\nargv = 5", "exec.commands.x.argv", "5 is no list"),
    ('[exec.commands.x]\nargv = ["/a\\u0000"]', "exec.commands.x.argv", "argv holds a NUL"),
    ('[exec.commands.x]\nargv = ["/a", "{y}"]', "exec.commands.x", "argv names {y}, which is no parameter"),
    (
        '[exec.commands.x]\nargv = "/a"\nparameters.y = "path"',
        "exec.commands.x",
        "the parameter y stands nowhere in argv; write {y} where it belongs",
    ),
    (
        '[exec.commands.x]\nargv = ["/a", "{y}"]\nparameters.y = "path x"',
        "exec.commands.x.parameters",
        "path takes nothing more",
    ),
    (
        '[exec.commands."a b"]\nargv = "/a"',
        "exec.commands.a b",
        "'a b' is no command's name: letters, digits, - and _, at most 64, a letter first",
    ),
]


@pytest.mark.parametrize(("text", "key", "what"), WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, key: str, what: str) -> None:
    (tmp_path / "homeport.toml").write_text(f"[exec]\n{text}\n", encoding="utf-8")
    _, problems = examine(tmp_path)
    assert [(problem.key, problem.what) for problem in problems] == [(key, what)]


def test_an_unknown_key_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text('[exec.commands.x]\nargv = "/a"\naccount = "*"\n', encoding="utf-8")
    _, problems = examine(tmp_path)
    assert [(problem.key, problem.advice) for problem in problems] == [
        ("exec.commands.x.account", "did you mean exec.commands.x.accounts?")
    ]


def test_what_is_shown_is_read_back(tmp_path: Path) -> None:
    text = '[exec]\nfolders = "/opt/tools"\n[exec.commands.x]\nargv = ["/a", "--m={m}"]\nparameters.m = "int 1-2"\n'
    (tmp_path / "homeport.toml").write_text(text, encoding="utf-8")
    settings, problems = examine(tmp_path)
    assert problems == []
    (tmp_path / "homeport.toml").write_text(render(settings), encoding="utf-8")
    assert examine(tmp_path) == (settings, [])
    assert settings.exec.commands["x"].argv == ("/a", "--m={m}")


def test_places_are_filled_and_braces_stay() -> None:
    assert fill("{a}-{b}{a}", {"a": "{b}", "b": "1"}) == "{b}-1{b}"
    assert fill("{} {1} awk '{print}'", {"print": "p"}) == "{} {1} awk 'p'"


def test_the_servers_form_has_the_same_defaults(tmp_path: Path) -> None:
    made = command_settings(ExecSettings(), (tmp_path,), tmp_path)
    assert (made.limits, made.network, made.folders, made.named) == (Limits(), False, (), {})


def test_commands_in_the_servers_form(tmp_path: Path) -> None:
    (tmp_path / "homeport.toml").write_text(
        '[exec.commands.x]\nargv = ["/a", "{n}"]\nparameters.n = "int"\naccounts = ["Alice", "-no name-"]\n'
        '[exec.commands.y]\nargv = "/b"\naccounts = "*"\nnetwork = true\n',
        encoding="utf-8",
    )
    settings, _ = examine(tmp_path)
    named = command_settings(settings.exec, (), tmp_path).named
    assert [named["x"].is_open_to(name) for name in ("alice", "ALICE", "bob")] == [True, True, False]
    assert (named["y"].is_open_to("bob"), named["y"].network, named["x"].network) == (True, True, False)
    assert named["x"].filled("x", ["5"], "/home/alice") == ("/a", "5")
