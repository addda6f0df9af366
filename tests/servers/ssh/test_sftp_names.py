"""Folders, attributes, the quota as a file system, and OpenSSH's smaller extensions."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest
from tests.servers.running import NAME, House
from tests.servers.ssh.running_ssh import RunningSsh
from tests.servers.ssh.sftp_client import PUT, Failed, Sftp

from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import MAX_DATA_BYTES, MAX_PACKET_BYTES, Status, Type
from homeport.protocols.sftp.wire import Reader, string, text, u32, u64
from homeport.servers.ssh.sftp_names import EXTENSIONS

DATA = bytes(range(256)) * 40  # 10,240 bytes


def test_the_server_says_what_it_can(sftp: Sftp) -> None:
    assert sftp.extensions == dict(EXTENSIONS)


def test_folders_are_made_listed_and_removed(sftp: Sftp) -> None:
    sftp.ask(Type.MKDIR, text("/folder"), Attributes(mode=0o777).encoded())
    sftp.put("/folder/file", DATA)
    (line,) = [line for name, line, _ in sftp.names("/") if name == "folder"]
    assert line.startswith("drwx------ ")
    assert f" {NAME} " in line
    assert sorted(name for name, _, _ in sftp.names("/folder")) == [".", "..", "file"]
    with pytest.raises(Failed, match="the folder is not empty"):
        sftp.ask(Type.RMDIR, text("/folder"))
    sftp.ask(Type.REMOVE, text("/folder/file"))
    sftp.ask(Type.RMDIR, text("/folder"))
    with pytest.raises(Failed) as caught:
        sftp.names("/folder")
    assert caught.value.status is Status.NO_SUCH_FILE


def test_a_large_folder_is_listed_whole(sftp: Sftp, house: House) -> None:
    for number in range(700):
        (house.home() / f"{number:03}").touch()
    assert sftp.list() == [f"{number:03}" for number in range(700)]


@pytest.mark.parametrize("seconds", [0, 1_600_000_000, 2**32 + 5, -(2**40), 2**50])
def test_files_of_any_age_are_listed(sftp: Sftp, house: House, seconds: int) -> None:
    (house.home() / "old").touch()
    try:
        os.utime(house.home() / "old", (seconds, seconds))
    except OverflowError:
        pytest.skip("this disk cannot hold the time")
    (line,) = [line for name, line, _ in sftp.names("/") if name == "old"]
    assert line.endswith(" old")


def test_everything_belongs_to_the_account(sftp: Sftp, house: House) -> None:
    sftp.put("/file", b"x")
    number = house.accounts.get(NAME).id
    assert sftp.stat("/file").owner == (number, number)
    answer = sftp.extended("users-groups-by-id@openssh.com", string(u32(number) + u32(0)), string(u32(number)))
    users, groups = Reader(answer.bytes_()), Reader(answer.bytes_())
    assert (users.text(), users.text(), groups.text()) == (NAME, "", NAME)


@pytest.mark.parametrize(
    ("said", "shown"),
    [("", "/"), (".", "/"), ("a/../b", "/b"), ("/x/./y//", "/x/y"), ("~", "/~"), ("/no\udcff", "/no\udcff")],
)
def test_paths_are_made_real(sftp: Sftp, said: str, shown: str) -> None:
    assert sftp.path(Type.REALPATH, text(said)) == shown


@pytest.mark.parametrize(("said", "shown"), [("~", "/"), ("~/x", "/x"), (f"~{NAME}/x", "/x"), ("x", "/x")])
def test_homes_are_expanded(sftp: Sftp, said: str, shown: str) -> None:
    assert sftp.path(Type.EXTENDED, text("expand-path@openssh.com"), text(said)) == shown


def test_everybody_s_home_is_his_root_and_no_other_is_shown(sftp: Sftp) -> None:
    for name in ("", NAME):
        assert sftp.path(Type.EXTENDED, text("home-directory"), text(name)) == "/"
    with pytest.raises(Failed, match="other accounts' homes are not visible here"):
        sftp.extended("home-directory", text("root"))
    with pytest.raises(Failed, match="other accounts' homes are not visible here"):
        sftp.extended("expand-path@openssh.com", text("~root/x"))


def statvfs(sftp: Sftp) -> tuple[int, ...]:
    return struct.unpack(">11Q", sftp.extended("statvfs@openssh.com", text("/")).rest())


def test_the_quota_is_the_file_system(sftp: Sftp, house: House) -> None:
    sftp.put("/file", bytes(100_000))
    size, fragment, blocks, free, available, *_ = statvfs(sftp)
    assert (size, fragment) == (1024, 1024)
    assert blocks == 1_000_000 // 1024
    assert free == available == (1_000_000 - 100_000) // 1024
    house.accounts.update(NAME, max_files=10)
    assert statvfs(sftp)[5:8] == (10, 9, 9)
    handle = sftp.open("/file", 1)
    assert struct.unpack(">11Q", sftp.extended("fstatvfs@openssh.com", string(handle)).rest()) == statvfs(sftp)


def usage(sftp: Sftp) -> tuple[int, ...]:
    return struct.unpack(">3Q", sftp.extended("usage@homeport").rest())


def test_the_usage_is_told_to_the_byte(sftp: Sftp, house: House) -> None:
    sftp.put("/file", bytes(100_001))
    assert usage(sftp) == (899_999, 100_001, 1_000_000)
    house.accounts.update(NAME, quota_bytes=None)
    free, *rest = usage(sftp)
    assert free > 899_999
    assert rest == [100_001, 2**64 - 1]


def test_without_a_quota_it_is_the_disk(sftp: Sftp, house: House) -> None:
    house.accounts.update(NAME, quota_bytes=None)
    sftp.put("/file", bytes(100_000))
    _, _, blocks, free, *_ = statvfs(sftp)
    assert blocks - free == 98


def test_limits_are_told(sftp: Sftp) -> None:
    told = struct.unpack(">4Q", sftp.extended("limits@openssh.com").rest())
    assert told == (MAX_PACKET_BYTES, MAX_DATA_BYTES, MAX_DATA_BYTES, 256)


HASHES = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "sha1": hashlib.sha1,
    "md5": hashlib.md5,
    "MD5": hashlib.md5,
}


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize(("offset", "size"), [(0, 0), (100, 0), (100, 50), (100, 99_999)])
def test_digests_of_parts(sftp: Sftp, name: str, offset: int, size: int) -> None:
    sftp.put("/file", DATA)
    part = DATA[offset : offset + size] if size else DATA[offset:]
    handle = sftp.open("/file", 1)
    for ask, which in (("check-file-name", text("/file")), ("check-file", string(handle))):
        answer = sftp.extended(ask, which, text(f"crc99,{name}"), u64(offset), u64(size), u32(0))
        assert (answer.text(), answer.text()) == ("check-file", name)
        assert bytes(answer.rest()) == HASHES[name](part).digest()


def test_digests_of_blocks(sftp: Sftp) -> None:
    sftp.put("/file", DATA)
    answer = sftp.extended("check-file-name", text("/file"), text("md5"), u64(0), u64(0), u32(4096))
    assert (answer.text(), answer.text()) == ("check-file", "md5")
    wanted = b"".join(hashlib.md5(DATA[at : at + 4096]).digest() for at in range(0, len(DATA), 4096))
    assert bytes(answer.rest()) == wanted


@pytest.mark.parametrize(
    ("algorithms", "offset", "block", "why"),
    [
        ("crc99", 0, 0, "digests are made with sha256, sha512, sha1, md5"),
        ("md5", 0, 255, "blocks have at least 256 bytes"),
        ("md5", 20_000, 0, "cannot restart at byte 20000, only 10240 bytes are there"),
    ],
)
def test_digests_that_are_not_made(sftp: Sftp, algorithms: str, offset: int, block: int, why: str) -> None:
    sftp.put("/file", DATA)
    with pytest.raises(Failed, match=why):
        sftp.extended("check-file-name", text("/file"), text(algorithms), u64(offset), u64(0), u32(block))


def test_too_many_digests_at_once_are_refused(sftp: Sftp, house: House) -> None:
    with (house.home() / "sparse").open("wb") as file:
        file.truncate(2049 * 256)
    with pytest.raises(Failed, match="more than 2048 digests at once; take larger blocks"):
        sftp.extended("check-file-name", text("/sparse"), text("md5"), u64(0), u64(0), u32(256))


def test_md5_of_old(sftp: Sftp) -> None:
    sftp.put("/file", DATA)
    handle = sftp.open("/file", 1)
    for ask, which in (("md5-hash", text("/file")), ("md5-hash-handle", string(handle))):
        answer = sftp.extended(ask, which, u64(10), u64(20), string(b""))
        assert (answer.text(), bytes(answer.bytes_())) == ("md5-hash", hashlib.md5(DATA[10:30]).digest())


def test_what_is_being_written_has_no_digest_yet(sftp: Sftp) -> None:
    handle = sftp.open("/file", PUT)
    with pytest.raises(Failed, match="under way"):
        sftp.extended("check-file", string(handle), text("md5"), u64(0), u64(0), u32(0))


def test_attributes_of_handles_and_links(sftp: Sftp, house: House) -> None:
    sftp.put("/file", DATA)
    (house.home() / "link").symlink_to("file")
    handle = sftp.open("/link", 1)
    found = sftp.handle_stat(handle)
    assert (found.size, found.mode) == (len(DATA), 0o100600)
    folder = bytes(sftp.ask(Type.OPENDIR, text("/")).bytes_())
    mode = sftp.handle_stat(folder).mode
    assert mode is not None
    assert mode >> 12 == 0o04
    sftp.extended("lsetstat@openssh.com", text("/file"), Attributes(mode=0o640).encoded())
    assert sftp.stat("/file").mode == 0o100640


def test_who_may_not_look_learns_nothing(server: RunningSsh, house: House) -> None:
    from homeport.core.rights import Rights

    house.accounts.create("drop", "secret", rights=Rights.WRITE)
    with Sftp.of(server, "drop", "secret") as sftp:
        sftp.put("/file", DATA)
        for ask in (sftp.stat, sftp.list, sftp.get):
            with pytest.raises(Failed, match="this account has no right to") as caught:
                ask("/file")
            assert caught.value.status is Status.PERMISSION_DENIED
