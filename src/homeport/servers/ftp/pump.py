"""Bulk bytes between a data connection and a file, in steps that a thread runs while the socket keeps up.

The one rule: a step never waits for long. It works while the socket is ready, lingers a moment while no other job wants
its thread, and goes back to the loop with what it waits for; so a slow peer costs a descriptor and no thread.

A transfer begins on the loop, where a small one also ends: two hops to a thread would cost more than its bytes. It goes
to the threads as soon as it could hold up the loop.
"""

from __future__ import annotations

import enum
import select
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from homeport.core.errors import WouldBlock
from homeport.core.sessions import SessionRecord
from homeport.servers.ftp.data import FOLLOWED, DataConnection, NotReady
from homeport.servers.haste import Haste
from homeport.servers.offload import Offload
from homeport.servers.readiness import Side

BUFFER_BYTES = 256 * 1024
_SENDFILE_BYTES = 4 * 1024 * 1024  # at once: large for speed, bounded so that STAT has news
_BUFFERS_KEPT = 8
_TURN_S = 0.01  # what a step may work before others in the queue have their turn; small files need no second one
_PRIVATE_BYTES = 128 * 1024  # encrypted in one go
_ON_LOOP_BYTES = 64 * 1024  # what a transfer may move on the loop
_LINGER_SLICE_MS = 10  # how soon a lingering thread notices that it is wanted


class Wants(enum.Enum):
    """What a step needs before the next one."""

    READ = "read"
    WRITE = "write"
    PAUSE = "pause"  # the rate limit says so: `pause_s`
    TURN = "turn"  # others want the thread; come again
    THREAD = "thread"  # it would hold up the loop
    DONE = "done"


_DONE = Wants.DONE


class Bucket(Protocol):
    """A rate limit: core's TokenBucket, or None where there is none."""

    def delay(self, now: float, amount: float) -> float:
        """Seconds to wait before more than these `amount` bytes."""
        ...


class Flow(Protocol):
    """What moves: a file to the client, blocks to the client, or the client's bytes to a file."""

    def move(self, most: int) -> int:
        """Move up to `most` bytes; how many went over the wire. 0: all is done. Raises NotReady, NothingYet."""
        ...

    def move_now(self, most: int) -> int:
        """As `move`, without waiting for a disk or computing for long. Raises WouldBlock where that cannot be."""
        ...


class NothingYet(Exception):
    """A flow has worked, has nothing to send from it and wants to go on: others may have their turn before."""


class Buffers:
    """Large buffers, used again: zeroing 256 KiB for every small transfer would cost more than the transfer."""

    def __init__(self) -> None:
        self._kept: list[bytearray] = []

    def take(self) -> bytearray:
        """One buffer of BUFFER_BYTES. Safe in every thread: list operations are atomic."""
        try:
            return self._kept.pop()
        except IndexError:
            return bytearray(BUFFER_BYTES)

    def give_back(self, buffer: bytearray) -> None:
        """Nobody uses it any more."""
        if len(self._kept) < _BUFFERS_KEPT:
            self._kept.append(buffer)


class Mover:
    """Moves what one transfer moves, in steps, one at a time: `step` in a thread, `step_now` and everything else on the
    loop. It needs a `connection` and a `flow` first.

    How far it is: `moved` bytes, `started_at` and `last_at` by the monotonic clock; the thread writes, the loop reads.
    `record` shows it to whoever asks who is connected. `stopped`, why it is to move no more, is set from the loop; a
    step ends at the next chance.
    """

    __slots__ = (
        "_linger_s", "bucket", "connection", "flow", "last_at", "moved", "offload", "pause_s", "record", "started_at",
        "stopped",
    )  # fmt: skip

    flow: Flow

    def __init__(
        self,
        offload: Offload,
        bucket: Bucket | None = None,
        record: SessionRecord | None = None,
        linger_s: float = 0.05,
    ) -> None:
        self.offload = offload
        self.bucket = bucket
        self.record = record
        self._linger_s = linger_s
        self.pause_s = 0.0
        self.stopped: str | None = None
        self.connection: DataConnection | None = None
        self.moved = 0
        self.started_at = self.last_at = time.monotonic()

    def count(self, amount: int) -> float:
        """Note `amount` bytes; the time now."""
        self.moved += amount
        if self.record is not None:
            self.record.moved_bytes = self.moved
        self.last_at = now = time.monotonic()
        return now

    def step_now(self) -> Wants:
        """As `step`, on the loop: THREAD when what follows could hold it up."""
        flow = self.flow
        try:
            while self.stopped is None and self.moved <= _ON_LOOP_BYTES:
                moved = flow.move_now(_ON_LOOP_BYTES)
                if moved == 0:
                    return _DONE
                now = self.count(moved)
                if self.bucket is not None and (delay := self.bucket.delay(now, moved)) > 0:
                    self.pause_s = delay
                    return Wants.PAUSE
        except NotReady as waiting:
            return Wants.READ if waiting.side is Side.READ else Wants.WRITE
        except WouldBlock:
            pass
        return Wants.THREAD

    def step(self) -> Wants:
        """Move bytes until the socket does not keep up, the rate limit says wait, or all is done."""
        most = _SENDFILE_BYTES if self.bucket is None else BUFFER_BYTES
        budget_s = self._linger_s
        turn_ends_at = time.monotonic() + _TURN_S
        while self.stopped is None:
            try:
                moved = self.flow.move(most)
            except NotReady as waiting:
                budget_s = self._linger(waiting.side, budget_s)
                if not budget_s:
                    return Wants.READ if waiting.side is Side.READ else Wants.WRITE
                continue
            except NothingYet:
                moved = None
            if moved == 0:
                return Wants.DONE
            now = time.monotonic() if moved is None else self.count(moved)
            if self.bucket is not None and moved and (delay := self.bucket.delay(now, moved)) > 0:
                self.pause_s = delay
                return Wants.PAUSE
            if now >= turn_ends_at and self.offload.crowded:
                return Wants.TURN
        return Wants.TURN

    def _linger(self, side: Side, budget_s: float) -> float:
        """Wait in the thread until the socket is ready; what is left of `budget_s` then, 0 when it is used up.

        The budget is a whole step's: a peer that sends one byte at a time soon gives the thread back.
        """
        assert self.connection is not None
        poller = select.poll()
        poller.register(self.connection.fd, select.POLLIN if side is Side.READ else select.POLLOUT)
        give_up_at = time.monotonic() + budget_s
        left_s = budget_s
        while left_s > 0 and self.stopped is None and not self.offload.crowded:
            ready = poller.poll(min(_LINGER_SLICE_MS, left_s * 1000))
            left_s = give_up_at - time.monotonic()
            if ready:
                return max(left_s, 0.0)
        return 0.0


_NOTHING = memoryview(b"")


class SendFile:
    """A file as it is: by the kernel, without a copy, or through TLS in blocks where the connection is private.

    `source` is a Download; `finish` is called when all is sent.
    """

    __slots__ = ("_ahead", "_block", "_connection", "_fd", "_finish", "_source")

    def __init__(self, connection: DataConnection, source: FileSource, finish: Callable[[], None]) -> None:
        self._connection = connection
        self._source = source
        self._finish = finish
        self._fd = source.fileno()
        self._ahead = _NOTHING  # read and not sent
        self._block: memoryview | None = None  # kept: to clear new memory for each block takes its time

    def move_now(self, most: int) -> int:
        """See Flow."""
        if self._ahead:
            return self._send_ahead()
        left = self._source.size - self._source.position
        if left > most:
            raise WouldBlock
        if left > 0:
            buffer = memoryview(bytearray(left))
            self._ahead = buffer[: self._source.read_now(buffer)]
            return self._send_ahead(FOLLOWED)
        self._connection.end(must_arrive=True)
        self._finish()
        return 0

    def _send_ahead(self, flags: int = 0) -> int:
        sent = self._connection.send(self._ahead, flags)
        self._ahead = self._ahead[sent:]
        return sent

    def move(self, most: int) -> int:
        """See Flow."""
        if self._ahead:
            return self._send_ahead()
        left = self._source.size - self._source.position
        if left > 0 and self._connection.is_private:
            block = self._block = self._block or memoryview(bytearray(min(left, _PRIVATE_BYTES)))
            self._ahead = block[: self._source.read_into(block)]
            return self._send_ahead()
        if left > 0:
            sent = self._connection.send_file(self._fd, self._source.position, min(left, most))
            self._source.advance(sent)  # raises SourceChanged for 0: the file has been cut
            return sent
        self._connection.end(must_arrive=True)
        self._finish()
        return 0


class FileSource(Protocol):
    """What SendFile needs of core's Download."""

    size: int
    position: int

    def fileno(self) -> int: ...

    def advance(self, count: int, /) -> None: ...

    def read_into(self, buffer: memoryview, /) -> int: ...

    def read_now(self, buffer: memoryview, /) -> int: ...


class SendBlocks:
    """Whatever `blocks` makes: a listing, a private file, a file in ASCII or compressed. Constant memory.

    `finish` is called when all is sent.
    """

    def __init__(self, connection: DataConnection, blocks: Iterator[bytes], finish: Callable[[], None]) -> None:
        self._connection = connection
        self._blocks = blocks
        self._finish = finish
        self._rest = memoryview(b"")

    def move_now(self, most: int) -> int:  # noqa: ARG002 - see Flow
        """See Flow. What makes the blocks may read or compute."""
        raise WouldBlock

    def move(self, most: int) -> int:
        """See Flow. An empty block is work that led to nothing: NothingYet."""
        if not self._rest:
            block = next(self._blocks, None)
            if block is None:
                self._connection.end(must_arrive=True)
                self._finish()
                return 0
            if not block:
                raise NothingYet
            self._rest = memoryview(block)
        sent = self._connection.send(self._rest[:most] if len(self._rest) > most else self._rest)
        self._rest = self._rest[sent:]
        return sent


def blocks_of(source: FileSource, block_bytes: int = 64 * 1024) -> Iterator[bytes]:
    """A download's bytes in blocks of `block_bytes`, from its position to its end."""
    while source.position < source.size:
        block = bytearray(min(block_bytes, source.size - source.position))
        count = source.read_into(memoryview(block))
        yield bytes(memoryview(block)[:count])


class Receive:
    """The client's bytes into `write`, to the clean end; `finish` then flushes what a decoder still holds.

    With `haste` they may be called on the loop, and again in a thread after a WouldBlock, which changes nothing.
    With `count`, which is to note what came, an upload whose end has come with its last bytes is stored in one step.
    """

    count: Callable[[int], object] | None = None

    def __init__(
        self,
        connection: DataConnection,
        write: Callable[[memoryview], None],
        finish: Callable[[], None],
        buffers: Buffers,
        haste: Haste | None = None,
    ) -> None:
        self._connection = connection
        self._write = write
        self._finish = finish
        self._buffers = buffers
        self._haste = haste
        self._waited = self._bounded = False
        self._owed = b""  # received and not stored, because the loop may not wait

    def move_now(self, most: int) -> int:
        """See Flow."""
        if not self._waited:  # clients send when they have read 150
            self._waited = True
            raise NotReady(Side.READ)
        if self._haste is None or not self._haste.allows():
            raise WouldBlock
        return self._haste.run(self._take_all, most)

    def move(self, most: int) -> int:
        """See Flow."""
        if not self._bounded:  # a small upload ends before it could pile up
            self._bounded = True
            self._connection.bound_unread()
        return self._take_in(most)

    def _take_all(self, most: int) -> int:
        received = self._take_in(most)
        if self.count is None or not 0 < received < most or not self._connection.has_ended():
            return received
        self.count(received)
        return self._conclude()

    def _conclude(self) -> int:
        self._finish()
        self._connection.end(must_arrive=False)
        return 0

    def _take_in(self, most: int) -> int:
        if self._owed:
            with memoryview(self._owed) as piece:
                self._write(piece)
            count, self._owed = len(self._owed), b""
            return count
        # The buffer is held for one piece alone, so that ten thousand idle uploads hold none.
        buffer = self._buffers.take()
        try:
            with memoryview(buffer) as whole, whole[:most] as view:
                received = self._connection.receive_into(view)
                if received:
                    with view[:received] as piece:
                        self._store(piece)
        finally:
            self._buffers.give_back(buffer)
        return received or self._conclude()

    def _store(self, piece: memoryview) -> None:
        try:
            self._write(piece)
        except WouldBlock:
            self._owed = bytes(piece)
            raise


class Handshake:
    """TLS on the data connection, as a flow that moves nothing."""

    def __init__(self, connection: DataConnection) -> None:
        self._connection = connection

    def move_now(self, most: int) -> int:
        """See Flow. On the loop: it takes a fraction of a millisecond where the session is resumed, and no more than
        that of the control connection, which is done there as well.
        """
        return self.move(most)

    def move(self, most: int) -> int:  # noqa: ARG002 - see Flow
        """See Flow."""
        self._connection.shake_hands()
        return 0
