"""Files that are replaced all the time, and used again: whoever looks sees one version of what he asked for, whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.house import House
from tests.contract.subject import Used

from homeport.core import blanks
from homeport.core.count import Count
from homeport.core.errors import Busy, HomeUnavailable, NotFound, StorageFailed, WouldBlock
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.stages import stage_name

PATHS = [VirtualPath((name,)) for name in "abcdef"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.built(tmp_path) as house:
        house.account("ann", quota_bytes=1_000_000)
        yield house
        house.prove_exact()


@pytest.fixture
def home(house: House) -> Iterator[Home]:
    with house.open_home("ann") as home:
        yield home


def content(path: VirtualPath, number: int) -> bytes:
    return f"{path} {number} ".encode() * (500 + number % 7 * 100)


def store(home: Home, path: VirtualPath, data: bytes) -> None:
    with home.begin_upload(path) as upload:
        upload.write(data)
        upload.commit()


def read(home: Home, path: VirtualPath, *, may_block: bool = True) -> bytes:
    with home.begin_download(path, may_block=may_block) as download:
        buffer = bytearray(download.remaining)
        while download.remaining:
            download.read_into(memoryview(buffer)[download.position :])
        download.finish()
    return bytes(buffer)


class Crowd:
    """Two who replace files all the time, and two who look at them, until a moment."""

    def __init__(self, seconds: float) -> None:
        self.wrong: list[object] = []
        self._ends_at = time.monotonic() + seconds
        self._sizes = {len(content(path, number)) for path in PATHS for number in range(5000)}

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self._ends_at and not self.wrong

    def write(self, home: Home, paths: list[VirtualPath]) -> None:
        number = 0
        while self.goes_on:
            number += 1
            for path in paths:
                store(home, path, content(path, number))

    def look(self, home: Home, paths: list[VirtualPath]) -> None:
        while self.goes_on:
            for path in paths:
                data = read(home, path)
                if data != content(path, int(data.split()[1])):
                    self.wrong.append((path, data[:100]))
                size = home.stat(path).size
                if size not in self._sizes:
                    self.wrong.append((path, size))


def test_readers_see_one_version_of_their_file(house: House, home: Home) -> None:
    for path in PATHS:
        store(home, path, content(path, 0))
    crowd = Crowd(2)
    parts = [(crowd.write, PATHS[:3]), (crowd.write, PATHS[3:]), (crowd.look, PATHS), (crowd.look, PATHS)]
    homes = [house.open_home("ann") for _ in parts]
    threads = [
        threading.Thread(target=deed, args=(own, paths)) for own, (deed, paths) in zip(homes, parts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in homes:
        own.close()
    assert crowd.wrong == []
    assert house.usage("ann") == house.recount("ann")


def test_a_reader_keeps_its_version_when_the_file_is_replaced(home: Home) -> None:
    path = PATHS[0]
    store(home, path, b"old" * 1000)
    with home.begin_download(path) as download:
        for number in range(5):
            store(home, path, content(path, number))
        buffer = bytearray(3000)
        assert download.read_into(buffer) == 3000
        assert buffer == b"old" * 1000
        download.finish()


def test_an_old_file_is_used_again_for_the_next_upload(house: House, home: Home) -> None:
    one, other = PATHS[:2]
    store(home, one, b"1")
    first = home.stat(one).inode
    store(home, one, b"2")
    assert house.usage("ann") == house.recount("ann") == Used(1, 1)
    store(home, other, b"other")
    assert (home.stat(other).inode, read(home, other)) == (first, b"other")
    assert home.digest(other) == hashlib.sha256(b"other").hexdigest()


def test_a_name_that_is_no_blank_any_more_is_left_alone(house: House, home: Home) -> None:
    one, other = PATHS[:2]
    for data in (b"1", b"2"):
        store(home, one, data)
    with home.begin_upload(one) as upload:
        upload.write(b"kept")
    store(home, other, b"other")
    assert home.partial_size(one) == 4
    assert house.usage("ann") == house.recount("ann") == Used(1 + 4 + 5, 3)


def test_few_blanks_are_kept(house: House, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.core.stages._BLANKS_KEPT", 2)
    for data in (b"1", b"2"):
        for path in PATHS:
            store(home, path, data)
        for path in PATHS[:2]:
            store(home, path, data)
    with home.begin_upload(PATHS[0]), home.begin_upload(PATHS[1]):
        pass
    for path in PATHS:
        store(home, path, b"3")
    (stages,) = (house.root / "stage").iterdir()
    assert len(list(stages.iterdir())) <= 3
    store(home, VirtualPath(("new",)), b"3")


def test_what_a_dead_process_left_in_a_blank_is_nobodys(house: House, home: Home) -> None:
    store(home, PATHS[0], b"1")
    (stages,) = (house.root / "stage").iterdir()
    left = stages / stage_name(PATHS[0])
    left.write_bytes(b"left behind")
    left.chmod(blanks.BLANK_MODE)
    assert house.usage("ann") == house.recount("ann") == Used(1, 1)
    assert home.partial_size(PATHS[0]) == 0
    store(home, PATHS[0], b"2")
    assert read(home, PATHS[0]) == b"2"


@pytest.mark.parametrize("call", ["ftruncate", "fchmod"])
def test_a_blank_that_cannot_become_a_stage_costs_nothing(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for data in (b"long" * 100, b"2"):
        store(home, PATHS[0], data)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    for data in (b"new", b""):
        with monkeypatch.context() as patch, home.begin_upload(PATHS[1]) as upload:
            patch.setattr(os, call, fail)
            with pytest.raises(StorageFailed):
                upload.write(data) if data else upload.commit()
            assert (upload.size, upload.moved) == (0, 0)
        assert house.usage("ann") == house.recount("ann") == Used(1, 1)
        for data in (b"long" * 100, b"2"):
            store(home, PATHS[0], data)


def test_of_what_a_blank_held_nothing_is_left(house: House, home: Home) -> None:
    for path, data in ((PATHS[0], b"a" * 3000), (PATHS[0], b"b" * 2000), (PATHS[1], b"short"), (PATHS[0], b"")):
        store(home, path, data)
        assert read(home, path) == data
        assert house.usage("ann") == house.recount("ann")
    store(home, PATHS[0], b"b" * 2000)
    for number in range(3):
        store(home, PATHS[2], b"c" * 3000)
        upload = home.begin_upload(PATHS[3])
        assert home.partial_size(PATHS[3]) == 0
        assert house.usage("ann").files == house.recount("ann").files + 1  # its room is held
        for size in (700, 1400)[: number + 1]:
            upload.write(b"d" * 700)
            assert home.partial_size(PATHS[3]) == size
            assert house.usage("ann") == house.recount("ann")
        upload.abort("enough")
        size = upload.size
        with home.begin_upload(PATHS[3], offset=size) as more:
            more.write(b"e" * 10)
            more.commit()
        assert read(home, PATHS[3]) == b"d" * size + b"e" * 10
        home.remove_file(PATHS[3])


def test_a_stage_goes_on_while_blanks_wait(house: House, home: Home) -> None:
    for data in (b"1", b"2"):
        store(home, PATHS[0], data)
    with home.begin_upload(PATHS[1]) as upload:
        upload.write(b"half")
    store(home, PATHS[0], b"3")
    with home.begin_upload(PATHS[1], offset=4) as upload:
        upload.write(b" whole")
        upload.commit()
    store(home, PATHS[2], b"4")
    assert [read(home, path) for path in PATHS[:3]] == [b"3", b"half whole", b"4"]


def test_what_another_process_made_of_a_blank_is_its_own(house: House, home: Home) -> None:
    for data in (b"1", b"2"):
        store(home, PATHS[0], data)
    (stages,) = (house.root / "stage").iterdir()
    taken = stages / stage_name(PATHS[0])
    taken.chmod(0o600)
    taken.write_bytes(b"its stage")
    store(home, PATHS[1], b"other")
    assert taken.read_bytes() == b"its stage"
    taken.unlink()


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_recount_while_an_upload_is_under_way_finds_no_drift(house: House, home: Home, pieces: int) -> None:
    for data in (b"long" * 1000, b"0123456789" * 100):
        store(home, PATHS[0], data)
    account = house.accounts.get("ann")
    with home.begin_upload(PATHS[1]) as upload:
        for _ in range(pieces):
            upload.write(b"piece")
        recount = house.services.ledger.recount(account.id, lambda: house.count("ann"))
        assert recount.drift == Count()
        upload.commit()
    assert house.usage("ann") == house.recount("ann") == Used(1000 + 5 * pieces, 2)


@pytest.mark.parametrize("offset", [0, 100])
def test_a_file_that_is_continued_in_a_blank_is_whole(house: House, home: Home, offset: int) -> None:
    for data in (b"long" * 1000, b"0123456789" * 100):
        store(home, PATHS[0], data)
    store(home, PATHS[1], b"x" * 200)
    patched = home.begin_patch(PATHS[1])
    patched.write_at(b"end", offset + 50)
    patched.commit()
    assert read(home, PATHS[1]) == bytes(offset + 50) + b"end"
    store(home, PATHS[1], b"x" * 3000)
    with home.begin_upload(PATHS[0], offset=offset or None, append=not offset) as upload:
        upload.write(b"more")
        assert house.usage("ann") == house.recount("ann")
        upload.commit()
    assert read(home, PATHS[0]) == (b"0123456789" * 100)[: offset or 1000] + b"more"


def test_a_folder_of_stages_that_went_away_is_made_again(house: House, home: Home) -> None:
    for data in (b"1", b"2"):
        store(home, PATHS[0], data)
    (stages,) = (house.root / "stage").iterdir()
    for left in stages.iterdir():
        left.unlink()
    stages.rmdir()
    store(home, PATHS[1], b"2")
    assert read(home, PATHS[1]) == b"2"


def test_few_folders_of_stages_are_held(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.core.stages._FOLDERS_HELD", 1)
    for name in ("bob", "cid", "bob"):
        if name not in {account.name for account in house.accounts.all()}:
            house.account(name)
        with house.open_home(name) as own:
            store(own, PATHS[0], b"1")
    assert len(house.services.stages._folders) == 1


def test_a_file_that_is_being_given_up_is_looked_for_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = PATHS[0]
    store(home, path, b"1")
    real, left = os.open, [3]

    def leased(name: object, *args: object, **kwargs: object) -> int:
        if str(name).startswith("/proc/") and left[0]:
            left[0] -= 1
            raise BlockingIOError
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", leased)
    assert read(home, path) == b"1"
    left[0] = 1000
    with pytest.raises(Busy):
        home.begin_download(path)


def test_a_stage_that_is_being_given_up_is_busy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, PATHS[0], b"1")
    real = os.open

    def leased(name: object, *args: object, **kwargs: object) -> int:
        if name == stage_name(PATHS[0]):
            raise BlockingIOError
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", leased)
    with pytest.raises(Busy):
        home.begin_upload(PATHS[0])


@pytest.mark.parametrize("may_block", [True, False])
def test_a_file_replaced_while_it_is_opened_is_opened_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, may_block: bool
) -> None:
    path = PATHS[0]
    store(home, path, b"1")
    real, versions = os.open, iter((b"2", b"3"))

    def replaced(name: object, *args: object, **kwargs: object) -> int:
        fd = real(name, *args, **kwargs)  # type: ignore[arg-type]
        version = next(versions, None) if str(name).startswith("/proc/") else None
        if version:
            store(home, path, version)
        return fd

    monkeypatch.setattr(os, "open", replaced)
    assert read(home, path, may_block=may_block) == b"3"


def test_a_file_removed_while_it_is_opened_is_not_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = PATHS[0]
    store(home, path, b"1")
    real = os.open

    def removed(name: object, *args: object, **kwargs: object) -> int:
        fd = real(name, *args, **kwargs)  # type: ignore[arg-type]
        if str(name).startswith("/proc/"):
            home.remove_file(path)
        return fd

    monkeypatch.setattr(os, "open", removed)
    with pytest.raises(NotFound):
        home.begin_download(path)


def test_a_file_replaced_while_it_is_looked_at_is_looked_at_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = PATHS[0]
    store(home, path, b"1")
    versions = [b"22", b"333"]
    real = home._jail._look_once

    def replaced(*args: object) -> os.stat_result:
        found = real(*args)  # type: ignore[arg-type]
        if versions:
            version, versions[:] = versions[0], versions[1:]
            monkeypatch.setattr(home._jail, "_look_once", real)
            store(home, path, version)
            monkeypatch.setattr(home._jail, "_look_once", replaced)
        return found

    monkeypatch.setattr(home._jail, "_look_once", replaced)
    assert home.stat(path).size == 3


def test_an_old_file_is_looked_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, PATHS[0], b"1")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    looks: list[object] = []
    real = home._jail._lookup.open

    def counted(*args: object) -> int:
        looks.append(args)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(home._jail._lookup, "open", counted)
    assert home.stat(PATHS[0]).size == 1
    assert read(home, PATHS[0]) == b"1"
    assert len(looks) == 2


# Without waiting


def test_a_file_in_memory_is_opened_and_read_at_once(home: Home) -> None:
    store(home, PATHS[0], b"content")
    home.stat(PATHS[0])
    with home.begin_download(PATHS[0], may_block=False) as download:
        buffer = bytearray(100)
        try:
            count = download.read_now(buffer)
        except WouldBlock:  # this file system cannot tell
            count = download.read_into(buffer)
        assert buffer[:count] == b"content"
        assert download.read_now(buffer) == 0
        download.finish()


@pytest.mark.parametrize(
    ("number", "kind"), [(11, WouldBlock), (95, WouldBlock), (5, StorageFailed), (116, HomeUnavailable)]
)
def test_a_read_that_would_wait_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    store(home, PATHS[0], b"content")

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with home.begin_download(PATHS[0]) as download:
        monkeypatch.setattr(os, "preadv", fail)
        with pytest.raises(kind):
            download.read_now(bytearray(10))
        assert download.position == 0
        monkeypatch.undo()
        download.read_into(bytearray(10))
        download.finish()


def test_what_is_not_there_is_not_there_at_once(home: Home) -> None:
    with pytest.raises((NotFound, WouldBlock)):
        home.begin_download(VirtualPath(("nothing",)), may_block=False)
    with pytest.raises(WouldBlock):
        home.begin_download(VirtualPath(("n\N{LATIN SMALL LETTER E WITH ACUTE}",)), may_block=False)


@pytest.mark.parametrize(("number", "may_block"), [(61, True), (61, False), (95, True), (95, False)])
def test_a_download_without_a_kept_digest_asks_the_database_only_if_it_may_wait(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: int, may_block: bool
) -> None:
    store(home, PATHS[0], b"content")
    asked: list[os.stat_result] = []

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getxattr", fail)
    monkeypatch.setattr(home._services.digests, "_load_row", asked.append)
    for _ in range(2):
        with home.begin_download(PATHS[0], may_block=may_block) as download:
            assert download.sha256 is None
    assert bool(asked) is (may_block and number == 95)


def test_what_is_replaced_all_the_time_is_told_as_it_was_last(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in PATHS[:2]:
        store(home, path, b"1")
    real, turn = home._jail._look_once, iter(range(1000))

    def alternating(_: object, flags: int) -> os.stat_result:
        return real(PATHS[next(turn) % 2], flags)

    monkeypatch.setattr(home._jail, "_look_once", alternating)
    assert home.stat(PATHS[0]).size == 1


def test_a_home_that_cannot_be_locked_is_told_and_not_left_locked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, PATHS[0], b"1")

    def fail(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("homeport.core.lookup.take_exclusive", fail)
        with pytest.raises(StorageFailed):
            home.remove_file(PATHS[0])
    with monkeypatch.context() as patch:
        patch.setattr("homeport.core.lookup.take_exclusive", lambda _: False)
        home.remove_file(PATHS[0])


@pytest.mark.parametrize(("name", "kind"), [("plain", NotFound), ("\N{LATIN SMALL LETTER E WITH ACUTE}", WouldBlock)])
def test_another_spelling_is_not_looked_for_at_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception]
) -> None:
    def missing(*_: object) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(home._jail._lookup._resolver, "open_cached", missing)
    with pytest.raises(kind):
        home.begin_download(VirtualPath((name,)), may_block=False)


def test_without_proc_no_mode_is_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store(home, PATHS[0], b"1")

    def missing(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "chmod", missing)
    with pytest.raises(StorageFailed, match="no /proc"):
        home.set_mode(PATHS[0], 0o640)


def test_where_blanks_cannot_be_renamed_new_files_are_made(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (b"1", b"2"):
        store(home, PATHS[0], data)

    def fail(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("homeport.core.stages.rename_to_new", fail)
    store(home, PATHS[1], b"3")
    assert read(home, PATHS[1]) == b"3"


def test_a_blank_that_another_holds_is_left_to_it(house: House, home: Home) -> None:
    for content_ in (b"1", b"2"):
        store(home, PATHS[0], content_)
    (stages,) = (house.root / "stage").iterdir()
    blank = stages / stage_name(PATHS[0])
    with blank.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store(home, PATHS[1], b"3")
    assert read(home, PATHS[1]) == b"3"
    assert blanks.is_blank(blank.lstat().st_mode)


def test_blanks_beyond_the_latest_are_removed(house: House, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.core.stages._BLANKS_KEPT", 2)
    for path in PATHS:
        store(home, path, b"1")
    uploads = [home.begin_upload(path) for path in PATHS]
    for upload in uploads:
        upload.write(b"2")
    for upload in uploads:
        upload.commit()
    (stages,) = (house.root / "stage").iterdir()
    assert len(list(stages.iterdir())) == 2


def test_a_link_that_goes_while_it_is_written_through_is_written_over(
    house: House, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = house.home("ann") / "a"
    link.symlink_to("b")
    real = os.readlink

    def gone(*args: object, **kwargs: object) -> object:
        link.unlink(missing_ok=True)
        return real(*args, **kwargs)  # type: ignore[type-var, arg-type]

    with home.begin_upload(PATHS[0]) as upload:
        upload.write(b"1")
        monkeypatch.setattr(os, "readlink", gone)
        upload.commit()
    assert read(home, PATHS[0]) == b"1"


def test_a_stage_that_comes_while_one_is_made_is_looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    real, first = os.open, [True]

    def late(name: object, flags: int, *args: object, **kwargs: object) -> int:
        if name == stage_name(PATHS[0]) and flags & os.O_CREAT and first:
            first.clear()
            raise FileExistsError
        return real(name, flags, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", late)
    store(home, PATHS[0], b"1")
    assert (read(home, PATHS[0]), first) == (b"1", [])
