from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from homeport.core.errors import WouldBlock
from homeport.core.patience import be_patient
from homeport.servers.ftp import data
from homeport.servers.ftp.data import DataConnection, NotReady
from homeport.servers.ftp.pump import (
    BUFFER_BYTES,
    Buffers,
    Flow,
    Handshake,
    Mover,
    NothingYet,
    Receive,
    SendBlocks,
    SendFile,
    Wants,
    blocks_of,
)
from homeport.servers.haste import Haste
from homeport.servers.offload import Offload
from homeport.servers.readiness import Side


class Crowd:
    """The part of Offload that a mover looks at."""

    crowded = False


class Scripted:
    """A flow that does what it is told: a number of bytes, or a side that is not ready."""

    def __init__(self, *script: int | Side | None) -> None:
        self.script = list(script)
        self.asked: list[int] = []

    def move(self, most: int) -> int:
        self.asked.append(most)
        step = self.script.pop(0)
        if isinstance(step, Side):
            raise NotReady(step)
        if step is None:
            raise NothingYet
        if step < 0:
            raise WouldBlock
        return step

    move_now = move


class Limit:
    def __init__(self, *delays: float) -> None:
        self.delays = list(delays)

    def delay(self, now: float, amount: float) -> float:
        return self.delays.pop(0)


@pytest.fixture
def pair() -> Iterator[tuple[DataConnection, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.settimeout(5)
    yield DataConnection(left), right
    left.close()
    right.close()


class Movers:
    def __init__(self, connection: DataConnection) -> None:
        self.connection = connection
        self.crowd = Crowd()

    def of(self, flow: Flow, *, bucket: Limit | None = None, linger_s: float = 0.0) -> Mover:
        mover = Mover(cast(Offload, self.crowd), bucket, linger_s=linger_s)
        mover.connection, mover.flow = self.connection, flow
        return mover


@pytest.fixture
def movers(pair: tuple[DataConnection, socket.socket]) -> Movers:
    return Movers(pair[0])


def test_a_step_runs_to_the_end(movers: Movers) -> None:
    mover = movers.of(Scripted(5, 7, 0))
    assert mover.step() is Wants.DONE
    assert mover.moved == 12
    assert mover.last_at >= mover.started_at


@pytest.mark.parametrize(("side", "wants"), [(Side.READ, Wants.READ), (Side.WRITE, Wants.WRITE)])
def test_a_step_ends_where_the_socket_is_not_ready(movers: Movers, side: Side, wants: Wants) -> None:
    mover = movers.of(Scripted(5, side, 0))
    assert mover.step() is wants
    assert mover.step() is Wants.DONE


def test_the_rate_limit_makes_a_pause(movers: Movers) -> None:
    flow = Scripted(5, 5, 0)
    mover = movers.of(flow, bucket=Limit(0.0, 1.5))
    assert mover.step() is Wants.PAUSE
    assert mover.pause_s == 1.5
    assert mover.step() is Wants.DONE
    assert flow.asked[0] <= BUFFER_BYTES


def test_a_thread_that_is_wanted_is_given_back(movers: Movers, monkeypatch: pytest.MonkeyPatch) -> None:
    movers.crowd.crowded = True
    assert movers.of(Scripted(5, 5, 0)).step() is Wants.DONE  # that little is done in one go
    monkeypatch.setattr("homeport.servers.ftp.pump._TURN_S", 0.0)
    mover = movers.of(Scripted(5, Side.READ, 0), linger_s=5)
    assert mover.step() is Wants.TURN
    assert mover.step() is Wants.READ


def test_work_that_led_to_nothing_ends_a_turn_too(movers: Movers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.servers.ftp.pump._TURN_S", 0.0)
    assert movers.of(Scripted(None, None, 0), bucket=Limit()).step() is Wants.DONE
    movers.crowd.crowded = True
    assert movers.of(Scripted(None, None, 0)).step() is Wants.TURN


def test_a_stopped_mover_moves_no_more(movers: Movers) -> None:
    mover = movers.of(Scripted(5))
    mover.stopped = "enough"
    assert mover.step() is Wants.TURN
    assert mover.moved == 0


def test_a_thread_lingers_for_what_comes_soon(movers: Movers, pair: tuple[DataConnection, socket.socket]) -> None:
    threading.Timer(0.01, lambda: pair[1].send(b"x")).start()
    assert movers.of(Scripted(Side.READ, 0), linger_s=5).step() is Wants.DONE
    assert movers.of(Scripted(Side.WRITE, 0), linger_s=5).step() is Wants.DONE


def test_a_thread_does_not_linger_for_long(movers: Movers) -> None:
    assert movers.of(Scripted(Side.READ), linger_s=0.001).step() is Wants.READ


def test_buffers_are_used_again_and_few_are_kept() -> None:
    buffers = Buffers()
    taken = [buffers.take() for _ in range(20)]
    assert {len(buffer) for buffer in taken} == {BUFFER_BYTES}
    for buffer in taken:
        buffers.give_back(buffer)
    assert buffers.take() is taken[7]


class Source:
    """A download of `data` that a real file holds."""

    def __init__(self, data: bytes, cut_to: int | None = None) -> None:
        self.file = os.memfd_create("source")
        os.write(self.file, data[:cut_to])
        self.size, self.position = len(data), 0

    def fileno(self) -> int:
        return self.file

    def unreachable(self) -> None:
        raise AssertionError("it has not ended well")

    def advance(self, count: int) -> None:
        if not count:
            raise EOFError("the file was cut")
        self.position += count

    def read_into(self, buffer: memoryview) -> int:
        count = os.preadv(self.file, [buffer], self.position)
        self.advance(count)
        return count

    read_now = read_into


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def pumped(move: Callable[[], int]) -> None:
    def pump() -> None:
        while True:
            try:
                if not move():
                    return
            except NotReady:
                threading.Event().wait(0.0005)

    threading.Thread(target=pump).start()


@pytest.mark.parametrize("size", [0, 1, 200_000])
@pytest.mark.parametrize("way", ["file", "blocks"])
def test_a_download_is_whole(pair: tuple[DataConnection, socket.socket], size: int, way: str) -> None:
    connection, client = pair
    data = os.urandom(size)
    source = Source(data)
    ended: list[int] = []
    finish = lambda: ended.append(1)  # noqa: E731
    flow = SendFile(connection, source, finish) if way == "file" else SendBlocks(connection, blocks_of(source), finish)
    pumped(lambda: flow.move(65536))
    assert everything(client) == data
    while not ended:
        threading.Event().wait(0.001)
    os.close(source.file)


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 300_000])
def test_a_private_file_is_whole_though_its_blocks_share_one_buffer_and_go_in_parts(size: int) -> None:
    class Private:
        """A private connection that takes 50,000 bytes at once."""

        is_private = True

        def __init__(self) -> None:
            self.taken: list[bytes] = []
            self.buffers: list[object] = []

        def send(self, data: memoryview, flags: int = 0) -> int:
            self.taken.append(bytes(data[:50_000]))
            self.buffers.append(data.obj)
            return len(self.taken[-1])

        def end(self, *, must_arrive: bool) -> None:
            assert must_arrive

    data = os.urandom(size)
    private, source = Private(), Source(data)
    flow = SendFile(cast(DataConnection, private), source, lambda: None)
    sent = list(iter(lambda: flow.move(1 << 20), 0))
    assert b"".join(private.taken) == data
    assert sum(sent) == size
    assert len({id(buffer) for buffer in private.buffers}) == min(size, 1)
    os.close(source.file)


def test_a_file_that_is_cut_meanwhile_is_an_error(pair: tuple[DataConnection, socket.socket]) -> None:
    source = Source(b"0123456789", cut_to=4)
    flow = SendFile(pair[0], source, source.unreachable)
    assert flow.move(100) == 4
    with pytest.raises(EOFError):
        flow.move(100)
    os.close(source.file)


def test_empty_blocks_are_work_and_large_ones_go_in_pieces(pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair
    flow = SendBlocks(connection, iter([b"", b"abcdef", b"", b"g"]), lambda: None)
    with pytest.raises(NothingYet):
        flow.move(4)
    assert [flow.move(4), flow.move(4)] == [4, 2]
    with pytest.raises(NothingYet):
        flow.move(4)
    assert [flow.move(4), flow.move(4)] == [1, 0]
    assert everything(client) == b"abcdefg"


def test_an_upload_comes_in_pieces_and_ends(pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair
    pieces: list[bytes] = []
    flow = Receive(connection, lambda piece: pieces.append(bytes(piece)), lambda: pieces.append(b"end"), Buffers())
    with pytest.raises(NotReady):
        flow.move(4)
    client.send(b"abcdef")
    client.shutdown(socket.SHUT_WR)
    assert [flow.move(4), flow.move(4), flow.move(4)] == [4, 2, 0]
    assert pieces == [b"abcd", b"ef", b"end"]
    connection.close()
    assert everything(client) == b""


def test_what_may_lie_unread_is_bounded_once_a_thread_takes_it(
    pair: tuple[DataConnection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded: list[object] = []
    monkeypatch.setattr(data, "bound_unread", bounded.append)
    connection, client = pair
    client.send(b"abcdef")
    flow = Receive(connection, lambda piece: None, lambda: None, Buffers(), Haste())
    with pytest.raises(NotReady):
        flow.move_now(2)
    assert flow.move_now(2) == 2
    assert bounded == []  # most uploads end here
    assert [flow.move(2), flow.move(2)] == [2, 2]
    assert len(bounded) == 1


def test_a_refused_write_leaves_the_buffer_usable(pair: tuple[DataConnection, socket.socket]) -> None:
    def refuse(_: memoryview) -> None:
        raise OSError("disk full")

    buffers = Buffers()
    flow = Receive(pair[0], refuse, lambda: None, buffers)
    pair[1].send(b"abc")
    with pytest.raises(OSError, match="disk full"):
        flow.move(100)
    assert bytes(buffers.take()[:3]) == b"abc"


def test_a_handshake_without_tls_is_over_at_once(movers: Movers) -> None:
    assert movers.of(Handshake(movers.connection)).step_now() is Wants.DONE
    assert movers.of(Handshake(movers.connection)).step() is Wants.DONE


@pytest.mark.parametrize(
    ("script", "wants", "moved"),
    [
        ((5, 7, 0), Wants.DONE, 12),
        ((5, Side.READ), Wants.READ, 5),
        ((5, Side.WRITE), Wants.WRITE, 5),
        ((5, -1), Wants.THREAD, 5),
        ((60_000, 60_000, 0), Wants.THREAD, 120_000),
    ],
)
def test_a_step_on_the_loop_ends_before_it_holds_it_up(
    movers: Movers, script: tuple[int | Side, ...], wants: Wants, moved: int
) -> None:
    mover = movers.of(Scripted(*script))
    assert mover.step_now() is wants
    assert mover.moved == moved


def test_the_rate_limit_holds_on_the_loop_too(movers: Movers) -> None:
    mover = movers.of(Scripted(5, 5, 0), bucket=Limit(0.0, 1.5))
    assert mover.step_now() is Wants.PAUSE
    assert mover.pause_s == 1.5
    assert mover.step_now() is Wants.DONE


def test_a_small_file_goes_out_on_the_loop_and_a_large_one_does_not(
    pair: tuple[DataConnection, socket.socket], movers: Movers
) -> None:
    connection, client = pair
    for size, wants in ((5000, Wants.DONE), (70_000, Wants.THREAD)):
        source = Source(os.urandom(size))
        assert movers.of(SendFile(connection, source, lambda: None)).step_now() is wants
        os.close(source.file)
    assert len(everything(client)) == 5000


def test_what_was_read_on_the_loop_and_not_sent_is_sent_by_the_thread(
    pair: tuple[DataConnection, socket.socket],
) -> None:
    class Narrow:
        """A connection that takes a thousand bytes at once, and none at first."""

        full = True

        def send(self, data: memoryview, flags: int = 0) -> int:
            if self.full:
                raise NotReady(Side.WRITE)
            return pair[0].send(data[:1000])

        def __getattr__(self, name: str) -> Any:
            return getattr(pair[0], name)

    data = os.urandom(2500)
    narrow, source = Narrow(), Source(data)
    flow = SendFile(cast(DataConnection, narrow), source, lambda: None)
    with pytest.raises(NotReady):
        flow.move_now(5000)
    narrow.full = False
    assert [flow.move_now(5000), flow.move(5000), flow.move(5000), flow.move(5000)] == [1000, 1000, 500, 0]
    assert everything(pair[1]) == data
    os.close(source.file)


def test_an_upload_is_stored_on_the_loop_only_in_haste(pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair
    pieces: list[bytes] = []

    def receive(haste: Haste | None) -> Receive:
        return Receive(connection, lambda piece: pieces.append(bytes(piece)), lambda: None, Buffers(), haste)

    client.send(b"abc")
    patient = receive(None)
    hasty = receive(Haste())
    for flow in (patient, hasty):
        with pytest.raises(NotReady):  # for the first byte the loop can wait
            flow.move_now(100)
    with pytest.raises(WouldBlock):
        patient.move_now(100)
    assert pieces == []
    assert hasty.move_now(100) == 3
    client.shutdown(socket.SHUT_WR)
    assert hasty.move_now(100) == 0
    assert pieces == [b"abc"]


def test_what_computes_or_reads_anything_is_left_to_a_thread(movers: Movers) -> None:
    assert movers.of(SendBlocks(movers.connection, iter([b"x"]), lambda: None)).step_now() is Wants.THREAD


def test_what_could_not_be_stored_on_the_loop_is_stored_by_a_thread(
    pair: tuple[DataConnection, socket.socket],
) -> None:
    connection, client = pair
    pieces: list[bytes] = []
    ends: list[int] = []

    def write(piece: memoryview) -> None:
        be_patient()
        pieces.append(bytes(piece))

    def finish() -> None:
        be_patient()
        ends.append(1)

    flow = Receive(connection, write, finish, Buffers(), Haste())
    with pytest.raises(NotReady):
        flow.move_now(100)
    client.send(b"abc")
    with pytest.raises(WouldBlock):
        flow.move_now(100)
    assert flow.move(100) == 3
    client.shutdown(socket.SHUT_WR)
    with pytest.raises(WouldBlock):
        flow.move_now(100)
    assert (flow.move(100), pieces, ends) == (0, [b"abc"], [1])


def receive_at_once(
    connection: DataConnection, pieces: list[bytes], finish: Callable[[], None], counted: list[int]
) -> Receive:
    flow = Receive(connection, lambda piece: pieces.append(bytes(piece)), finish, Buffers(), Haste())
    flow.count = counted.append
    with pytest.raises(NotReady):
        flow.move_now(100)
    return flow


@pytest.mark.parametrize(
    ("size", "ends", "moved"),
    [(3, True, [0]), (3, False, [3]), (100, True, [100, 0]), (100, False, [100]), (0, True, [0])],
)
def test_an_upload_whose_end_is_here_with_its_bytes_takes_one_step(
    pair: tuple[DataConnection, socket.socket], size: int, ends: bool, moved: list[int]
) -> None:
    connection, client = pair
    pieces: list[bytes] = []
    counted: list[int] = []
    flow = receive_at_once(connection, pieces, lambda: pieces.append(b"end"), counted)
    client.sendall(b"x" * size)
    if ends:
        client.shutdown(socket.SHUT_WR)
    assert [flow.move_now(100) for _ in moved] == moved
    assert pieces == [b"x" * size] * (size > 0) + [b"end"] * ends
    assert sum(counted) == (size if moved == [0] else 0)  # else the mover counts


def test_what_could_not_be_put_in_place_at_once_is_by_a_thread(pair: tuple[DataConnection, socket.socket]) -> None:
    connection, client = pair
    pieces: list[bytes] = []

    def finish() -> None:
        be_patient()
        pieces.append(b"end")

    counted: list[int] = []
    flow = receive_at_once(connection, pieces, finish, counted)
    client.sendall(b"abc")
    client.shutdown(socket.SHUT_WR)
    with pytest.raises(WouldBlock):
        flow.move_now(100)
    assert (flow.move(100), pieces, counted) == (0, [b"abc", b"end"], [3])
