"""Reading and writing a remote file with many requests on their way at once.

The one rule: bytes come out in the order of the file, whatever the order of the answers; and nothing counts as stored
before the server has said so.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from homeport.client.errors import IntegrityMismatch, NoRoom, ProtocolViolation, ServerRefused
from homeport.client.remote import Digest
from homeport.client.ssh.extensions import Extended
from homeport.client.ssh.link import Asked, Link
from homeport.protocols.sftp import asking
from homeport.protocols.sftp.answered import AttributesAnswer, DataAnswer, StatusAnswer
from homeport.protocols.sftp.constants import Status, Type

_NOT_AS_EXPECTED = re.compile(r"\bannounced\b")
# On their way at once. What has not arrived when a process is killed is asked for again.
WINDOW_BYTES = 2 * 1024 * 1024
_FIRST_BYTES = 64 * 1024  # until the size is known


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was opened: `handle` stands for it, `doing` says what for, as in "store /a"."""

    link: Link
    extended: Extended
    handle: bytes
    doing: str


@dataclass(slots=True)
class _Part:
    """A request for `size` bytes at `offset`."""

    offset: int
    size: int
    asked: Asked


class SftpReader:
    """See `remote.Reader`. `told` is the digest that was asked for beside the transfer: its algorithm and question."""

    def __init__(self, opened: Opened, offset: int, told: tuple[str, Asked] | None) -> None:
        self._link = opened.link
        self._extended = opened.extended
        self._handle = opened.handle
        self._doing = opened.doing
        self._told = told
        self._next = offset
        self._parts: deque[_Part] = deque()
        self._data = memoryview(b"")
        self._end: int | None = None
        self._sized: Asked | None = self._link.send(asking.about, Type.FSTAT, opened.handle)
        self._ask(min(_FIRST_BYTES, self._extended.sizes.read))

    def read_into(self, buffer: memoryview) -> int:
        while not self._data:
            self._fill()
            if not self._parts:
                return 0
            self._take(self._parts.popleft())
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def finish(self) -> Digest | None:
        self._link.let_go(self._handle)
        if self._told is None:
            return None
        algorithm, asked = self._told
        try:
            return self._extended.digest_in(asked, algorithm, "tell a digest")
        except ServerRefused:
            return None

    def abort(self) -> None:
        self._parts.clear()  # the answers are read and forgotten
        self._link.let_go(self._handle)

    def _fill(self) -> None:
        """Ask for as much as may be on its way, once it is known how much there is."""
        if self._sized is not None:
            if self._parts and not self._parts[0].asked.is_over:
                self._link.answer(self._parts[0].asked)  # the size comes with it
            self._learn_size(self._sized)
            self._sized = None
        waiting = self._next - self._parts[0].offset if self._parts else 0
        while waiting < WINDOW_BYTES and (self._end is None or self._next < self._end):
            if self._end is None and self._parts:
                return  # one at a time towards an end that nobody knows
            most = self._extended.sizes.read
            size = most if self._end is None else min(most, self._end - self._next)
            self._ask(size)
            waiting += size

    def _learn_size(self, asked: Asked) -> None:
        try:
            size = self._link.expect(AttributesAnswer, asked, self._doing).attributes.size
        except ServerRefused:
            return
        # What says 0 may be a file that is made while it is read, as those of /proc: its end is asked for.
        self._end = size or None

    def _ask(self, size: int) -> None:
        offset, handle = self._next, self._handle
        self._parts.append(_Part(offset, size, self._send(offset, size, handle)))
        self._next += size

    def _send(self, offset: int, size: int, handle: bytes) -> Asked:
        return self._link.send(asking.read, handle, offset, size)

    def _take(self, part: _Part) -> None:
        answer = self._link.answer(part.asked)
        if isinstance(answer, StatusAnswer) and answer.code == Status.EOF:
            self._parts.clear()
            self._end = self._next = part.offset
            return
        data = self._link.accept(DataAnswer, answer, self._doing).data
        if not 0 < len(data) <= part.size:
            raise ProtocolViolation(f"the server was asked for {part.size} bytes and sent {len(data)}")
        if len(data) < part.size and (self._end is None or part.offset + len(data) < self._end):
            self._ask_rest(part, len(data))
        self._data = data

    def _ask_rest(self, part: _Part, got: int) -> None:
        """The server has sent less than it was asked for: what is missing comes next."""
        offset, size = part.offset + got, part.size - got
        self._parts.appendleft(_Part(offset, size, self._send(offset, size, self._handle)))


class SftpWriter:
    """See `remote.Writer`. `expected` is the digest without which the server does not put the file in place."""

    def __init__(self, opened: Opened, offset: int, expected: Digest | None) -> None:
        self._link = opened.link
        self._extended = opened.extended
        self._handle = opened.handle
        self._doing = opened.doing
        self._offset = offset
        self._expected = expected
        self._unanswered: deque[tuple[int, Asked]] = deque()
        self._waiting = 0
        self._is_closed = False

    def write(self, data: memoryview) -> None:
        most = self._extended.sizes.write
        for at in range(0, len(data), most):
            piece = data[at : at + most]
            asked = self._link.send(asking.write, self._handle, self._offset, piece)
            self._link.flush()
            self._offset += len(piece)
            self._waiting += len(piece)
            self._unanswered.append((len(piece), asked))
        while self._unanswered and (self._unanswered[0][1].is_over or self._waiting > WINDOW_BYTES):
            self._hear()

    def finish(self) -> Digest | None:
        # Not after the answers to what was written, but with it: whatever was refused is heard of before anything gets
        # its name, by this side on other servers, and by ours itself.
        closed = self._link.send(asking.about, Type.CLOSE, self._handle)
        self._is_closed = True
        while self._unanswered:
            self._hear()
        try:
            self._link.confirm(closed, self._doing)
        except ServerRefused as refused:
            if self._expected is not None and _NOT_AS_EXPECTED.search(refused.reply):
                raise IntegrityMismatch(
                    f"{refused.sentence}; the old file, if there is one, is untouched",
                    self._expected.value,
                    refused.reply,
                ) from refused
            raise
        return self._expected  # the server has compared

    def abort(self) -> None:
        if self._link.connection.is_ours:
            self._link.close()  # closing the file would give it its name
        elif not self._is_closed:
            self._link.let_go(self._handle)

    def _hear(self) -> None:
        size, asked = self._unanswered.popleft()
        self._waiting -= size
        try:
            self._link.expect(StatusAnswer, asked, self._doing)
        except ServerRefused as refused:
            if refused.code == Status.FAILURE and type(refused) is ServerRefused and self._extended.is_full(size):
                raise NoRoom(f"{refused.sentence}; it has no room left", refused.code, refused.reply) from refused
            raise
