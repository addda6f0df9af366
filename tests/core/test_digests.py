from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.core.digests import ALGORITHMS, ATTRIBUTE, BLOCK_BYTES, DigestStore, digest_of, update_from
from homeport.core.errors import StorageFailed
from homeport.core.state import Database

HEX = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"123456789")
    yield fd
    os.close(fd)


@pytest.fixture
def store(database: Database) -> DigestStore:
    return DigestStore(database)


@pytest.fixture(params=["attributes", "none", "full"])
def attributes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems: with attributes, without any, and without room for another."""
    kind: str = request.param
    number = {"attributes": 0, "none": errno.EOPNOTSUPP, "full": errno.ENOSPC}[kind]

    def fail(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    if number:
        monkeypatch.setattr(os, "setxattr", fail)
    if kind == "none":
        monkeypatch.setattr(os, "getxattr", fail)
    return kind


# Of "123456789"; the sums from RFC 3720 appendix B.4's and NIST's usual check string.
KNOWN = {
    "CRC32": "cbf43926",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "SHA-1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA-256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "SHA-512": "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_gives_its_known_answer(fd: int, algorithm: str) -> None:
    assert digest_of(fd, algorithm) == KNOWN[algorithm]
    hasher = ALGORITHMS[algorithm]()
    for byte in b"123456789":
        hasher.update(bytes([byte]))
    assert hasher.hexdigest() == KNOWN[algorithm]


def test_every_known_answer_is_asked_for() -> None:
    assert next(iter(ALGORITHMS)) == "SHA-256"
    assert set(ALGORITHMS) == set(KNOWN)


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [(0, None, b"123456789"), (0, 0, b""), (2, 5, b"345"), (5, None, b"6789"), (5, 100, b"6789"), (100, None, b"")],
)
def test_a_part_is_digested_and_the_position_stays(fd: int, start: int, end: int | None, part: bytes) -> None:
    os.lseek(fd, 3, os.SEEK_SET)
    assert digest_of(fd, "SHA-256", start, end) == hashlib.sha256(part).hexdigest()
    assert os.lseek(fd, 0, os.SEEK_CUR) == 3


def test_a_file_longer_than_a_block_is_digested_whole(fd: int) -> None:
    content = bytes(range(256)) * (BLOCK_BYTES // 256) * 2 + b"rest"
    os.pwrite(fd, content, 0)
    assert digest_of(fd) == hashlib.sha256(content).hexdigest()
    assert update_from(hashlib.sha256(), fd, 1, len(content) - 1) == len(content) - 2


def test_a_disk_that_cannot_be_read_is_told(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(StorageFailed):
        digest_of(fd)


def test_a_kept_digest_is_found_until_the_file_changes(store: DigestStore, fd: int, attributes: str) -> None:
    assert store.load(fd, os.fstat(fd)) is None
    store.store(fd, HEX)
    assert store.load(fd, os.fstat(fd)) == HEX
    store.store(fd, OTHER)
    assert store.load(fd, os.fstat(fd)) == OTHER
    os.utime(fd, ns=(0, 5))
    assert store.load(fd, os.fstat(fd)) is None
    store.store(fd, HEX)
    os.pwrite(fd, b"more", 9)
    os.utime(fd, ns=(0, 5))
    assert store.load(fd, os.fstat(fd)) is None


def test_a_new_time_keeps_the_digest_that_was_right_before(store: DigestStore, fd: int, attributes: str) -> None:
    store.store(fd, HEX)
    before = os.fstat(fd)
    os.utime(fd, ns=(0, -5_000_000_000))
    store.restamp(fd, before)
    assert store.load(fd, os.fstat(fd)) == HEX
    stale = os.fstat(fd)
    os.pwrite(fd, b"more", 9)
    store.restamp(fd, os.fstat(fd))
    assert store.load(fd, os.fstat(fd)) is None
    assert store.load(fd, stale) == HEX


def test_the_attribute_moves_with_the_file(store: DigestStore, fd: int, tmp_path: Path) -> None:
    store.store(fd, HEX)
    os.rename(tmp_path / "file", tmp_path / "moved")
    other = os.open(tmp_path / "moved", os.O_RDONLY)
    assert store.load(other, os.fstat(other)) == HEX
    os.close(other)


@pytest.mark.parametrize(
    "planted",
    [
        b"",
        b"x",
        bytes(7) + b"\x09" + bytes(8) + b"a" * 31,
        bytes(7) + b"\x09" + bytes(8) + b"a" * 33,
        bytes(7) + b"\x08" + bytes(8) + b"a" * 32,
        bytes(7) + b"\x09" + bytes(7) + b"\x01" + b"a" * 32,
        b"\xff" * 48,
        b"9:0:" + b"a" * 64,
        b"9" * 48,
        b"\xff" * 100,
    ],
)
def test_a_planted_attribute_that_is_no_digest_is_passed_over(store: DigestStore, fd: int, planted: bytes) -> None:
    os.utime(fd, ns=(0, 0))
    os.setxattr(fd, ATTRIBUTE, planted)
    assert store.load(fd, os.fstat(fd)) is None


def test_what_is_kept_is_size_time_and_digest_and_short_enough_for_an_inode(store: DigestStore, fd: int) -> None:
    os.utime(fd, ns=(0, -1))
    store.store(fd, HEX)
    assert os.getxattr(fd, ATTRIBUTE) == bytes(7) + b"\x09" + b"\xff" * 8 + bytes.fromhex(HEX)


def test_huge_device_and_inode_numbers_fit_the_database(
    store: DigestStore, fd: int, monkeypatch: pytest.MonkeyPatch, attributes: str
) -> None:
    found = list(os.fstat(fd))
    found[1], found[2] = 2**64 - 1, 2**63  # inode, device
    found[6] = 9
    huge = os.stat_result((*found, 0.0, 0.0, 0.0, 0, 7, 0))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lambda _fd: huge)
        store.store(fd, HEX)
    assert store.load(fd, huge) == HEX


def test_a_descriptor_that_is_gone_is_told(store: DigestStore, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched, pytest.raises(StorageFailed):  # noqa: PT012
        patched.setattr(os, "fstat", fail)
        store.store(fd, HEX)


@pytest.mark.usefixtures("attributes")
@pytest.mark.parametrize("moment", [10_400_000_000 * 10**9, -(10**9), 1], ids=["2300", "1969", "1970"])
def test_files_of_any_age_keep_their_digest(store: DigestStore, fd: int, moment: int) -> None:
    os.utime(fd, ns=(0, moment))
    store.store(fd, "0" * 64)
    assert store.load(fd, os.fstat(fd)) == "0" * 64
