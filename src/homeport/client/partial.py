"""A download before it is whole: `.NAME.homeport-part` beside the target, and a side file that says what of.

The one rule: the target's name shows the old file or the new one, whole and checked. An interruption leaves part and
side file behind; only a mismatch removes them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from homeport.client.digesting import Hasher, feed
from homeport.client.errors import ClientError, LocalFailed, NoRoom
from homeport.client.flow import BLOCK_BYTES

_SUFFIX = ".homeport-part"
_NAME_MAX_BYTES = 255
# Smaller files come in one piece: fetching one again is cheaper than verifying what is there. Of larger ones a server
# may send dozens in turn, and each would be half here when the connection is cut.
SIDE_FILE_FROM_BYTES = BLOCK_BYTES
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class PartSource:
    """What a part is a part of: server with account, path there, size in bytes and mtime as the server told them."""

    origin: str
    remote: str
    size: int | None
    mtime: float | None


def part_name(name: str) -> str:
    """The hidden name beside `name` under which it grows. A name too long for that loses its end."""
    room = _NAME_MAX_BYTES - len(f".{_SUFFIX}.json")
    raw = name.encode("utf-8", "surrogateescape")
    short = name if len(raw) <= room else raw[:room].decode("utf-8", "ignore")
    return f".{short}{_SUFFIX}"


def is_part_name(name: str) -> bool:
    """Whether `name` is a part or the side file of one: not yet a file that anybody wants."""
    return name.startswith(".") and name.endswith((_SUFFIX, f"{_SUFFIX}.json"))


class Partial:
    """The part of one target, open and locked. A context manager; leaving it keeps the part."""

    def __init__(self, target: Path, source: PartSource) -> None:
        self.path = target.with_name(part_name(target.name))
        self._target = target
        self._source = source
        self._side = self.path.with_name(self.path.name + ".json")
        self._fd = -1
        self._is_small = source.size is not None and source.size < SIDE_FILE_FROM_BYTES

    def __enter__(self) -> Partial:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._fd = os.open(self.path, flags, 0o666)
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise LocalFailed(f"{self.path} is no ordinary file; move it away")
            _lock(self._fd, self._target)
        except OSError as failure:
            raise self.failed(failure) from failure
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def usable_bytes(self) -> int:
        """How much there is of the very file that is wanted now; 0 when it is of another, or nobody knows."""
        length = os.fstat(self._fd).st_size
        if not length:
            return 0
        try:
            kept = json.loads(self._side.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0
        if kept != asdict(self._source) or (self._source.size is not None and length > self._source.size):
            return 0
        return length

    def begin(self, offset: int) -> None:
        """Bytes from `offset` on are about to come; what lies behind it goes. Raises LocalFailed, NoRoom."""
        try:
            self._make_sure_of_room(offset)
            os.ftruncate(self._fd, offset)
            os.lseek(self._fd, offset, os.SEEK_SET)
            if self._is_small:
                self._side.unlink(missing_ok=True)  # a small file is fetched again faster than it is verified
            else:
                self._side.write_text(json.dumps(asdict(self._source)), encoding="utf-8")
        except OSError as failure:
            raise self.failed(failure) from failure

    def hash_prefix(self, hasher: Hasher, length: int) -> None:
        """The first `length` bytes into `hasher`. Raises LocalFailed."""
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            feed(hasher, _Descriptor(self._fd), length)
        except OSError as failure:
            raise self.failed(failure) from failure

    def write(self, data: memoryview) -> None:
        """All of `data`. Raises NoRoom, LocalFailed."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as failure:
            raise self.failed(failure) from failure

    def finish(self, mtime: float | None, *, fsync: bool) -> None:
        """It is whole: give it its time and its name. Raises LocalFailed."""
        try:
            if mtime is not None:
                moment = round(mtime * 1_000_000_000)
                os.utime(self._fd if os.utime in os.supports_fd else self.path, ns=(moment, moment))
            if fsync:
                os.fsync(self._fd)
            os.replace(self.path, self._target)
        except OSError as failure:
            raise self.failed(failure) from failure
        if not self._is_small:  # else it went when the file began
            with contextlib.suppress(OSError):
                self._side.unlink(missing_ok=True)

    def discard(self) -> None:
        """It is not what it should be."""
        for path in (self.path, self._side):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def failed(self, failure: OSError) -> ClientError:
        """The error for what the disk said."""
        self_kind = NoRoom if failure.errno in _FULL else LocalFailed
        return self_kind(f"{self._target} cannot be written: {failure.strerror}")

    def _make_sure_of_room(self, offset: int) -> None:
        if self._source.size is None or not hasattr(os, "fstatvfs"):
            return
        room = os.fstatvfs(self._fd)
        wanted = self._source.size - min(offset, os.fstat(self._fd).st_size)
        if wanted > room.f_bavail * room.f_frsize:
            raise NoRoom(f"{self._target}: {wanted} bytes are to come, and the disk has fewer free")

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Descriptor:
    """A file descriptor as `digesting.feed` reads it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def readinto(self, buffer: memoryview, /) -> int:
        return os.readv(self._fd, [buffer])


def _lock(fd: int, target: Path) -> None:
    """One download of a target at a time; where the system has no such locks, the last one wins."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LocalFailed(f"{target} is being downloaded by another process; wait for it or stop it") from None
