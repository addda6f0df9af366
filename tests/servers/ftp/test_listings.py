from __future__ import annotations

import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from tests.servers.running import House, RunningServer, Wire

from homeport.core.entries import Look
from homeport.core.errors import NotFound
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.servers.ftp import listings


def listed(wire: Wire, line: str) -> list[str]:
    """What comes over a data connection, and that it ended well."""
    with wire.data() as data:
        answer = wire.ask(line)
        assert answer.startswith("150"), answer
        text = b"".join(iter(lambda: data.recv(65536), b"")).decode()
    assert wire.reply().startswith("226")
    return text.split("\r\n")[:-1]


@pytest.fixture
def wire(server: RunningServer, house: House) -> Wire:
    for name in (".hidden", "a.txt", "b.txt", "c.bin"):
        (house.home() / name).write_text(name)
    (house.home() / "sub").mkdir()
    (house.home() / "sub" / "inner").write_text("x")
    (house.home() / "[x]").write_text("a name like a pattern")
    (house.home() / "bad").symlink_to("/etc/passwd")
    return server.visitor()


def test_the_three_forms(wire: Wire) -> None:
    names = {".hidden", "a.txt", "b.txt", "c.bin", "sub", "[x]", "bad"}
    with wire:
        for line in ("LIST", "LIST -la", "LIST /", "LIST -a ."):
            lines = listed(wire, line)
            assert {text.split(maxsplit=8)[8] for text in lines} == names, line
        assert set(listed(wire, "NLST")) == names
        assert {text.split("; ", 1)[1] for text in listed(wire, "MLSD")} == names
        assert [text[0] for text in lines if text.endswith("sub")] == ["d"]
        assert not any("/etc" in text for text in lines)


def test_one_file_and_another_folder(wire: Wire) -> None:
    with wire:
        assert listed(wire, "LIST a.txt")[0].endswith(" a.txt")
        assert listed(wire, "NLST sub") == ["sub/inner"]
        assert listed(wire, "NLST sub/inner") == ["sub/inner"]
        assert listed(wire, "NLST /") != []
        assert listed(wire, "MLSD sub")[0].endswith("; inner")


def test_patterns_match_one_folders_names(wire: Wire) -> None:
    with wire:
        assert sorted(listed(wire, "NLST *.txt")) == ["a.txt", "b.txt"]
        assert sorted(listed(wire, "NLST ?.b*")) == ["c.bin"]
        assert listed(wire, "NLST sub/*") == ["sub/inner"]
        assert listed(wire, "LIST *.none") == []
        assert listed(wire, "NLST [x]") == ["[x]"]
        assert sorted(listed(wire, "NLST [ab].txt")) == ["a.txt", "b.txt"]


def test_patterns_are_neither_braces_nor_recursive_nor_slow(wire: Wire) -> None:
    with wire:
        for line in ("LIST {a,b}.txt", "LIST */inner", "NLST */*/*/*", "MLSD *.txt"):
            with wire.data():
                assert wire.ask(line).startswith("550"), line
        assert listed(wire, "NLST " + "a*" * 100 + "b") == []


def test_what_is_missing_is_550_before_any_data(wire: Wire) -> None:
    with wire:
        for line in ("LIST nothing", "NLST nothing", "MLSD nothing", "MLST nothing", "STAT nothing", "MLSD a.txt"):
            if line[:4] in ("LIST", "NLST", "MLSD"):
                assert wire.ask("EPSV").startswith("229")
            assert wire.ask(line).startswith("550 /"), line
        assert wire.ask("LIST").startswith("425")


def test_facts_of_one_name(wire: Wire) -> None:
    with wire:
        assert wire.ask("MLST sub").split("\n")[1].endswith("; /sub")
        assert "type=file;size=5;" in wire.ask("MLST a.txt")
        assert wire.ask("OPTS MLST size;") == "200 MLST OPTS size;"
        assert wire.ask("MLST a.txt").split("\n")[1] == " size=5; /a.txt"
        assert "type" not in wire.ask("MLST")


def test_listings_on_the_control_connection(wire: Wire) -> None:
    with wire:
        first, *lines, last = wire.ask("STAT /").split("\n")
        assert (first, last, len(lines)) == ("213-Status of /:", "213 End", 7)
        assert len(wire.ask("STAT a.txt").split("\n")) == 3
        assert wire.ask("NOOP").startswith("200")


def test_a_deflated_listing(wire: Wire) -> None:
    with wire:
        assert wire.ask("MODE Z").startswith("200")
        with wire.data() as data:
            assert wire.ask("NLST").startswith("150")
            packed = b"".join(iter(lambda: data.recv(65536), b""))
        assert wire.reply() == "226 7 entries."
        assert b"a.txt\r\n" in zlib.decompress(packed)


def test_large_folders_come_whole_and_at_the_readers_pace(any_server: RunningServer, house: House) -> None:
    for number in range(1200):
        (house.home() / f"{number:04d}-{'x' * 100}").touch()
    with any_server.visitor() as wire:
        assert len(listed(wire, "LIST")) == 1200
        assert len(wire.ask("STAT /").split("\n")) == 1202
        wire.send("STAT /", "NOOP")
        assert len(wire.reply().split("\n")) == 1202
        assert wire.reply().startswith("200")


class HugeFolder:
    """A home that is one folder of 5000 files, and counts what is read of it."""

    def __init__(self) -> None:
        self.read = self.looked_at = 0

    def look(self, path: VirtualPath) -> os.stat_result:
        if path != ROOT:
            raise NotFound(str(path))
        return _seen(0o040700)

    def names(self, _: VirtualPath) -> AbstractContextManager[Iterator[str]]:
        return nullcontext(self._names())

    def looks(
        self, _: VirtualPath, wanted: Callable[[str], object] = bool
    ) -> AbstractContextManager[Iterator[Look | None]]:
        return nullcontext(self._look(name) if wanted(name) else None for name in self._names())

    def _names(self) -> Iterator[str]:
        for number in range(5000):
            self.read += 1
            yield f"name-{number}"

    def _look(self, name: str) -> Look:
        self.looked_at += 1
        return name, _seen(0o100600)


def _seen(mode: int) -> os.stat_result:
    return os.stat_result((mode, *[0] * 9))


@pytest.mark.parametrize(
    ("verb", "text", "looks", "shown"),
    [
        ("LIST", "", 5000, 5000),
        ("LIST", "*zzq*", 0, 0),
        ("LIST", "*-4999", 1, 1),
        ("NLST", "", 0, 5000),
        ("NLST", "*zzq*", 0, 0),
        ("NLST", "*-4999", 0, 1),
    ],
)
def test_r1_each_step_reads_few_names_and_looks_only_at_those_it_shows(
    verb: str, text: str, looks: int, shown: int
) -> None:
    folder: Any = HugeFolder()
    view = listings._View(folder, ROOT.join(text) if text else ROOT)
    found: Iterator[Any] = view.looks() if verb == "LIST" else listings._names(view, text or None)
    blocks = listings._Blocks(found, lambda read: [str(one) for one in read], lambda lines: "".join(lines).encode())
    before = 0
    for _ in blocks:
        assert 0 < folder.read - before <= 512
        before = folder.read
    assert (folder.read, folder.looked_at, blocks.count) == (5000, looks, shown)


@pytest.mark.parametrize("line", ["LIST", "MLSD", "NLST", "STAT /", "LIST *.txt", "NLST *.txt"])
def test_r1_listings_are_made_in_threads_of_their_own(wire: Wire, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    seen: set[str] = set()
    for name in ("looks", "names"):
        real = getattr(Home, name)

        def looked(*arguments: Any, real: Any = real) -> Any:
            seen.add(threading.current_thread().name.split("-")[0])
            return real(*arguments)

        monkeypatch.setattr(Home, name, looked)
    with wire:
        assert wire.ask(line).startswith("213-") if line.startswith("STAT") else listed(wire, line)
    assert seen == {"listings"}


def test_a_client_that_leaves_in_a_listing_leaves_nothing(any_server: RunningServer, house: House) -> None:
    for number in range(2000):
        (house.home() / f"{number:04d}-{'x' * 200}").touch()
    with any_server.visitor() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(*["STAT /"] * 5)
    with any_server.visitor() as wire, wire.data() as data:
        data.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert wire.ask("LIST").startswith("150")
        assert wire.ask("ABOR") == "426 The transfer was stopped."
        assert wire.reply().startswith("226")
