"""Lines of MLSD and LIST."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from homeport.protocols.ftp.facts import ALL_FACTS, TYPES, FactLines, perm_fact
from homeport.protocols.ftp.listing import ListLines

ALL_RIGHTS = {"list", "read", "write", "overwrite", "rename", "delete", "mkdir", "change"}
NOON = 1_577_880_000  # 2020-01-01 12:00:00 UTC


@dataclass(frozen=True)
class File:
    size: int = 226
    mtime_ns: int = NOON * 10**9
    mode: int = 0o640
    links: int = 1
    device: int = 2049
    inode: int = 255


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("file", "type=file;size=226;modify=20200101120000;perm=adfrw;unique=801gff;UNIX.mode=0640; a b"),
        ("directory", "type=dir;modify=20200101120000;perm=cdeflmp;unique=801gff;UNIX.mode=0640; a b"),
        ("current", "type=cdir;modify=20200101120000;perm=cdeflmp;unique=801gff;UNIX.mode=0640; a b"),
        ("parent", "type=pdir;modify=20200101120000;perm=cdeflmp;unique=801gff;UNIX.mode=0640; a b"),
        ("link", "type=OS.unix=slink;modify=20200101120000;perm=df;unique=801gff;UNIX.mode=0640; a b"),
        ("other", "type=OS.unix=other;modify=20200101120000;perm=df;unique=801gff;UNIX.mode=0640; a b"),
    ],
)
def test_facts(kind: str, line: str) -> None:
    assert FactLines(ALL_FACTS, ALL_RIGHTS).line("a b", kind, File()) == line


def test_two_files_are_one_only_on_one_device() -> None:
    line = FactLines({"unique"}, ALL_RIGHTS).line
    files = [File(), File(inode=256), File(device=16), File()]
    assert [line("x", "file", file) for file in files] == [
        "unique=801gff; x", "unique=801g100; x", "unique=10gff; x", "unique=801gff; x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (set(), " 100%"),
        ({"type"}, "type=file; 100%"),
        ({"size"}, "size=226; 100%"),
        ({"UNIX.mode", "modify"}, "modify=20200101120000;UNIX.mode=0640; 100%"),
    ],
)
def test_chosen_facts(facts: set[str], line: str) -> None:
    assert FactLines(facts, ALL_RIGHTS).line("100%", "file", File()) == line


@pytest.mark.parametrize(
    ("kind", "rights", "perm"),
    [
        ("file", {"list", "read"}, "r"),
        ("directory", {"list", "read"}, "el"),
        ("directory", {"list", "write", "mkdir"}, "celm"),
        ("file", set(), ""),
    ],
)
def test_perm(kind: str, rights: set[str], perm: str) -> None:
    assert perm_fact(kind, rights) == perm


DAY = 86400


@pytest.mark.parametrize(
    ("name", "kind", "entry", "line"),
    [
        ("a b", "file", File(), "-rw-r-----   1 alice    alice             226 Jan  1 12:00 a b"),
        ("d", "directory", File(mode=0o755, links=12, size=4096),
         "drwxr-xr-x  12 alice    alice            4096 Jan  1 12:00 d"),
        ("l", "link", File(mode=0o777), "lrwxrwxrwx   1 alice    alice             226 Jan  1 12:00 l"),
        ("s", "other", File(mode=0o107000), "s---------   1 alice    alice             226 Jan  1 12:00 s"),
        ("old", "file", File(mtime_ns=(NOON - 200 * DAY) * 10**9),
         "-rw-r-----   1 alice    alice             226 Jun 15  2019 old"),
        ("future", "file", File(mtime_ns=(NOON + DAY) * 10**9),
         "-rw-r-----   1 alice    alice             226 Jan  2  2020 future"),
        ("ancient", "file", File(mtime_ns=-9_000_000_000 * 10**9),
         "-rw-r-----   1 alice    alice             226 Oct 19  1684 ancient"),
        ("never", "file", File(mtime_ns=-(10**30), size=2**62),
         "-rw-r-----   1 alice    alice    4611686018427387904 Jan  1  0001 never"),
    ],
)  # fmt: skip
def test_list(name: str, kind: str, entry: File, line: str) -> None:
    assert ListLines("alice", NOON + 30).line(name, kind, entry) == line


@pytest.mark.parametrize(
    ("owner", "shown"), [("a b", "a_b     "), ("", "-       "), ("averylongname", "averylongname")]
)
def test_owners_keep_the_columns(owner: str, shown: str) -> None:
    line = ListLines(owner, NOON).line("x", "file", File())
    assert line == f"-rw-r-----   1 {shown} {shown}          226 Jan  1 12:00 x"
    assert len(line.split()) == 9


def test_every_kind_has_lines() -> None:
    lines = ListLines("a", NOON)
    for kind in ("file", "directory", "link", "other"):
        assert kind in TYPES
        assert lines.line("x", kind, File()).endswith(" x")
