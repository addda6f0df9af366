"""Lines of MLSD and LIST."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from homeport.protocols.ftp.facts import ALL_FACTS, TYPES, FactLines, perm_fact
from homeport.protocols.ftp.listed import kind_of
from homeport.protocols.ftp.listing import ListLines

ALL_RIGHTS = {"list", "read", "write", "overwrite", "rename", "delete", "mkdir", "change"}
NOON = 1_577_880_000  # 2020-01-01 12:00:00 UTC
TYPE_BITS = {"file": 0o100000, "directory": 0o040000, "link": 0o120000, "other": 0o010000}


@dataclass(frozen=True)
class File:
    """What `seen` says in the order of `struct stat`; times that no listing shows are wrong on purpose."""

    mode: int = 0o640
    inode: int = 255
    device: int = 2049
    links: int = 1
    size: int = 226
    changed: int = NOON

    def seen(self, kind: str = "file") -> tuple[int, ...]:
        mode = TYPE_BITS[kind] | self.mode
        return (mode, self.inode, self.device, self.links, 7, 8, self.size, NOON + 5000, self.changed, NOON + 9000)


@pytest.mark.parametrize(("mode", "kind"), [(bits, kind) for kind, bits in TYPE_BITS.items()])
def test_the_kind_is_in_the_upper_bits_of_the_mode(mode: int, kind: str) -> None:
    assert kind_of(mode | 0o7777) == kind
    assert kind in TYPES


@pytest.mark.parametrize("mode", [0o140000, 0o060000, 0o020000, 0])
def test_sockets_and_devices_are_other(mode: int) -> None:
    assert kind_of(mode | 0o644) == "other"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("file", "type=file;size=226;modify=20200101120000;perm=adfrw;unique=801gff;UNIX.mode=0640; a b"),
        ("directory", "type=dir;modify=20200101120000;perm=cdeflmp;unique=801gff;UNIX.mode=0640; a b"),
        ("link", "type=OS.unix=slink;modify=20200101120000;perm=df;unique=801gff;UNIX.mode=0640; a b"),
        ("other", "type=OS.unix=other;modify=20200101120000;perm=df;unique=801gff;UNIX.mode=0640; a b"),
    ],
)
def test_facts(kind: str, line: str) -> None:
    assert FactLines(ALL_FACTS, ALL_RIGHTS).lines([("a b", File().seen(kind))]) == [line]


def test_two_files_are_one_only_on_one_device() -> None:
    files = [File(), File(inode=256), File(device=16), File()]
    assert FactLines({"unique"}, ALL_RIGHTS).lines(("x", file.seen()) for file in files) == [
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
    assert FactLines(facts, ALL_RIGHTS).lines([("100%", File().seen())]) == [line]


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
        ("s", "other", File(mode=0o7000), "s---------   1 alice    alice             226 Jan  1 12:00 s"),
        ("old", "file", File(changed=NOON - 200 * DAY),
         "-rw-r-----   1 alice    alice             226 Jun 15  2019 old"),
        ("future", "file", File(changed=NOON + DAY),
         "-rw-r-----   1 alice    alice             226 Jan  2  2020 future"),
        ("ancient", "file", File(changed=-9_000_000_000),
         "-rw-r-----   1 alice    alice             226 Oct 19  1684 ancient"),
        ("never", "file", File(changed=-(10**18), size=2**62),
         "-rw-r-----   1 alice    alice    4611686018427387904 Jan  1  0001 never"),
        ("last", "file", File(changed=10**18, links=1234),
         "-rw-r----- 1234 alice    alice             226 Dec 31  9999 last"),
        ("now", "file", File(changed=NOON + 90), "-rw-r-----   1 alice    alice             226 Jan  1 12:01 now"),
        ("soon", "file", File(changed=NOON + 91), "-rw-r-----   1 alice    alice             226 Jan  1  2020 soon"),
        ("half", "file", File(changed=NOON + 31 - 180 * DAY),
         "-rw-r-----   1 alice    alice             226 Jul  5 12:00 half"),
        ("more", "file", File(changed=NOON + 30 - 180 * DAY),
         "-rw-r-----   1 alice    alice             226 Jul  5  2019 more"),
    ],
)  # fmt: skip
def test_list(name: str, kind: str, entry: File, line: str) -> None:
    assert ListLines("alice", NOON + 30).lines([(name, entry.seen(kind))]) == [line]


@pytest.mark.parametrize(
    ("owner", "shown"), [("a b", "a_b     "), ("", "-       "), ("averylongname", "averylongname")]
)
def test_owners_keep_the_columns(owner: str, shown: str) -> None:
    (line,) = ListLines(owner, NOON).lines([("x", File().seen())])
    assert line == f"-rw-r-----   1 {shown} {shown}          226 Jan  1 12:00 x"
    assert len(line.split()) == 9


def test_lines_are_in_the_order_of_what_was_seen() -> None:
    seen = [("b", File().seen("directory")), ("a", File().seen()), ("c", File().seen("link"))]
    assert [line[0] + line[-1] for line in ListLines("a", NOON).lines(seen)] == ["db", "-a", "lc"]
    assert [line[-1] for line in FactLines(ALL_FACTS, ALL_RIGHTS).lines(seen)] == ["b", "a", "c"]
    assert ListLines("a", NOON).lines([]) == FactLines(ALL_FACTS, ALL_RIGHTS).lines([]) == []


def test_what_was_never_seen_by_a_calendar_has_the_nearest_day() -> None:
    seen = [("x", File(changed=changed).seen()) for changed in (-(10**18), 10**18)]
    assert FactLines({"modify"}, ALL_RIGHTS).lines(seen) == ["modify=00010101221320; x", "modify=99991231014640; x"]
