"""What bubblewrap is told to show, besides what the attacks prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.loops import run_on
from tests.servers.sandbox.confined import Confined

from homeport.servers.sandbox.view import View, arguments, files


def view(**changes: object) -> View:
    return View(name="alice", home=Path("/srv/homes/alice"), **changes)  # type: ignore[arg-type]


def pairs(made: list[str]) -> set[tuple[str, ...]]:
    return {tuple(made[at : at + 3]) for at in range(len(made))}


def test_the_network_is_there_only_when_asked_for() -> None:
    assert "--unshare-net" in arguments(view(), {})
    shown = arguments(view(network=True), {})
    assert "--unshare-net" not in shown
    assert ("--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf") in pairs(shown)


def test_the_home_alone_is_writable() -> None:
    made = arguments(view(folders=(Path("/opt/tools"),)), {})
    assert [part for part in zip(made, made[1:], made[2:], strict=False) if part[0] == "--bind"] == [
        ("--bind", "/srv/homes/alice", "/home/alice")
    ]
    assert ("--ro-bind-try", "/opt/tools", "/opt/tools") in pairs(made)


@pytest.mark.parametrize(
    ("private", "hidden"),
    [("/opt/tools/homeport", True), ("/opt/tools", True), ("/usr/local/homeport", True), ("/srv/homes", False)],
)
def test_the_servers_own_folders_are_hidden_in_what_is_shown(private: str, hidden: bool) -> None:
    made = arguments(view(folders=(Path("/opt/tools"),), private=(Path(private),)), {})
    assert (("--tmpfs", private, "--remount-ro") in pairs(made)) is hidden


def test_the_account_knows_of_itself_alone() -> None:
    made = files(view())
    assert made["/etc/passwd"].startswith(b"alice:x:1000:1000::/home/alice:/")
    assert set(made) == {
        f"/etc/{name}" for name in ("passwd", "group", "hostname", "hosts", "nsswitch.conf", "profile")
    }


def test_private_folders_are_empty_and_stay_so(confined: Confined, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    (tools / "homeport").mkdir(parents=True)
    (tools / "homeport" / "state.db").write_text("all accounts", encoding="ascii")
    (tools / "tool").write_text("echo a tool", encoding="ascii")
    shown = {"folders": (tools,), "private": (tools / "homeport",)}
    said = run_on(
        "asyncio", confined.run(f"sh {tools}/tool; ls {tools}/homeport; touch {tools}/homeport/x", view=shown)
    )
    assert said.output == "a tool\n"
    assert "Read-only" in said.errors


def test_a_folder_that_is_not_there_is_no_harm(confined: Confined) -> None:
    assert run_on("asyncio", confined.run("true", view={"folders": (Path("/nowhere/at/all"),)})).status == 0


@pytest.mark.parametrize("name", ["al.ice@example-1_x", "用户", "émile"])
def test_names_of_every_kind(confined: Confined, name: str) -> None:
    said = run_on("asyncio", confined.run("pwd; id -un; touch f", view={"name": name}))
    assert said.output == f"/home/{name}\n{name}\n"
    assert (confined.home / "f").exists()
