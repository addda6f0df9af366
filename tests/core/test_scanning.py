from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.jails import nothing_left_open

from homeport.core.entries import Entry
from homeport.core.scanning import chosen_of, entries_of, names_of

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
    assert sorted(entries_of(folder)) == sorted(Entry.of(name, os.lstat(tmp_path / name)) for name in NAMES)


def test_only_chosen_names_are_looked_at(folder: int, tmp_path: Path) -> None:
    found = list(chosen_of(folder, lambda name: name == "plain"))
    assert sorted(found, key=bool) == [None, None, None, Entry.of("plain", os.lstat(tmp_path / "plain"))]
    everything = chosen_of(folder, lambda name: True)
    first = next(everything)
    for name in set(NAMES) - {first and first.name}:
        (tmp_path / str(name)).unlink()
    assert list(everything) == []


def test_another_locale_gives_the_same_names(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("utf-8", "surrogateescape"))
    assert sorted(names_of(folder)) == sorted(NAMES)
    assert sorted(entry.name for entry in chosen_of(folder, str) if entry) == sorted(NAMES)
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
