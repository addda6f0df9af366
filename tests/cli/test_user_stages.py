"""`homeport user stages`: an administrator sees and drops what came of uploads that did not end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from homeport.config.model import Settings
from homeport.core.count import Count
from homeport.core.paths import ROOT
from homeport.core.stages import stage_name
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services

SIZES = {"/film.bin": 1500, "/folder/song": 20}


@pytest.fixture
def stages(run: Run, directory: Path) -> None:
    """Two unfinished uploads of bob, charged as an upload does it."""
    assert run("user", "add", "bob", "--generate").code == 0
    with Services(Instance(directory), Settings(), "test") as services:
        bob = services.accounts.get("bob").id
        for path, size in SIZES.items():
            with services.ledger.changing(bob), services.stages.open_or_create(bob, ROOT.join(path)) as stage:
                services.ledger.charge(bob, size, 1)
                stage.charged()
                os.write(stage.fd, bytes(size))
                os.utime(stage.fd, (1_000_000_000 - size, 1_000_000_000 - size))


def used(directory: Path) -> tuple[Count, Count]:
    """What the ledger says, and what is there."""
    with Services(Instance(directory), Settings(), "test") as services:
        bob = services.accounts.get("bob")
        usage = services.ledger.usage(bob.id)
        return Count(usage.used_bytes, usage.used_files), services.count(bob)


def test_unfinished_uploads_are_listed_the_oldest_first(run: Run, stages: None) -> None:
    run("user", "add", "cid", "--generate")
    for arguments in (["bob"], []):
        done = run("user", "stages", "list", *arguments)
        lines = done.out.splitlines()
        assert lines[0].split() == ["ID", "ACCOUNT", "SIZE", "LAST", "BYTE"]
        assert [line.split()[:2] for line in lines[1:]] == [[stage_name(ROOT.join(p))[:16], "bob"] for p in SIZES]
    assert "2001-09-09T01:21:40+00:00" in done.out
    shown = [json.loads(line) for line in run("user", "stages", "list", "--json").out.splitlines()]
    assert [(one["account"], one["size"]) for one in shown] == [("bob", 1500), ("bob", 20)]
    assert run("user", "stages", "list", "cid").err == "there are no unfinished uploads\n"


@pytest.mark.parametrize("which", ["/film.bin", stage_name(ROOT.join("/film.bin"))[:16]])
def test_one_is_dropped_by_its_id_or_path(run: Run, directory: Path, stages: None, which: str) -> None:
    done = run("user", "stages", "drop", "bob", which)
    assert (done.code, done.err) == (0, "dropped 1 unfinished uploads of bob\n")
    assert used(directory) == (Count(20, 1), Count(20, 1))


def test_all_are_dropped(run: Run, directory: Path, stages: None) -> None:
    done = run("user", "stages", "drop", "bob", "--all", "--json")
    assert [json.loads(line)["event"] for line in done.out.splitlines()] == ["dropped", "dropped"]
    assert used(directory) == (Count(), Count())
    assert run("user", "stages", "drop", "bob", "--all").err == "dropped 0 unfinished uploads of bob\n"


def test_one_under_way_stays(run: Run, directory: Path, stages: None) -> None:
    with (
        Services(Instance(directory), Settings(), "test") as services,
        services.stages.open_or_create(services.accounts.get("bob").id, ROOT.join("/film.bin")),
    ):
        done = run("user", "stages", "drop", "bob", "--all")
    held = stage_name(ROOT.join("/film.bin"))[:16]
    assert done.err == (
        f"{held} is under way and stays; `homeport kick` ends its session\ndropped 1 unfinished uploads of bob\n"
    )
    assert used(directory) == (Count(1500, 1), Count(1500, 1))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name the uploads to throw away, or give --all; see `homeport user stages list`"),
        (["/film.bin", "--all"], "name the uploads to throw away, or give --all"),
        (["/nothing"], "no unfinished upload is called /nothing; see `homeport user stages list`"),
        ([""], "more than one unfinished upload is called ; see `homeport user stages list`"),
    ],
)
def test_what_is_named_wrongly_drops_nothing(
    run: Run, directory: Path, stages: None, arguments: list[str], text: str
) -> None:
    done = run("user", "stages", "drop", "bob", *arguments)
    assert done.code == 2
    assert text in done.err
    assert used(directory) == (Count(1520, 2), Count(1520, 2))
