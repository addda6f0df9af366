"""The jail with both resolvers: what works in a home, and what is refused, with its sentence."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import socket
import stat
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.core.jails import RESOLVERS, SECRET, at, make_home, nothing_left_open

from homeport.core import blanks
from homeport.core.count import Count
from homeport.core.entries import Entry, Kind
from homeport.core.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    HomeportError,
    HomeUnavailable,
    InvalidPath,
    IsADirectory,
    NotADirectory,
    NotARegularFile,
    NotFound,
    NotPermitted,
    OutsideHome,
    RightMissing,
    RootRefused,
    StageElsewhere,
    StorageFailed,
    StorageFull,
)
from homeport.core.jail import Jail
from homeport.core.paths import ROOT, VirtualPath

NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
LEADING_OUT = ["absolute", "climbing", "folder/climbing", "proc", "loop"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = make_home(tmp_path)
    (home / "absolute").symlink_to(tmp_path / "outside" / "secret")
    (home / "absolute-folder").symlink_to(tmp_path / "outside")
    (home / "climbing").symlink_to("../outside/secret")
    (home / "folder" / "climbing").symlink_to("../../outside/secret")
    (home / "proc").symlink_to("/proc/self/root")
    (home / "loop").symlink_to("loop")
    (home / "dangling").symlink_to("folder/new")
    (home / "to-file").symlink_to("file")
    (home / "to-folder").symlink_to("folder")
    (home / "folder" / "to-up").symlink_to("../file")
    return home


@pytest.fixture(params=RESOLVERS)
def jail(request: pytest.FixtureRequest, home: Path) -> Iterator[Jail]:
    with nothing_left_open(), Jail(home, request.param) as jail:
        yield jail
        assert (home.parent / "outside" / "secret").read_bytes() == SECRET
        assert sorted(os.listdir(home.parent / "outside")) == ["folder", "secret"]


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "stages"
    folder.mkdir()
    (folder / "stage").write_bytes(b"staged")
    fd = os.open(folder, os.O_RDONLY)
    yield fd
    os.close(fd)


def read(jail: Jail, path: str) -> bytes:
    fd = jail.open_file(at(path))
    try:
        assert not os.get_inheritable(fd)
        return os.read(fd, 1000)
    finally:
        os.close(fd)


def refused(kind: type[HomeportError], sentence: str, deed: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        deed()
    assert str(caught.value) == sentence


# Looking


def test_what_is_there_is_described(jail: Jail, home: Path) -> None:
    found = jail.stat(at("folder/inner"))
    assert found == Entry.of("inner", os.stat(home / "folder" / "inner"))
    assert (found.kind, found.size) == (Kind.FILE, 5)
    assert jail.stat(ROOT).kind is Kind.DIRECTORY


def test_links_inside_are_followed_unless_told_otherwise(jail: Jail) -> None:
    assert jail.stat(at("to-file")).kind is Kind.FILE
    assert jail.stat(at("to-file"), follow=False).kind is Kind.LINK
    assert jail.stat(at("to-folder/to-up")).size == 4
    assert read(jail, "to-folder/to-up") == b"file"


@pytest.mark.parametrize("path", LEADING_OUT)
def test_links_to_outside_are_refused_for_every_look(jail: Jail, path: str) -> None:
    sentence = f"/{path}: a link leads out of the home"
    for deed in (jail.stat, jail.open_file, jail.open_directory, jail.sync_directory):
        refused(OutsideHome, sentence, lambda deed=deed: deed(at(path)))  # type: ignore[misc]
    refused(OutsideHome, sentence, lambda: jail.set_times(at(path), 0))
    refused(OutsideHome, sentence, lambda: jail.set_mode(at(path), 0o777))
    refused(OutsideHome, sentence, lambda: jail.scan(at(path)).__enter__())


@pytest.mark.parametrize("path", ["absolute-folder/secret", "proc/etc/passwd"])
def test_nothing_behind_a_link_to_outside_is_reached(jail: Jail, path: str, stages: int) -> None:
    sentence = f"/{path}: a link leads out of the home"
    deeds: list[Callable[[], object]] = [
        lambda: jail.stat(at(path), follow=False),
        lambda: jail.open_file(at(path)),
        lambda: jail.make_directory(at(path)),
        lambda: jail.create_exclusive(at(path)),
        lambda: jail.remove_file(at(path)),
        lambda: jail.remove_directory(at(path)),
        lambda: jail.rename(at("file"), at(path)),
        lambda: jail.rename(at(path), at("stolen")),
        lambda: jail.install(stages, "stage", at(path)),
    ]
    for deed in deeds:
        refused(OutsideHome, sentence, deed)


def test_reading_gives_the_file_and_nothing_that_can_be_written(jail: Jail) -> None:
    fd = jail.open_file(at("file"))
    assert os.read(fd, 10) == b"file"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    os.close(fd)


def test_what_is_no_file_cannot_be_read(jail: Jail) -> None:
    refused(IsADirectory, "/folder: is a folder", lambda: jail.open_file(at("folder")))
    refused(IsADirectory, "/: is a folder", lambda: jail.open_file(ROOT))
    refused(NotFound, "/nothing: no such file or folder", lambda: jail.open_file(at("nothing")))
    refused(NotFound, "/dangling: no such file or folder", lambda: jail.open_file(at("dangling")))
    refused(NotADirectory, "/file/x: not a folder", lambda: jail.open_file(at("file/x")))
    refused(NotADirectory, "/file: not a folder", lambda: jail.open_directory(at("file")))


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _device(kind: int, major: int, minor: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        try:
            os.mknod(path, kind | 0o666, os.makedev(major, minor))
        except PermissionError:
            pytest.skip("only root may make device nodes")

    return make


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_fifo, id="fifo"),
        pytest.param(_socket, id="socket"),
        pytest.param(_device(stat.S_IFCHR, 1, 5), id="dev-zero"),
        pytest.param(_device(stat.S_IFBLK, 7, 0), id="block-device"),
    ],
)
def test_special_files_are_listed_and_removed_and_never_opened(
    jail: Jail, home: Path, make: Callable[[Path], None], stages: int
) -> None:
    make(home / "odd")
    (home / "to-odd").symlink_to("odd")
    for path in ("odd", "to-odd"):
        sentence = f"/{path}: not a regular file"
        refused(NotARegularFile, sentence, lambda path=path: jail.open_file(at(path)))  # type: ignore[misc]
        refused(NotARegularFile, sentence, lambda path=path: jail.set_mode(at(path), 0o600))  # type: ignore[misc]
        refused(NotARegularFile, sentence, lambda path=path: jail.install(stages, "stage", at(path)))  # type: ignore[misc]
    refused(NotADirectory, "/odd: not a folder", lambda: jail.open_directory(at("odd")))
    refused(AlreadyExists, "/odd: exists already", lambda: jail.create_exclusive(at("odd")))
    assert jail.stat(at("odd")).kind is Kind.OTHER
    with jail.scan(ROOT, through_links=True) as entries:
        assert {entry.name: entry.kind for entry in entries}["to-odd"] is Kind.OTHER
    assert Count.of(jail.remove_file(at("odd"))) == Count(0, 1)


def test_a_folder_is_listed_entry_by_entry(jail: Jail, home: Path) -> None:
    with jail.scan(at("folder")) as entries:
        found = {entry.name: entry.kind for entry in entries}
    assert found == {"deep": Kind.DIRECTORY, "inner": Kind.FILE, "climbing": Kind.LINK, "to-up": Kind.LINK}
    with jail.names(at("to-folder")) as names:
        assert set(names) == set(found)
    with jail.looks(at("to-folder"), "to-up".__eq__) as chosen:
        assert [look[0] for look in chosen if look] == ["to-up"]


def test_a_listing_shows_where_links_lead_only_inside(jail: Jail) -> None:
    with jail.scan(ROOT, through_links=True) as entries:
        found = {entry.name: (entry.kind, entry.size) for entry in entries}
    assert found["to-file"] == (Kind.FILE, 4)
    assert found["to-folder"][0] is Kind.DIRECTORY
    assert {found[name] for name in ("absolute", "climbing", "proc", "loop", "dangling")} == {(Kind.LINK, 0)}
    for wanted in (None, lambda name: True):
        with jail.looks(ROOT, wanted) as looks:
            seen = [Entry.of(*look) for look in looks if look]
        assert {entry.name: (entry.kind, entry.size) for entry in seen} == found


def test_a_listing_left_early_leaves_nothing_open(jail: Jail) -> None:
    for reading in (jail.scan, jail.names, jail.looks, lambda path: jail.looks(path, len)):
        with nothing_left_open(), reading(ROOT) as entries:
            next(entries)


def test_a_name_that_vanishes_while_it_is_listed_was_never_there(jail: Jail, home: Path) -> None:
    with jail.scan(at("folder")) as entries:
        first = next(entries)
        for name in {"deep", "inner", "climbing", "to-up"} - {first.name}:
            (home / "folder" / name).rmdir() if name == "deep" else (home / "folder" / name).unlink()
        assert list(entries) == []


def test_a_disk_that_fails_in_a_listing_is_told_in_words(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> object:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", fail)
    with jail.scan(ROOT) as entries:
        refused(StorageFailed, "the server's disk failed (EIO); try again, or tell the administrator", entries.__next__)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\udcd6\udcd0", id="GBK"),
        pytest.param("\udcff\udcfe", id="no-text"),
        NFC,
        NFD,
        "\N{GRINNING FACE}",
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
        "\N{ZERO WIDTH SPACE}",
        "trailing. ",
        "CON",
        "nul.txt",
        "a:b",
        "back\\slash",
        "..\\..\\x",
        "%2e%2e",
        "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}",
        "~root",
        "-rf",
        "...",
        "a\nb\r\x1b[31m",
        "x" * 255,
    ],
)
def test_names_come_back_byte_for_byte(jail: Jail, home: Path, name: str) -> None:
    path = at("folder/deep").child(name)
    os.close(jail.create_exclusive(path))
    assert os.listdir(os.fsencode(home / "folder" / "deep")) == [name.encode("utf-8", "surrogateescape")]
    with jail.scan(at("folder/deep")) as entries:
        assert [entry.name for entry in entries] == [name]
    assert jail.stat(path).name == name
    jail.remove_file(path)
    assert os.listdir(home / "folder" / "deep") == []


def test_case_twins_and_two_spellings_stay_two_names(jail: Jail) -> None:
    for name in ("readme", "README", NFC, NFD):
        os.close(jail.create_exclusive(at("folder/deep").child(name)))
    with jail.names(at("folder/deep")) as names:
        assert set(names) == {"readme", "README", NFC, NFD}
    for name in (NFD, NFC, "readme", "README"):
        assert jail.remove_file(at("folder/deep").child(name)).name == name


PIECES = ["..", ".", "/", "\\", "%2e", "%2f", "\N{FULLWIDTH FULL STOP}"]


def test_no_spelling_of_a_climb_gets_out(jail: Jail) -> None:
    """Every text of up to four pieces before the path of the secret: an error or, after `..` has stopped, nothing."""
    opened = 0
    for length in range(5):
        for pieces in itertools.product(PIECES, repeat=length):
            text = "".join(pieces)
            for path in (f"{text}/outside/secret", f"folder/{text}/../../../outside/secret", f"climbing/{text}"):
                with suppress(HomeportError):
                    os.close(jail.open_file(at(path)))
                    opened += 1
    assert opened == 0


def test_closing_while_others_are_at_work_never_shows_them_another_folder(jail: Jail, home: Path) -> None:
    """The number of a closed descriptor is used again at once; a call that has begun must not end up there."""
    expected = home.stat().st_ino
    seen: set[int] = set()
    begun = threading.Barrier(5)

    def work() -> None:
        begun.wait(10)
        with suppress(HomeUnavailable):
            while True:
                seen.add(jail.stat(ROOT).inode)
                with jail.scan(ROOT) as entries:
                    next(entries)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    while not seen:
        time.sleep(0.001)
    jail.close()
    others = [os.open("/", os.O_RDONLY) for _ in range(20)]
    for thread in threads:
        thread.join()
    for fd in others:
        os.close(fd)
    assert seen == {expected}


# Spelling


@pytest.mark.parametrize(("on_disk", "said"), [(NFC, NFD), (NFD, NFC)])
def test_a_name_that_exists_is_found_in_its_other_unicode_form(
    jail: Jail, home: Path, on_disk: str, said: str, stages: int
) -> None:
    (home / on_disk).mkdir()
    (home / on_disk / f"{on_disk}1").write_bytes(b"found")
    path = at(f"{said}/{said}1")
    assert jail.locate(path) == at(f"{on_disk}/{on_disk}1")
    assert read(jail, str(path)) == b"found"
    assert jail.stat(at(f"{said}/{on_disk}1")).size == 5
    jail.set_mode(path, 0o640)
    with jail.scan(at(said)) as entries:
        assert [entry.name for entry in entries] == [f"{on_disk}1"]
    jail.rename(path, at(f"{said}/{said}2"))
    assert os.listdir(home / on_disk) == [f"{said}2"]
    jail.install(stages, "stage", at(f"{said}/x"))
    jail.remove_file(at(f"{said}/x"))
    jail.remove_file(at(f"{on_disk}/{on_disk}2"))
    jail.remove_directory(at(said))
    assert not (home / on_disk).exists()


def test_the_exact_spelling_wins(jail: Jail, home: Path) -> None:
    for name in (NFC, NFD):
        (home / name).write_text(name)
    for name in (NFC, NFD):
        assert read(jail, name).decode() == name
        assert jail.locate(at(name)) == at(name)


def test_a_name_in_no_form_is_not_found(jail: Jail) -> None:
    assert jail.locate(at(f"folder/{NFC}/x")) == at(f"folder/{NFC}/x")
    refused(NotFound, f"/{NFD}: no such file or folder", lambda: jail.stat(at(NFD)))
    refused(NotFound, f"/{NFD}: no such file or folder", lambda: jail.remove_file(at(NFD)))


# Making


def test_folders_are_made_with_exactly_the_mode(jail: Jail, home: Path) -> None:
    before = os.umask(0o077)
    try:
        jail.make_directory(at("plain"))
        jail.make_directory(at("to-folder/shared"), 0o6750)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "plain").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "folder" / "shared").stat().st_mode) == 0o750


@pytest.mark.parametrize("path", ["file", "folder", "to-file", "dangling", "climbing", "absolute-folder"])
def test_nothing_is_made_over_what_is_there(jail: Jail, path: str) -> None:
    refused(AlreadyExists, f"/{path}: exists already", lambda: jail.make_directory(at(path)))
    refused(AlreadyExists, f"/{path}: exists already", lambda: jail.create_exclusive(at(path)))


def test_files_are_made_private_or_as_told(jail: Jail, home: Path) -> None:
    for name, mode, expected in (("private", None, 0o600), ("shared", 0o4640, 0o640)):
        fd = jail.create_exclusive(at(name)) if mode is None else jail.create_exclusive(at(name), mode)
        os.write(fd, b"x")
        os.close(fd)
        assert stat.S_IMODE((home / name).stat().st_mode) == expected


def test_the_home_itself_is_neither_made_nor_changed_nor_removed(jail: Jail, home: Path, stages: int) -> None:
    refused(AlreadyExists, "/: exists already", lambda: jail.make_directory(ROOT))
    refused(AlreadyExists, "/: exists already", lambda: jail.create_exclusive(ROOT))
    refused(IsADirectory, "/: is a folder", lambda: jail.install(stages, "stage", ROOT))
    sentence = "/: the home itself cannot be changed"
    deeds: list[Callable[[], object]] = [
        lambda: jail.remove_file(ROOT),
        lambda: jail.remove_directory(ROOT),
        lambda: jail.rename(ROOT, at("x")),
        lambda: jail.rename(at("file"), ROOT),
        lambda: jail.set_mode(ROOT, 0),
        lambda: jail.set_times(ROOT, 0),
    ]
    for deed in deeds:
        refused(RootRefused, sentence, deed)
    assert home.is_dir()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../outside/x", "a\0b"])
def test_a_path_made_behind_its_back_is_refused(jail: Jail, name: str) -> None:
    path = VirtualPath((name,))
    deeds: list[Callable[[], object]] = [
        lambda: jail.make_directory(path),
        lambda: jail.create_exclusive(path),
        lambda: jail.remove_file(path),
        lambda: jail.remove_directory(path),
        lambda: jail.rename(at("file"), path),
        lambda: jail.rename(path, at("x")),
    ]
    for deed in deeds:
        refused(InvalidPath, f"{name!a}: not a file name", deed)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (VirtualPath(("x" * 256,)), "the name is too long"),
        (VirtualPath(("d" * 250,) * 24), "the name is too long"),
    ],
)
def test_names_beyond_what_a_disk_holds_are_refused(jail: Jail, path: VirtualPath, reason: str) -> None:
    refused(InvalidPath, f"{path}: {reason}", lambda: jail.stat(path))
    with pytest.raises((InvalidPath, NotFound)):
        jail.make_directory(path)


# Removing


def test_removing_tells_exactly_what_went(jail: Jail, home: Path) -> None:
    assert Count.of(jail.remove_file(at("folder/inner"))) == Count(5, 1)
    assert not (home / "folder" / "inner").exists()


@pytest.mark.parametrize("path", ["to-file", "to-folder", "climbing", "absolute-folder", "dangling", "loop", "proc"])
def test_removing_a_link_removes_the_link(jail: Jail, home: Path, path: str) -> None:
    refused(NotADirectory, f"/{path}: not a folder", lambda: jail.remove_directory(at(path)))
    removed = jail.remove_file(at(path))
    assert (removed.kind, Count.of(removed)) == (Kind.LINK, Count(0, 1))
    assert not os.path.lexists(home / path)
    assert (home / "folder" / "inner").exists()


def test_what_cannot_be_removed_says_why(jail: Jail) -> None:
    refused(IsADirectory, "/folder: is a folder", lambda: jail.remove_file(at("folder")))
    refused(NotADirectory, "/file: not a folder", lambda: jail.remove_directory(at("file")))
    refused(DirectoryNotEmpty, "/folder: the folder is not empty", lambda: jail.remove_directory(at("folder")))
    refused(NotFound, "/x: no such file or folder", lambda: jail.remove_file(at("x")))
    refused(NotFound, "/x/y: no such file or folder", lambda: jail.remove_directory(at("x/y")))


def test_a_file_that_is_read_can_be_removed_and_is_read_to_its_end(jail: Jail) -> None:
    fd = jail.open_file(at("file"))
    jail.remove_file(at("file"))
    assert os.read(fd, 10) == b"file"
    os.close(fd)


# Renaming


def test_a_rename_moves_and_tells_what_it_replaced(jail: Jail, home: Path) -> None:
    assert jail.rename(at("file"), at("folder/moved")) is None
    replaced = jail.rename(at("folder/moved"), at("to-folder/inner"))
    assert replaced is not None
    assert Count.of(replaced) == Count(5, 1)
    assert (home / "folder" / "inner").read_bytes() == b"file"


@pytest.mark.parametrize("make", [Jail.make_directory, Jail.create_exclusive])
def test_what_is_made_while_a_rename_is_under_way_is_not_replaced_unseen(
    jail: Jail, home: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Jail, VirtualPath], int | None]
) -> None:
    (home / "empty").mkdir()
    refusals: list[HomeportError] = []
    rename = os.rename

    def make_target() -> None:
        try:
            made = make(jail, at("target"))
        except HomeportError as refusal:
            refusals.append(refusal)
        else:
            if made is not None:
                os.close(made)

    meanwhile = threading.Thread(target=make_target)

    def rename_late(old: str, new: str, **folders: int) -> None:
        meanwhile.start()
        meanwhile.join(0.2)  # time enough to slip in between the look and the deed, if it could
        rename(old, new, src_dir_fd=folders["src_dir_fd"], dst_dir_fd=folders["dst_dir_fd"])

    monkeypatch.setattr(os, "rename", rename_late)
    assert jail.rename(at("empty"), at("target")) is None
    meanwhile.join()
    assert [type(refusal) for refusal in refusals] == [AlreadyExists]


def test_a_rename_acts_on_links_themselves_on_both_sides(jail: Jail, home: Path) -> None:
    assert jail.rename(at("climbing"), at("moved")) is None
    replaced = jail.rename(at("moved"), at("to-file"))
    assert replaced is not None
    assert replaced.kind is Kind.LINK
    assert os.readlink(home / "to-file") == "../outside/secret"
    assert (home / "file").read_bytes() == b"file"
    refused(OutsideHome, "/to-file: a link leads out of the home", lambda: jail.open_file(at("to-file")))


def test_a_rename_replaces_nothing_where_it_may_not(jail: Jail, home: Path) -> None:
    refused(AlreadyExists, "/file: exists already", lambda: jail.rename(at("folder/inner"), at("file"), replace=False))
    assert (home / "file").read_bytes() == b"file"
    assert jail.rename(at("folder/inner"), at("new"), replace=False) is None


def test_a_folder_replaces_an_empty_folder_alone(jail: Jail, home: Path) -> None:
    jail.make_directory(at("empty"))
    replaced = jail.rename(at("folder"), at("empty"))
    assert replaced is not None
    assert Count.of(replaced) == Count(0, 1)
    jail.make_directory(at("other"))
    refused(DirectoryNotEmpty, "/empty: the folder is not empty", lambda: jail.rename(at("other"), at("empty")))


def test_renames_that_cannot_be_say_why(jail: Jail) -> None:
    cases: list[tuple[type[HomeportError], str, str, str]] = [
        (NotFound, "/x: no such file or folder", "x", "y"),
        (NotFound, "/x/y: no such file or folder", "file", "x/y"),
        (IsADirectory, "/folder: is a folder", "file", "folder"),
        (NotADirectory, "/file: not a folder", "folder", "file"),
        (NotADirectory, "/file/x: not a folder", "folder", "file/x"),
        (InvalidPath, "/folder/deep/x: a folder cannot be moved into itself", "folder", "folder/deep/x"),
        (InvalidPath, "/to-folder/x: a folder cannot be moved into itself", "folder", "to-folder/x"),
        (DirectoryNotEmpty, "/folder: the folder is not empty", "folder/deep", "folder"),
    ]
    for kind, sentence, source, target in cases:
        refused(kind, sentence, lambda s=source, t=target: jail.rename(at(s), at(t)))  # type: ignore[misc]


def test_two_names_of_one_file_stay_two(jail: Jail, home: Path) -> None:
    os.link(home / "file", home / "twin")
    assert jail.rename(at("file"), at("twin")) is None
    assert jail.rename(at("file"), at("file")) is None
    assert {"file", "twin"} <= set(os.listdir(home))
    assert jail.walk_count().bytes == 4 + 4 + 5


# Installing


def test_a_stage_comes_into_place_in_one_step(jail: Jail, home: Path, stages: int) -> None:
    asked: list[Entry | None] = []
    flushed: list[os.stat_result] = []
    replaced = jail.install(
        stages, "stage", at("folder/new"), approve=asked.append, flush=lambda fd: flushed.append(os.fstat(fd))
    )
    assert (replaced, asked) == (None, [None])
    assert os.path.samestat(flushed[0], os.stat(home / "folder"))
    assert (home / "folder" / "new").read_bytes() == b"staged"
    assert os.listdir(stages) == []


def test_a_stage_replaces_a_file_and_its_reader_keeps_the_old_one(jail: Jail, stages: int) -> None:
    fd = jail.open_file(at("file"))
    replaced = jail.install(stages, "stage", at("file"))
    assert replaced is not None
    assert Count.of(replaced) == Count(4, 1)
    assert read(jail, "file") == b"staged"
    assert os.read(fd, 10) == b"file"
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "target"), [("to-file", "file"), ("folder/to-up", "file"), ("dangling", "folder/new"), ("far", "file")]
)
def test_a_stage_is_written_through_a_link_inside(jail: Jail, home: Path, stages: int, path: str, target: str) -> None:
    (home / "far").symlink_to("to-folder/deep/../to-up")
    jail.install(stages, "stage", at(path))
    assert (home / path).is_symlink()
    assert (home / target).read_bytes() == b"staged"
    assert not (home / target).is_symlink()


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        (OutsideHome, "/etc/passwd", "a link leads out of the home"),
        (OutsideHome, "../outside/secret", "a link leads out of the home"),
        (OutsideHome, "link", "a link leads out of the home"),
        (OutsideHome, "absolute", "a link leads out of the home"),
        (OutsideHome, "absolute-folder/new", "a link leads out of the home"),
        (IsADirectory, "folder", "is a folder"),
        (IsADirectory, "to-folder", "is a folder"),
        (IsADirectory, "folder/", "is a folder"),
        (IsADirectory, "folder/..", "is a folder"),
        (IsADirectory, ".", "is a folder"),
        (NotFound, "nowhere/new", "no such file or folder"),
        (NotADirectory, "file/new", "not a folder"),
        (InvalidPath, "x" * 256, "the name is too long"),
    ],
)
def test_a_stage_goes_through_no_other_link(
    jail: Jail, home: Path, stages: int, kind: type[HomeportError], target: str, why: str
) -> None:
    (home / "link").symlink_to(target)
    refused(kind, f"/link: {why}", lambda: jail.install(stages, "stage", at("link")))
    assert os.listdir(stages) == ["stage"]


def test_a_stage_replaces_no_folder(jail: Jail, stages: int) -> None:
    refused(IsADirectory, "/folder: is a folder", lambda: jail.install(stages, "stage", at("folder")))
    refused(NotFound, "/no/x: no such file or folder", lambda: jail.install(stages, "stage", at("no/x")))


def test_who_may_not_replace_prevents_it(jail: Jail, home: Path, stages: int) -> None:
    def refuse(there: Entry | None) -> None:
        assert there is not None
        raise RightMissing("/file", "overwrite")

    with pytest.raises(RightMissing):
        jail.install(stages, "stage", at("file"), approve=refuse)
    assert ((home / "file").read_bytes(), os.listdir(stages)) == (b"file", ["stage"])


def test_a_stage_on_another_file_system_says_so(jail: Jail) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("no second file system here")
    name = f"homeport-test-{os.getpid()}"
    (shm / name).write_bytes(b"x")
    fd = os.open(shm, os.O_RDONLY)
    try:
        refused(
            StageElsewhere,
            "this account's home and the server's stage folder lie on different file systems, nothing can be stored; "
            "tell the administrator",
            lambda: jail.install(fd, name, at("x")),
        )
    finally:
        os.close(fd)
        (shm / name).unlink()


# Times and modes


@pytest.mark.parametrize("mtime_ns", [0, 1_700_000_000_123_456_789, -9_000_000_000, 4_102_444_800_000_000_000])
def test_times_are_set_to_the_nanosecond(jail: Jail, mtime_ns: int) -> None:
    for path in ("file", "folder", "to-file"):
        assert jail.set_times(at(path), mtime_ns).mtime_ns == jail.stat(at(path)).mtime_ns
    assert abs(jail.stat(at("file")).mtime_ns - mtime_ns) < 1_000_000_000


def test_a_time_that_no_disk_holds_is_refused(jail: Jail) -> None:
    refused(InvalidPath, "/file: the file system cannot hold this time", lambda: jail.set_times(at("file"), 10**40))


@pytest.mark.parametrize(("mode", "stored"), [(0o6777, 0o777), (0o1640, 0o640), (0, 0), (0o10600, 0o600)])
def test_modes_never_have_set_uid_set_gid_or_sticky(jail: Jail, mode: int, stored: int) -> None:
    for path in ("file", "folder", "to-file"):
        assert jail.set_mode(at(path), mode).mode == stored


# When the home, or the machine, is not well


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["missing", "file"])
def test_a_home_that_is_no_folder_is_unavailable(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "home")
    sentence = "this account's home is not available; tell the administrator"
    refused(HomeUnavailable, sentence, lambda: Jail(tmp_path / "home"))


def test_a_home_of_another_user_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    if os.getuid() != 0:
        pytest.skip("only root may become another user")
    os.seteuid(65534)
    try:
        with pytest.raises(HomeUnavailable):
            Jail(tmp_path / "home")
    finally:
        os.seteuid(0)


def test_files_of_another_user_are_told(jail: Jail, home: Path, stages: int) -> None:
    (home / "file").chmod(0o600)
    (home / "folder").chmod(0o700)
    if os.getuid() != 0:
        pytest.skip("only root may become another user")
    why = "the server has no access to it; tell the administrator"
    os.seteuid(65534)
    try:
        deeds: dict[str, Callable[[], object]] = {
            "/file": lambda: jail.open_file(at("file")),
            "/folder": lambda: jail.open_directory(at("folder")),
            "/folder/inner": lambda: jail.stat(at("folder/inner")),
            "/folder/new": lambda: jail.make_directory(at("folder/new")),
            "/to-file": lambda: jail.set_mode(at("to-file"), 0o777),
            "/new": lambda: jail.install(stages, "stage", at("new")),
        }
        for path, deed in deeds.items():
            refused(NotPermitted, f"{path}: {why}", deed)
    finally:
        os.seteuid(0)


def test_a_home_that_vanishes_is_unavailable(jail: Jail, home: Path) -> None:
    os.rename(home, home.parent / "away")
    assert read(jail, "file") == b"file"
    for folder, _, _ in os.walk(home.parent / "away", topdown=False):
        for name in os.listdir(folder):
            path = Path(folder, name)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        Path(folder).rmdir()
    for deed in (jail.stat, jail.open_file, jail.make_directory, jail.remove_file):
        with pytest.raises(HomeUnavailable):
            deed(at("file"))


def test_a_closed_jail_is_unavailable(jail: Jail) -> None:
    jail.close()
    jail.close()
    for deed in (jail.stat, jail.open_file, jail.make_directory, jail.remove_file):
        with pytest.raises(HomeUnavailable):
            deed(at("file"))
    with pytest.raises(HomeUnavailable):
        jail.walk_count()


def test_without_proc_nothing_is_opened(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def without_proc(path: str | bytes, *args: object, **kwargs: object) -> int:
        if isinstance(path, str) and path.startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", without_proc)
    refused(
        StorageFailed,
        "the server's disk failed (no /proc); try again, or tell the administrator",
        lambda: jail.open_file(at("file")),
    )


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [
        (errno.EROFS, NotPermitted, "/{}: it lies on a read-only file system; tell the administrator"),
        (errno.EACCES, NotPermitted, "/{}: the server has no access to it; tell the administrator"),
        (errno.ENOSPC, StorageFull, "the server's disk is full; what came is kept, resume when there is room"),
        (errno.EDQUOT, StorageFull, "the server's disk is full; what came is kept, resume when there is room"),
        (errno.EIO, StorageFailed, "the server's disk failed (EIO); try again, or tell the administrator"),
        (errno.EMFILE, StorageFailed, "the server's disk failed (EMFILE); try again, or tell the administrator"),
        (errno.ESTALE, HomeUnavailable, "this account's home is not available; tell the administrator"),
        (errno.EXDEV, InvalidPath, "/{}: lies on another file system; copy there and delete here"),
    ],
)
def test_a_failing_rename_changes_nothing_and_says_why(
    jail: Jail,
    home: Path,
    stages: int,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[HomeportError],
    sentence: str,
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", fail)
    monkeypatch.setattr(blanks, "exchange", fail)
    refused(kind, sentence.format("new"), lambda: jail.rename(at("file"), at("new")))
    if number != errno.EXDEV:
        refused(kind, sentence.format("file"), lambda: jail.install(stages, "stage", at("file")))
    monkeypatch.undo()
    assert (home / "file").read_bytes() == b"file"
    assert os.listdir(stages) == ["stage"]


def test_a_folder_that_cannot_be_synced_is_told_after_the_file_is_in_place(jail: Jail, stages: int, home: Path) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StorageFailed):
        jail.install(stages, "stage", at("new"), flush=fail)
    assert (home / "new").read_bytes() == b"staged"
    with pytest.raises(StorageFailed):
        jail.sync_directory(ROOT, fail)
    jail.sync_directory(at("to-folder"))


def test_a_link_that_cannot_be_read_is_told(jail: Jail, stages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.readlink

    def fail(path: bytes, *, dir_fd: int | None = None) -> bytes:
        if path == b"":  # the walk's own
            return real(path, dir_fd=dir_fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "readlink", fail)
    with pytest.raises(StorageFailed):
        jail.install(stages, "stage", at("to-file"))


def test_out_of_descriptors_is_told_and_passes(jail: Jail) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (top + 2, hard))
    held = []
    try:
        while True:
            held.append(os.open("/", os.O_PATH))
    except OSError:
        refused(
            StorageFailed,
            "the server's disk failed (EMFILE); try again, or tell the administrator",
            lambda: jail.open_file(at("file")),
        )
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read(jail, "file") == b"file"


# Counting


def test_everything_is_counted_by_name(jail: Jail, home: Path) -> None:
    before = jail.walk_count()
    assert before == Count(4 + 5, sum(len(folders) + len(files) for _, folders, files in os.walk(home)))
    jail.make_directory(at("more"))
    fd = jail.create_exclusive(at("more/sparse"))
    os.ftruncate(fd, 10_000_000)
    os.close(fd)
    assert jail.walk_count() - before == Count(10_000_000, 2)


def test_the_disk_has_room_and_is_one(jail: Jail, home: Path) -> None:
    assert jail.free_bytes() > 0
    assert jail.mount()[0] == home.stat().st_dev


def test_changes_of_names_wait_for_each_other(jail: Jail, home: Path, stages: int) -> None:
    """Another session's removal waits until the installation that has begun has ended, and removes its file."""
    other = Jail(home)
    removed: list[Entry] = []
    remover = threading.Thread(target=lambda: removed.append(other.remove_file(at("file"))))

    def approve(_there: Entry | None) -> None:
        remover.start()
        deadline = time.monotonic() + 5
        while _waiting_for_locks() == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert removed == []

    jail.install(stages, "stage", at("file"), approve=approve)
    remover.join()
    other.close()
    assert removed[0].size == len(b"staged")


def _waiting_for_locks() -> int:
    with open("/proc/locks", encoding="ascii") as lines:
        return sum("->" in line for line in lines)
