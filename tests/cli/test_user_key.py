"""`homeport user key`: keys in, shown, out."""

from __future__ import annotations

import json
from pathlib import Path

import asyncssh
import pytest
from click.testing import CliRunner, Result

from homeport.cli.main import cli

KEY = asyncssh.generate_private_key("ssh-ed25519", comment="ann@desk")
LINE = KEY.export_public_key().decode().strip()


def run(directory: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, [*arguments, "--dir", str(directory)], input=stdin)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    assert run(tmp_path, "user", "add", "ann", "--password-stdin", stdin="correct horse\n").exit_code == 0
    return tmp_path


def test_a_key_is_added_shown_and_removed(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_text(f'# mine\n\nfrom="192.0.2.0/24" {LINE}\n')
    added = run(directory, "user", "key", "add", "ann", str(file))
    assert f"added {KEY.get_fingerprint()} (ssh-ed25519) of ann" in added.output
    (shown,) = [json.loads(line) for line in run(directory, "user", "key", "list", "ann", "--json").output.splitlines()]
    assert shown["fingerprint"] == KEY.get_fingerprint()
    assert (shown["type"], shown["comment"], shown["used_at"]) == ("ssh-ed25519", "ann@desk", None)
    assert shown["from"] == ["192.0.2.0/24"]
    assert "192.0.2.0/24" in run(directory, "user", "key", "list", "ann").output
    assert "removed" in run(directory, "user", "key", "remove", "ann", "ann@desk").output
    assert (
        "ann has no key; `homeport user key add ann FILE` adds one"
        in run(directory, "user", "key", "list", "ann").output
    )


def test_a_key_comes_by_standard_input_and_is_told_as_json(directory: Path) -> None:
    added = run(directory, "user", "key", "add", "ann", "--json", stdin=LINE + "\n")
    told = json.loads(added.stdout)
    assert (told["event"], told["account"], told["fingerprint"]) == ("added", "ann", KEY.get_fingerprint())
    assert told["from"] == []
    assert "everywhere" in run(directory, "user", "key", "list", "ann").output


@pytest.mark.parametrize("stdin", ["", "\n# nothing\n"])
def test_no_key_is_a_mistake(directory: Path, stdin: str) -> None:
    refused = run(directory, "user", "key", "add", "ann", stdin=stdin)
    assert refused.exit_code == 2
    assert "there is no key in it" in refused.output
