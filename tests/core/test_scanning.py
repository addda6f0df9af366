from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.jails import nothing_left_open

from homeport.core.entries import Entry, Kind, Look
from homeport.core.errors import NotFound
from homeport.core.scanning import chosen_of, entries_of, looks_of, names_of, seen_through

NAMES = ["plain", "n\u00e9", "\udcd6\udcd0", "\N{GRINNING FACE}"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    for name in NAMES:
        (tmp_path / name).touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    with nothing_left_open():
        yield fd
    os.close(fd)


def test_entries_and_names_are_those_on_disk(folder: int, tmp_path: Path) -> None:
    assert sorted(names_of(folder)) == sorted(NAMES)
    assert dict(looks_of(folder)) == {name: os.lstat(tmp_path / name) for name in NAMES}
    assert sorted(entries_of(folder)) == sorted(Entry.of(name, os.lstat(tmp_path / name)) for name in NAMES)


def test_only_chosen_names_are_looked_at(folder: int, tmp_path: Path) -> None:
    found = list(chosen_of(folder, lambda name: name == "plain"))
    assert sorted(found, key=bool) == [None, None, None, ("plain", os.lstat(tmp_path / "plain"))]
    everything = chosen_of(folder, lambda name: True)
    first = next(everything)
    for name in set(NAMES) - {first and first[0]}:
        (tmp_path / str(name)).unlink()
    assert list(everything) == []


LINKS = ["link", "dangling"]


@pytest.fixture
def folder_of_links(folder: int, tmp_path: Path) -> int:
    for name, target in zip(LINKS, ("plain", "nothing at all"), strict=True):
        (tmp_path / name).symlink_to(target)
    return folder


READINGS: list[tuple[str, Callable[..., Iterator[Look | None]]]] = [
    ("all", lambda fd, **how: looks_of(fd, **how)),
    ("chosen", lambda fd, **how: chosen_of(fd, lambda name: name in LINKS, **how)),
]


@pytest.mark.parametrize("reading", [reading for _, reading in READINGS], ids=[name for name, _ in READINGS])
def test_links_are_looked_at_or_through(
    folder_of_links: int, tmp_path: Path, reading: Callable[..., Iterator[Look | None]]
) -> None:
    def behind(name: str) -> os.stat_result:
        if name == "dangling":
            raise NotFound(name)
        return os.stat(tmp_path / name)

    themselves = dict(filter(None, reading(folder_of_links)))
    assert {name: themselves[name] for name in LINKS} == {name: os.lstat(tmp_path / name) for name in LINKS}
    through = dict(filter(None, reading(folder_of_links, links=seen_through(behind))))
    assert through["link"] == os.stat(tmp_path / "plain")
    bare, link = Entry.of("dangling", through["dangling"]), Entry.of("dangling", themselves["dangling"])
    assert (bare.kind, bare.size, link.size) == (Kind.LINK, 0, len("nothing at all"))
    assert bare == link._replace(size=0)


def test_another_locale_gives_the_same_names(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogateescape"))
    assert sorted(names_of(folder)) == sorted(NAMES)
    assert sorted(name for name, _ in filter(None, chosen_of(folder, str))) == sorted(NAMES)
    assert sorted(entry.name for entry in entries_of(folder)) == sorted(NAMES)


def test_vanished_names_are_left_out(folder: int, tmp_path: Path) -> None:
    entries = entries_of(folder)
    first = next(entries)
    for name in set(NAMES) - {first.name}:
        (tmp_path / name).unlink()
    assert list(entries) == []


def test_memory_stays_flat_however_many_there_are(tmp_path: Path) -> None:
    for number in range(3000):
        os.symlink("x", tmp_path / f"a-name-of-some-length-{number}")
    fd = os.open(tmp_path, os.O_RDONLY)
    tracemalloc.start()
    try:
        assert sum(1 for _ in entries_of(fd)) == 3000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
        os.close(fd)
