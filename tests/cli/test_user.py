from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Done, Run

from homeport.config.model import Settings
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services


def add(run: Run, name: str = "bob", *options: str) -> Done:
    done = run("user", "add", name, "--password-stdin", *options, stdin="the secret word\n")
    assert done.code == 0, done.err
    return done


def opens(directory: Path, name: str, password: str) -> bool:
    with Services(Instance(directory), Settings(), "test") as services:
        return services.passwords.verify(services.accounts.verifiers(name), name, password)


def test_add_makes_an_account_that_its_password_opens(run: Run, directory: Path) -> None:
    done = add(run)
    assert (done.out, done.err) == ("", f"made the instance folder {directory}\nmade bob\n")
    assert (directory / "homes" / "bob").is_dir()
    assert opens(directory, "bob", "the secret word")
    assert not opens(directory, "bob", "the secret word\n")


def test_a_generated_password_is_shown_once(run: Run, directory: Path) -> None:
    done = run("user", "add", "bob", "--generate")
    password = done.out.removeprefix("password: ").strip()
    assert len(password) == 23
    assert opens(directory, "bob", password)
    [made] = run("user", "add", "eve", "--generate", "--json").objects
    assert opens(directory, "eve", made["password"])
    assert all("password" not in account for account in run("user", "list", "--json").objects)


ALL_OPTIONS = (
    *("--quota", "10GiB", "--max-files", "1000", "--rights", "read-only", "--charset", "gb18030", "--exec"),
    *("--max-sessions", "3", "--upload-rate", "5M", "--download-rate", "10M", "--expires", "2027-01-31"),
)


def test_every_option_is_stored(run: Run, directory: Path) -> None:
    add(run, "bob", *ALL_OPTIONS)
    assert run("user", "show", "bob", "--json").objects == [
        {
            "name": "bob",
            "enabled": True,
            "rights": "list,read",
            "quota_bytes": 10 * 1024**3,
            "max_files": 1000,
            "expires_at": "2027-02-01T00:00:00+00:00",
            "max_sessions": 3,
            "upload_bytes_per_s": 5 * 1024**2,
            "download_bytes_per_s": 10 * 1024**2,
            "charset": "gb18030",
            "exec": True,
            "home": str(directory / "homes" / "bob"),
            "used_bytes": 0,
            "used_files": 0,
        }
    ]


def test_set_changes_what_is_named_and_nothing_else(run: Run) -> None:
    add(run, "bob", *ALL_OPTIONS)
    [before] = run("user", "show", "bob", "--json").objects
    assert run("user", "set", "bob", "--max-sessions", "none", "--no-exec").err == "changed bob\n"
    [after] = run("user", "show", "bob", "--json").objects
    assert after == before | {"max_sessions": None, "exec": False}


def test_none_takes_every_limit_away(run: Run) -> None:
    add(run, "bob", *ALL_OPTIONS)
    limits = ("--quota", "--max-files", "--charset", "--max-sessions", "--upload-rate", "--download-rate", "--expires")
    done = run("user", "set", "bob", *(word for limit in limits for word in (limit, "none")), "--rights", "all")
    assert done.code == 0, done.err
    [after] = run("user", "show", "bob", "--json").objects
    kept = {name: value for name, value in after.items() if value is not None}
    assert set(kept) == {"name", "enabled", "rights", "exec", "home", "used_bytes", "used_files"}
    assert after["rights"] == "all"


def test_a_home_with_files_is_counted(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "given"
    home.mkdir()
    (home / "file").write_bytes(b"12345")
    add(run, "bob", "--home", str(home))
    [shown] = run("user", "show", "bob", "--json").objects
    assert (shown["home"], shown["used_bytes"], shown["used_files"]) == (str(home), 5, 1)
    run("user", "set", "bob", "--home", "default")
    [shown] = run("user", "show", "bob", "--json").objects
    assert (shown["used_bytes"], shown["used_files"]) == (0, 0)


def test_passwd(run: Run, directory: Path) -> None:
    add(run)
    assert run("user", "passwd", "bob", "--password-stdin", stdin="another\r\n").err == "gave a new password to bob\n"
    assert opens(directory, "bob", "another")
    assert run("user", "passwd", "bob", "--generate").out.startswith("password: ")
    assert not opens(directory, "bob", "another")


def test_enable_and_disable(run: Run) -> None:
    add(run)
    assert run("user", "disable", "bob").err == "disabled bob\n"
    assert run("user", "list", "--json").objects[0]["enabled"] is False
    assert run("user", "enable", "bob").err == "enabled bob\n"
    assert run("user", "list", "--json").objects[0]["enabled"] is True


def test_list_for_people(run: Run, directory: Path) -> None:
    Instance(directory).create(Settings())
    assert run("user", "list").err == "there is no account yet; `homeport user add NAME` makes one\n"
    add(run, "bob", "--quota", "10GiB")
    add(run, "张三", "--max-files", "5", "--expires", "2020-01-01")
    run("user", "disable", "bob")
    assert run("user", "list").out.splitlines() == [
        "NAME  STATE     RIGHTS  USED     QUOTA     FILES  MAX",
        "bob   disabled  all     0 bytes  10.0 GiB  0      none",
        "张三  expired   all     0 bytes  none      0      5",
    ]


def test_show_for_people(run: Run) -> None:
    add(run)
    assert run("user", "show", "BOB").out.splitlines()[:4] == [
        "name: bob",
        "enabled: yes",
        "rights: all",
        "quota_bytes: none",
    ]


def test_remove_keeps_the_files(run: Run, directory: Path) -> None:
    add(run)
    (directory / "homes" / "bob" / "file").touch()
    done = run("user", "remove", "bob")
    assert done.err == f"removed bob\nits files stay in {directory}/homes/bob\n"
    assert (directory / "homes" / "bob" / "file").exists()
    assert run("user", "show", "bob").code == 3


def test_remove_with_files_asks_first(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run)
    done = run("user", "remove", "bob", "--delete-files")
    assert (done.code, (directory / "homes" / "bob").exists()) == (2, True)
    assert "there is no terminal to ask whether the files may be deleted; add --yes" in done.err
    assert run("user", "show", "bob").code == 0
    done = run("user", "remove", "bob", "--delete-files", "--yes")
    assert done.err == "removed bob\nits files are deleted\n"
    assert not (directory / "homes" / "bob").exists()


@pytest.mark.parametrize(("answer", "code"), [("n\n", 130), ("y\n", 0)])
def test_the_answer_decides(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    add(run)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    done = run("user", "remove", "bob", "--delete-files", stdin=answer)
    assert done.code == code, done.err
    assert f"Delete {directory}/homes/bob (0 files, 0 bytes) for good?" in done.err
    assert (directory / "homes" / "bob").exists() == (code != 0)


def test_unfinished_uploads_go_with_the_account(run: Run, directory: Path) -> None:
    from homeport.core.paths import ROOT

    add(run)
    with Services(Instance(directory), Settings(), "test") as services:
        number = services.accounts.get("bob").id
        with services.stages.open_or_create(number, ROOT.join("secret")) as stage:
            stage.charged()
            os.write(stage.fd, b"bytes of bob")
        assert services.stages.count(number).bytes == 12
    run("user", "remove", "bob")
    with Services(Instance(directory), Settings(), "test") as services:
        assert services.stages.count(number).files == 0


def test_a_prompt_asks_twice(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    done = run("user", "add", "bob", stdin="one\ntwo\nthree\nthree\n")
    assert done.code == 0, done.err
    assert opens(directory, "bob", "three")


REFUSALS = [
    (["user", "add", "bob"], 2, "there is no terminal to ask for a password; use --password-stdin or --generate"),
    (["user", "add", "bob", "--generate", "--password-stdin"], 2, "--password-stdin and --generate exclude each other"),
    (["user", "add", ".bob", "--generate"], 2, "account '.bob': a name begins with no dot and no dash"),
    (
        ["user", "add", "bob", "--generate", "--quota", "much"],
        2,
        "Invalid value for '--quota': 'much': not a size; write bytes, or a number with a unit such as 10GiB or 500M, "
        "or none",
    ),
    (
        ["user", "add", "bob", "--generate", "--max-files", "-1"],
        2,
        "Invalid value for '--max-files': '-1': not a",
    ),
    (["user", "add", "bob", "--generate", "--expires", "soon"], 2, "'soon': not a date; write such as 2027-01-31"),
    (["user", "add", "bob", "--generate", "--rights", "fly"], 2, "no right is called 'fly'; there are: "),
    (["user", "add", "bob", "--generate", "--charset", "klingon"], 2, "no character set for names is called 'klingon'"),
    (["user", "add", "bob", "--generate", "--home", "relative"], 2, "a home is an absolute path"),
    (
        ["user", "add", "ALICE", "--generate"],
        1,
        "an account called 'ALICE' (or one that looks the same) exists",
    ),
    (["user", "set", "alice"], 2, "nothing to change was named; see `homeport user set --help`"),
    (
        ["user", "set", "eve", "--quota", "1"],
        3,
        "no account is called 'eve'; `homeport user list` shows those there are",
    ),
    (["user", "passwd", "eve", "--generate"], 3, "no account is called 'eve'"),
    (["user", "enable", "eve"], 3, "no account is called 'eve'"),
    (["user", "remove", "eve\x1b[2J"], 3, "no account is called 'eve\\x1b[2J'"),
    (["user", "passwd", "alice", "--password-stdin"], 2, "account 'alice': the password is empty"),
]


@pytest.mark.parametrize(("words", "code", "text"), REFUSALS)
def test_refusals(run: Run, words: list[str], code: int, text: str) -> None:
    add(run, "alice")
    done = run(*words)
    assert done.code == code, done.err
    assert done.err.startswith("homeport: ")
    assert text in done.err
    assert "\x1b" not in done.err
    assert done.out == ""


def test_a_refusal_as_json(run: Run, directory: Path) -> None:
    Instance(directory).create(Settings())
    done = run("user", "show", "eve", "--json")
    assert done.objects == [
        {
            "error": {
                "code": 3,
                "kind": "AccountNotFound",
                "message": "no account is called 'eve'; `homeport user list` shows those there are",
            }
        }
    ]


def test_a_broken_configuration_stops_the_command(run: Run, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "homeport.toml").write_text("workers = -1\n", encoding="utf-8")
    done = run("user", "list")
    assert done.code == 2
    assert done.err == "homeport: the configuration has 1 problem:\n  workers: -1 is too small; the least is 0\n"
    assert not (directory / "state.db").exists()


def test_listing_opens_nothing_but_the_database(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run)
    opened: list[str] = []
    real = Services.__getattribute__

    def watching(self: Services, name: str) -> Any:
        opened.append(name)
        return real(self, name)

    monkeypatch.setattr(Services, "__getattribute__", watching)
    run("user", "list")
    assert not {"stages", "guard", "passwords", "durability"} & set(opened)


def test_a_password_that_is_no_text_is_refused(directory: Path) -> None:
    code = "from homeport.cli.main import main; main()"
    words = [sys.executable, "-c", code, "user", "add", "bob", "--password-stdin", "--dir", str(directory)]
    done = subprocess.run(words, input=b"\xff\xfe\n", capture_output=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert b"the password has control characters or is no UTF-8" in done.stderr
