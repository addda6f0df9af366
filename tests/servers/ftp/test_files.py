from __future__ import annotations

import hashlib
import os
import zlib

from tests.servers.running import House, RunningServer, Wire

CONTENT = b"some content\n" * 100


def planted(house: House, name: str = "file") -> None:
    (house.home() / name).write_bytes(CONTENT)


def expect(wire: Wire, *dialogue: tuple[str, str]) -> None:
    for line, answer in dialogue:
        assert wire.ask(line) == answer, line


def test_facts_of_a_file(server: RunningServer, house: House) -> None:
    planted(house)
    os.utime(house.home() / "file", (0, 1_000_000_000))
    with server.visitor() as wire:
        expect(
            wire,
            ("SIZE file", "213 1300"),
            ("MDTM file", "213 20010909014640"),
            ("MFMT 20200101000000 file", "213 Modify=20200101000000; file"),
            ("MDTM file", "213 20200101000000"),
            ("MFF Modify=20210101000000;UNIX.mode=640; file", "213 UNIX.mode=0640;Modify=20210101000000; file"),
            ("MFF UNIX.mode=600; file", "213 UNIX.mode=0600; file"),
            ("SITE UTIME 20220101000000 file", "200 The modification time is set."),
            ("MDTM file", "213 20220101000000"),
            ("SITE CHMOD 604 file", "200 The mode is 0604."),
            ("SIZE nothing", "550 /nothing: no such file or folder."),
            ("MDTM nothing", "550 /nothing: no such file or folder."),
        )
        assert (house.home() / "file").stat().st_mode & 0o7777 == 0o604
        assert int(wire.ask("AVBL").removeprefix("213 ")) > 0


def test_renaming_and_deleting(server: RunningServer, house: House) -> None:
    planted(house)
    with server.visitor() as wire:
        expect(
            wire,
            ("RNFR nothing", "550 /nothing: no such file or folder."),
            ("RNFR file", "350 Now send RNTO with the new name."),
            ("RNTO other", '250 Renamed to "/other".'),
            ("DELE other", "250 The file is deleted."),
            ("DELE other", "550 /other: no such file or folder."),
        )


def test_digests(server: RunningServer, house: House) -> None:
    planted(house)
    whole, part = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(CONTENT[2:5]).hexdigest()
    with server.visitor() as wire:
        expect(
            wire,
            ("HASH file", f"213 SHA-256 0-1299 {whole} file"),
            ("OPTS HASH MD5", "200 MD5"),
            ("HASH file", f"213 MD5 0-1299 {hashlib.md5(CONTENT).hexdigest()} file"),
            ("XCRC file", f"250 {zlib.crc32(CONTENT):08X}"),
            ('XSHA256 "file" 2 5', f"250 {part.upper()}"),
            ("XSHA512 file", f"250 {hashlib.sha512(CONTENT).hexdigest().upper()}"),
            ("XSHA file", f"250 {hashlib.sha1(CONTENT).hexdigest().upper()}"),
            ("MD5 file", f'251 "file" {hashlib.md5(CONTENT).hexdigest().upper()}'),
            ("HASH nothing", "550 /nothing: no such file or folder."),
            ("OPTS HASH SHA-256", "200 SHA-256"),
        )
        assert wire.ask("RANG 2 4").startswith("350")
        assert wire.ask("HASH file") == f"213 SHA-256 2-4 {part} file"


def test_copies_are_made_on_the_server(server: RunningServer, house: House) -> None:
    planted(house)
    digest = hashlib.sha256(CONTENT).hexdigest()
    with server.visitor() as wire:
        expect(
            wire,
            ("SITE CPFR file", "350 Now send SITE CPTO with the copy's name."),
            ("SITE CPTO copy", f"250 Copied 1300 bytes, SHA-256 {digest}"),
            ("SITE CPFR nothing", "550 /nothing: no such file or folder."),
        )
        assert wire.ask("SITE CPTO copy").startswith("503")
        assert wire.ask("SITE SYMLINK a b").startswith("550")
    assert (house.home() / "copy").read_bytes() == CONTENT


def test_parts_are_joined(server: RunningServer, house: House) -> None:
    for name in ("one", "two"):
        (house.home() / name).write_text(name)
    with server.visitor() as wire:
        joined = hashlib.sha256(b"onetwo").hexdigest()
        expect(
            wire,
            ("COMB whole one two", f"250 Stored 6 bytes, SHA-256 {joined}"),
            ("COMB one one two", "553 The target cannot be one of the parts."),
            ("COMB other one nothing", "550 /nothing: no such file or folder."),
        )
    assert (house.home() / "whole").read_text() == "onetwo"
    assert not (house.home() / "other").exists()
