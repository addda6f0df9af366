"""One upload: find out what the server holds already, send the rest, compare, and let it have its name.

The one rule: over there, too, the name shows the old file or the new one whole. A server that keeps that promise itself
is sent the file under its name; on any other it grows as `.NAME.homeport-part` and is renamed once it is proven.
"""

from __future__ import annotations

import os
import stat
from io import FileIO

from homeport.client.digesting import HASHERS, Hasher, best_algorithm, feed
from homeport.client.errors import (
    ClientError,
    Incompatible,
    IntegrityMismatch,
    LocalFailed,
    RemoteExists,
    RemoteNotFound,
    SafetyRefused,
    ServerRefused,
)
from homeport.client.flow import BLOCK_BYTES, FlowWriter, Sending
from homeport.client.partial import part_name
from homeport.client.remote import Digest, RemoteEntry
from homeport.client.task import Outcome, Task
from homeport.client.upload_state import UploadState
from homeport.protocols.rooms import Rooms

MTIME_SLACK_S = 1.0
# Below this nothing is kept of an unfinished upload: it goes out in one piece, and sending that again is cheaper than
# finding out.
SMALL_BYTES = BLOCK_BYTES
_ROOMS = 48  # buffers that are kept for a file's blocks, which may wait to be sent


async def upload(task: Task) -> Outcome:
    """Store `task.item.local` as `task.item.remote`. Raises ClientError."""
    try:
        with _open(task) as file:
            return await _Upload(task, file).run()
    except OSError as failure:
        raise LocalFailed(f"{task.item.local} cannot be read: {failure.strerror}") from failure


def _open(task: Task) -> FileIO:
    # Without O_NONBLOCK a FIFO would hold us until somebody writes into it.
    fd = os.open(task.item.local, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise LocalFailed(f"{task.item.local} is no ordinary file")
    return FileIO(fd, "rb")


class _Upload:
    """One try."""

    def __init__(self, task: Task, file: FileIO) -> None:
        self._task = task
        self._file = file
        self._found = os.fstat(file.fileno())
        self._size = self._found.st_size
        item = task.item
        self._is_small = self._size < SMALL_BYTES
        self._abilities = task.remote.abilities
        self._place = item.remote if self._abilities.atomic_upload else _part_beside(item.remote)
        self._algorithm = best_algorithm(self._abilities) if task.options.verify else None
        self._hasher: Hasher | None = None
        self._expected: Digest | None = None
        self._rooms = Rooms(BLOCK_BYTES, _ROOMS)
        self._there: RemoteEntry | None = None

    async def run(self) -> Outcome:
        self._there = await self._look()
        if self._is_there_already():
            self._forget()
            return Outcome(self._size, already_complete=True)
        self._announce()
        offset = await self._offset()
        try:
            return await self._send(offset)
        except (IntegrityMismatch, Incompatible) as failure:
            if not offset:
                raise
            # The beginning that the server held was not what we have; the whole is worth one more try.
            self._task.track.restarted(str(failure))
            return await self._send(0)

    # --- what is there already ---

    async def _look(self) -> RemoteEntry | None:
        known = self._task.item.known
        if known is not None and not self._task.is_retry:
            return known.entry
        try:
            return await self._task.remote.stat(self._task.item.remote)
        except RemoteNotFound:
            return None

    def _is_there_already(self) -> bool:
        there = self._there
        if there is None:
            return False
        if there.is_directory:
            raise SafetyRefused(f"{self._task.item.remote} is a folder on the server; a file does not replace it")
        if there.size != self._size or there.mtime is None or not self._abilities.set_mtime:
            return False
        return abs(there.mtime - self._found.st_mtime) <= MTIME_SLACK_S

    def _announce(self) -> None:
        """Where the server checks what it is told beforehand: the whole file's digest."""
        if self._abilities.checks_uploads and self._algorithm:
            hasher = HASHERS[self._algorithm]()
            self._read_into(hasher, self._size)
            self._expected = Digest(self._algorithm, hasher.hexdigest())

    async def _offset(self) -> int:
        """Where to go on: behind what this client has sent before and the server still holds; else at 0."""
        if self._is_small or not (self._task.options.resume and self._abilities.resume_upload):
            return 0
        if not self._task.states.is_under_way(self._state()):
            return 0
        if self._place == self._task.item.remote and not self._abilities.tells_partial_uploads and self._there:
            return 0  # what the server would tell is the size of the old file
        offset = await self._task.remote.partial_size(self._place) - self._abilities.unsure_tail_bytes
        return offset if 0 < offset <= self._size and await self._is_same_beginning(offset) else 0

    async def _is_same_beginning(self, offset: int) -> bool:
        if self._expected is not None or not self._algorithm or not self._abilities.partial_digests:
            return True  # told by the digest of the whole
        hasher = HASHERS[self._algorithm]()
        self._read_into(hasher, offset)
        try:
            theirs = await self._task.remote.digest(self._place, self._algorithm, end=offset)
        except ServerRefused:
            return True
        if theirs.value == hasher.hexdigest():
            return True
        self._task.track.restarted("what the server holds is not the beginning of this file")
        return False

    # --- sending ---

    async def _send(self, offset: int) -> Outcome:
        """From `offset` to the end, and everything that comes after."""
        task = self._task
        self._hasher = HASHERS[self._algorithm]() if self._algorithm and self._expected is None else None
        self._read_into(self._hasher, offset)
        if not self._is_small:
            task.states.begin(self._state())
        task.track.begin(offset, self._size)
        told = None
        if not offset or offset < self._size or self._place == task.item.remote:
            told = await self._transmit(offset)
        verified = await self._compare(told)
        await self._give_name()
        self._forget()
        if self._abilities.set_mtime and not (self._abilities.keeps_mtime and told is not None):
            moment = self._found.st_mtime_ns / 1_000_000_000
            await task.remote.set_mtime(task.item.remote, moment, lambda failure: self._late(moment, failure))
        return Outcome(self._size, verified=verified)

    def _late(self, moment: float, failure: ClientError | None) -> None:
        self._task.late(self._task.item.remote, moment, failure)

    async def _transmit(self, offset: int) -> Digest | None:
        sending = Sending(offset=offset, size=self._size, mtime_ns=self._found.st_mtime_ns, expected=self._expected)
        writer = await self._task.remote.open_writer(self._place, sending)
        try:
            await self._pour(writer)
        except BaseException:
            writer.abort()
            raise
        return await writer.finish(self._ours())

    async def _pour(self, writer: FlowWriter) -> None:
        """The file as it was when it was opened; one that changes meanwhile is not finished."""
        track = self._task.track
        while track.position < self._size:
            block = self._block(self._size - track.position)
            if not block:
                break
            await writer.write(block)
            if self._hasher is not None:
                self._hasher.update(block)
            track.add(len(block), lasting=not self._is_small)
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._size, self._found.st_mtime_ns) or track.position != self._size:
            raise LocalFailed(f"{self._task.item.local} was changed while it was sent; nothing was stored. Try again")

    def _block(self, most: int) -> memoryview:
        """The next bytes of the file, which stay as they are for as long as anybody looks at them; none at its end."""
        if most < BLOCK_BYTES:
            return memoryview(self._file.read(most))
        room = memoryview(self._rooms.take())
        return room[: self._file.readinto(room)]

    def _read_into(self, hasher: Hasher | None, length: int) -> None:
        """Put the file at `length`, with what comes before in `hasher`."""
        self._file.seek(0)
        if hasher is not None and feed(hasher, self._file, length) != length:
            raise LocalFailed(f"{self._task.item.local} got shorter while it was read; try again")
        self._file.seek(length)

    # --- what is kept of it ---

    def _state(self) -> UploadState:
        item = self._task.item
        return UploadState(self._task.origin, item.remote, str(item.local), self._size, self._found.st_mtime_ns)

    def _forget(self) -> None:
        """It is done, or begins again from nothing."""
        if not self._is_small:
            self._task.states.end(self._state())

    # --- judging ---

    def _ours(self) -> Digest | None:
        """The digest of all that was sent, and of what the server had before."""
        if self._expected is not None or self._hasher is None or self._algorithm is None:
            return self._expected
        return Digest(self._algorithm, self._hasher.hexdigest())

    async def _compare(self, told: Digest | None) -> str | None:
        """The algorithm in which both sides agree; without one at least the sizes do. Raises IntegrityMismatch."""
        ours = self._ours()
        if ours is not None:
            told_ours = told is not None and told.algorithm == ours.algorithm
            theirs = told if told_ours else await self._ask_digest(ours.algorithm)
            if theirs is not None:
                if theirs.value != ours.value:
                    raise self._mismatch(f"{ours.algorithm} {ours.value}", theirs.value)
                return ours.algorithm
        arrived = await self._task.remote.partial_size(self._place)
        if arrived != self._size and not (arrived == 0 and self._abilities.atomic_upload):
            raise self._mismatch(f"{self._size} bytes", f"{arrived} bytes")
        return None

    async def _ask_digest(self, algorithm: str) -> Digest | None:
        try:
            return await self._task.remote.digest(self._place, algorithm)
        except ServerRefused as refused:
            self._task.track.notice(f"not compared: {refused}")
            return None

    def _mismatch(self, expected: str, actual: str) -> IntegrityMismatch:
        self._forget()
        return IntegrityMismatch(
            f"{self._task.item.remote}: the server has not got what was sent "
            f"(expected {expected}, it has {actual}). Try again.",
            expected,
            actual,
        )

    async def _give_name(self) -> None:
        remote, target = self._task.remote, self._task.item.remote
        if self._place == target:
            return
        try:
            await remote.move(self._place, target)
        except RemoteExists:
            await remote.remove_file(target)  # a server that never renames over a file; the new one is there and proven
            await remote.move(self._place, target)


def _part_beside(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{part_name(name)}"
