from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Run

from homeport.config.model import Settings
from homeport.daemon.instance import Instance


@pytest.fixture(autouse=True)
def _instance(directory: Path) -> None:
    Instance(directory).create(Settings())


def test_add_list_remove(run: Run) -> None:
    assert run("ban", "list").err == "nobody is banned\n"
    assert run("ban", "add", "192.0.2.7", "--reason", "too\tloud").err == "banned 192.0.2.7 until it is removed\n"
    [ban] = run("ban", "add", "2001:db8::1", "--for", "2h", "--json").objects
    assert ban["kind"] == "address"
    assert ban["subject"].startswith("2001:db8::")
    assert ban["reason"] == "by the administrator"
    assert ban["until"] - ban["created_at"] == pytest.approx(7200, abs=1)
    run("ban", "add", "192.0.2.7", "--name", "bob")
    assert {ban["subject"] for ban in run("ban", "list", "--json").objects} >= {"192.0.2.7", "bob 192.0.2.7"}
    listed = run("ban", "list").out
    assert "too\\tloud" in listed
    assert run("ban", "remove", "192.0.2.7").err == "192.0.2.7 is welcome again\n"
    assert run("ban", "remove", "192.0.2.7").err == "192.0.2.7 was not banned\n"
    assert run("ban", "remove", ban["subject"], "--json").objects == [{"subject": ban["subject"], "was_banned": True}]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["ban", "add", "example.org"], "'example.org' cannot be banned: "),
        (["ban", "add", "192.0.2.7", "--for", "ever"], "'ever': not a duration; write seconds"),
    ],
)
def test_refusals(run: Run, words: list[str], text: str) -> None:
    done = run(*words)
    assert done.code == 2
    assert text in done.err
