"""Files through SFTP as POSIX programs use them: random writes, several handles, cuts, and what is seen meanwhile."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from tests.servers.running import NAME, PASSWORD, House
from tests.servers.ssh.running_ssh import RunningSsh
from tests.servers.ssh.sftp_client import (
    APPEND,
    CREATE,
    EXCLUSIVE,
    PUT,
    READ,
    TRUNCATE,
    WRITE,
    Failed,
    Sftp,
)

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Status, Type
from homeport.protocols.sftp.wire import string, text, u32, u64

DATA = bytes(range(256)) * 400  # 102,400 bytes
KEPT = WRITE | CREATE


def on_disk(house: House, name: str) -> Path:
    return house.home() / name


def used(house: House) -> tuple[int, int]:
    usage = house.services.ledger.usage(house.accounts.get(NAME).id)
    return usage.used_bytes, usage.used_files


@pytest.mark.parametrize("size", [0, 1, 32767, 32768, 32769, 102_400])
def test_a_file_comes_back(sftp: Sftp, size: int) -> None:
    sftp.put("/file", DATA[:size])
    assert sftp.get("/file") == DATA[:size]
    assert sftp.stat("/file").size == size


def test_what_is_being_written_is_seen_by_its_own_session_alone(sftp: Sftp, server: RunningSsh) -> None:
    handle = sftp.open("/new", PUT)
    sftp.write_at(handle, 0, b"abc")
    assert sftp.stat("/new").size == sftp.stat("/new", Type.LSTAT).size == sftp.handle_stat(handle).size == 3
    with Sftp.of(server) as other, pytest.raises(Failed, match=r"^/new: no such file or folder$"):
        other.stat("/new", Type.LSTAT)
    sftp.close(handle)
    with Sftp.of(server) as other:
        assert other.get("/new") == b"abc"


def test_the_old_file_stays_until_the_handle_is_closed(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"old")
    handle = sftp.open("/file", PUT)
    sftp.write_at(handle, 0, b"newer")
    assert on_disk(house, "file").read_bytes() == b"old"
    sftp.close(handle)
    assert on_disk(house, "file").read_bytes() == b"newer"
    assert used(house) == (5, 1)


def test_writes_go_anywhere_and_the_rest_stays(sftp: Sftp, house: House) -> None:
    sftp.put("/file", DATA)
    handle = sftp.open("/file", WRITE)
    sftp.write_at(handle, 50_000, b"middle")
    sftp.write_at(handle, len(DATA), b"end")
    sftp.close(handle)
    wanted = DATA[:50_000] + b"middle" + DATA[50_006:] + b"end"
    assert on_disk(house, "file").read_bytes() == wanted
    assert used(house) == (len(wanted), 1)
    answer = sftp.extended("check-file-name", text("/file"), text("sha256"), u64(0), u64(0), u32(0))
    assert (answer.text(), answer.text(), bytes(answer.rest())) == (
        "check-file",
        "sha256",
        hashlib.sha256(wanted).digest(),
    )


def test_pieces_out_of_order_are_put_together(sftp: Sftp, house: House) -> None:
    handle = sftp.open("/file", PUT)
    numbers = [sftp.send(Type.WRITE, string(handle), u64(at), string(DATA[at : at + 1024])) for at in
               sorted(range(0, len(DATA), 1024), key=lambda at: (at // 8192, -at))]  # fmt: skip
    for number in numbers:
        sftp.answer(number)
    sftp.close(handle)
    assert on_disk(house, "file").read_bytes() == DATA


def test_a_file_is_read_through_the_handle_that_writes_it(sftp: Sftp) -> None:
    handle = sftp.open("/file", PUT | READ)
    sftp.write_at(handle, 0, DATA)
    assert sftp.read_at(handle, 100, 50) == DATA[100:150]
    sftp.write_at(handle, 110, b"new")
    assert sftp.read_at(handle, 108, 7) == DATA[108:110] + b"new" + DATA[113:115]
    with pytest.raises(Failed) as caught:
        sftp.read_at(handle, len(DATA), 1)
    assert caught.value.status is Status.EOF
    sftp.close(handle)


def test_a_file_that_is_there_is_read_through_a_handle_that_may_write(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"content")
    before = on_disk(house, "file").stat()
    handle = sftp.open("/file", READ | WRITE)
    assert sftp.read_at(handle, 0, 100) == b"content"
    sftp.close(handle)
    after = on_disk(house, "file").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_handles_of_one_session_share_the_file(sftp: Sftp, house: House) -> None:
    one, two = sftp.open("/file", PUT), sftp.open("/file", KEPT)
    reading = sftp.open("/file", READ)
    sftp.write_at(one, 0, b"one")
    sftp.write_at(two, 3, b"two")
    assert sftp.read_at(reading, 0, 10) == b"onetwo"
    sftp.close(one)
    assert not on_disk(house, "file").exists()
    sftp.close(two)
    assert on_disk(house, "file").read_bytes() == b"onetwo"
    assert sftp.read_at(reading, 0, 10) == b"onetwo"
    sftp.close(reading)


def test_another_session_is_told_that_the_file_is_being_written(sftp: Sftp, server: RunningSsh) -> None:
    handle = sftp.open("/file", PUT)
    with Sftp.of(server) as other, pytest.raises(Failed, match="another upload of this file is under way"):
        other.open("/file", PUT)
    sftp.close(handle)


def test_appends_go_to_the_end_whatever_offset_they_say(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"begin")
    handle = sftp.open("/file", WRITE | APPEND)
    sftp.write_at(handle, 0, b", middle")
    sftp.write_at(handle, 0, b", end")
    sftp.close(handle)
    assert on_disk(house, "file").read_bytes() == b"begin, middle, end"


@pytest.mark.parametrize("size", [0, 10, 102_400, 200_000])
@pytest.mark.parametrize("way", ["path", "handle", "open path"])
def test_files_are_cut_and_stretched(sftp: Sftp, house: House, size: int, way: str) -> None:
    sftp.put("/file", DATA)
    wanted = Attributes(size=size)
    if way == "path":
        sftp.set_stat("/file", wanted)
    else:
        handle = sftp.open("/file", WRITE)
        sftp.handle_set_stat(handle, wanted) if way == "handle" else sftp.set_stat("/file", wanted)
        assert sftp.handle_stat(handle).size == size
        sftp.close(handle)
    assert on_disk(house, "file").read_bytes() == DATA[:size].ljust(size, b"\0")
    assert used(house) == (size, 1)


def test_stretching_beyond_the_quota_is_refused(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"x")
    for size in (1_000_001, 2**63 - 1, 2**64 - 1):
        with pytest.raises(Failed):
            sftp.set_stat("/file", Attributes(size=size))
    assert on_disk(house, "file").read_bytes() == b"x"
    assert used(house) == (1, 1)


def test_modes_and_times_said_while_a_file_is_written_are_its_own_in_the_end(sftp: Sftp, house: House) -> None:
    handle = sftp.open("/file", PUT)
    sftp.handle_set_stat(handle, Attributes(mode=0o106755, times=(5, 1_600_000_000)))
    sftp.write_at(handle, 0, b"x")
    sftp.close(handle)
    found = on_disk(house, "file").stat()
    assert stat.S_IMODE(found.st_mode) == 0o755
    assert found.st_mtime == 1_600_000_000


def test_modes_and_times_of_what_is_there(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"x")
    sftp.set_stat("/file", Attributes(mode=0o6777, times=(5, 1_600_000_000)))
    found = on_disk(house, "file").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o777, 1_600_000_000)
    reading = sftp.open("/file", READ)
    sftp.handle_set_stat(reading, Attributes(mode=0o640))
    sftp.close(reading)
    writing = sftp.open("/file", WRITE)
    sftp.handle_set_stat(writing, Attributes(times=(5, 1_500_000_000)))
    sftp.close(writing)
    found = on_disk(house, "file").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o640, 1_500_000_000)


def test_owners_stay(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"x")
    own = sftp.stat("/file").owner
    sftp.set_stat("/file", Attributes(owner=own, mode=0o640))
    with pytest.raises(Failed, match="owners cannot be changed") as caught:
        sftp.set_stat("/file", Attributes(owner=(0, 0), mode=0o777))
    assert caught.value.status is Status.PERMISSION_DENIED
    assert stat.S_IMODE(on_disk(house, "file").stat().st_mode) == 0o640


def test_exclusive_means_new(sftp: Sftp) -> None:
    new = WRITE | CREATE | EXCLUSIVE
    handle = sftp.open("/file", new)
    with pytest.raises(Failed, match=r"^/file: exists already$"):
        sftp.open("/file", new)
    sftp.close(handle)
    with pytest.raises(Failed, match=r"^/file: exists already$"):
        sftp.open("/file", new)


@pytest.mark.parametrize("flags", [READ, WRITE, WRITE | TRUNCATE, READ | WRITE, WRITE | APPEND])
def test_what_is_not_there_is_not_made_unless_asked_for(sftp: Sftp, flags: int) -> None:
    with pytest.raises(Failed, match=r"^/file: no such file or folder$") as caught:
        sftp.open("/file", flags)
    assert caught.value.status is Status.NO_SUCH_FILE


def test_a_folder_or_nothing_is_opened_by_nobody(sftp: Sftp) -> None:
    with pytest.raises(Failed, match="open it for reading or for writing"):
        sftp.open("/file", 0)
    for flags in (READ, WRITE, PUT):
        with pytest.raises(Failed, match="is a folder"):
            sftp.open("/", flags)


def test_a_lost_connection_keeps_what_came_and_it_is_continued(server: RunningSsh, house: House) -> None:
    with Sftp.of(server) as sftp:
        handle = sftp.open("/file", PUT)
        sftp.write_at(handle, 0, DATA[:60_000])
    with Sftp.of(server) as again:
        size = again.stat("/file").size
        assert size == 60_000
        with pytest.raises(Failed):
            again.stat("/file", Type.LSTAT)
        handle = again.open("/file", WRITE | CREATE | APPEND)
        again.write_at(handle, size, DATA[size:])
        again.close(handle)
        assert again.get("/file") == DATA
    assert used(house) == (len(DATA), 1)


def test_it_is_continued_without_append_as_well(server: RunningSsh) -> None:
    with Sftp.of(server) as sftp:
        sftp.write_at(sftp.open("/file", PUT), 0, DATA[:60_000])
    with Sftp.of(server) as again:
        handle = again.open("/file", KEPT)
        again.write_at(handle, 60_000, DATA[60_000:])
        again.close(handle)
        assert again.get("/file") == DATA


def write_on(sftp: Sftp, handle: bytes) -> None:
    for at in range(3, 1_200_000, 100_000):
        sftp.write_at(handle, at, b"x" * 100_000)


def test_a_write_that_was_refused_is_remembered_at_the_end(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"old")
    handle = sftp.open("/file", PUT)
    sftp.write_at(handle, 0, b"new")
    with pytest.raises(Failed, match="quota exceeded"):
        write_on(sftp, handle)
    with pytest.raises(Failed, match="quota exceeded"):
        sftp.close(handle)
    assert on_disk(house, "file").read_bytes() == b"old"
    with pytest.raises(Failed, match="no file or folder is open under this handle"):
        sftp.close(handle)
    assert used(house)[0] <= 1_000_000


def test_what_is_removed_while_it_is_written_does_not_appear(sftp: Sftp, house: House) -> None:
    sftp.put("/old", b"x")
    for path in ("/new", "/old"):
        handle = sftp.open(path, PUT)
        sftp.write_at(handle, 0, b"data")
        sftp.ask(Type.REMOVE, text(path))
        sftp.close(handle)
    assert sftp.list() == []
    assert used(house) == (0, 0)


def test_a_handle_of_what_was_removed_means_no_other_file(sftp: Sftp, house: House) -> None:
    handle = sftp.open("/file", PUT | READ)
    sftp.ask(Type.REMOVE, text("/file"))
    sftp.put("/file", b"another")
    for kind, fields in (
        (Type.WRITE, (u64(0), string(b"data"))),
        (Type.READ, (u64(0), u32(10))),
        (Type.FSTAT, ()),
        (Type.FSETSTAT, (Attributes(size=0).encoded(),)),
    ):
        with pytest.raises(Failed, match=r"^/file: no such file or folder$") as caught:
            sftp.ask(kind, string(handle), *fields)
        assert caught.value.status is Status.NO_SUCH_FILE
    with pytest.raises(Failed, match=r"^/file: no such file or folder$"):
        sftp.extended("fsync@openssh.com", string(handle))
    sftp.close(handle)
    assert sftp.get("/file") == b"another"


def test_the_way_to_what_is_being_written_stays(sftp: Sftp, house: House) -> None:
    sftp.ask(Type.MKDIR, text("/folder"), Attributes().encoded())
    sftp.ask(Type.MKDIR, text("/folder/inner"), Attributes().encoded())
    handle = sftp.open("/folder/inner/file", PUT)
    sftp.write_at(handle, 0, b"data")
    with pytest.raises(Failed, match=r"^/folder/inner/file: another upload of this file is under way"):
        sftp.ask(Type.RENAME, text("/folder"), text("/other"))
    with pytest.raises(Failed, match=r"^/folder/inner: "):
        sftp.ask(Type.RMDIR, text("/folder/inner"))
    sftp.close(handle)
    sftp.ask(Type.RENAME, text("/folder"), text("/other"))
    assert sftp.get("/other/inner/file") == b"data"


def test_what_is_being_written_is_not_renamed(sftp: Sftp) -> None:
    handle = sftp.open("/file", PUT)
    with pytest.raises(Failed, match="under way"):
        sftp.ask(Type.RENAME, text("/file"), text("/other"))
    sftp.close(handle)


def test_rename_replaces_nothing_and_posix_rename_does(sftp: Sftp, house: House) -> None:
    sftp.put("/one", b"one")
    sftp.put("/two", b"two!")
    with pytest.raises(Failed, match=r"^/two: exists already$") as caught:
        sftp.ask(Type.RENAME, text("/one"), text("/two"))
    assert caught.value.status is Status.FAILURE
    sftp.extended("posix-rename@openssh.com", text("/one"), text("/two"))
    assert sftp.list() == ["two"]
    assert used(house) == (3, 1)


def test_data_is_copied_within_the_server(sftp: Sftp, house: House) -> None:
    sftp.put("/file", DATA)
    old, new = sftp.open("/file", READ), sftp.open("/copy", PUT)
    sftp.extended("copy-data", string(old), u64(100), u64(0), string(new), u64(0))
    sftp.extended("copy-data", string(old), u64(0), u64(50), string(new), u64(10))
    for wrong in ((new, old), (old, old)):
        with pytest.raises(Failed, match="open one file for reading and the other for writing"):
            sftp.extended("copy-data", string(wrong[0]), u64(0), u64(0), string(wrong[1]), u64(0))
    sftp.close(new)
    sftp.close(old)
    wanted = bytearray(DATA[100:])
    wanted[10:60] = DATA[:50]
    assert on_disk(house, "copy").read_bytes() == wanted


def test_a_file_is_not_copied_onto_itself_without_end(sftp: Sftp) -> None:
    handle = sftp.open("/file", PUT | READ)
    sftp.write_at(handle, 0, b"x")
    with pytest.raises(Failed, match="it cannot be copied onto itself"):
        sftp.extended("copy-data", string(handle), u64(0), u64(0), string(handle), u64(1))
    sftp.close(handle)


def test_what_was_written_is_on_the_disk_when_that_is_asked_for(sftp: Sftp) -> None:
    handle = sftp.open("/file", PUT)
    sftp.write_at(handle, 0, b"x")
    sftp.extended("fsync@openssh.com", string(handle))
    sftp.close(handle)
    sftp.extended("fsync@openssh.com", string(reading := sftp.open("/file", READ)))
    sftp.close(reading)


def test_a_second_connection_reads_one_version(sftp: Sftp, server: RunningSsh) -> None:
    sftp.put("/file", DATA)
    reading = sftp.open("/file", READ)
    assert sftp.read_at(reading, 0, 10) == DATA[:10]
    with Sftp.of(server, NAME, PASSWORD) as other:
        other.put("/file", b"replaced")
    assert sftp.read_at(reading, 10, 100_000)[:100] == DATA[10:110]
    sftp.close(reading)
