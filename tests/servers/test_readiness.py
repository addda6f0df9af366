from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from tests.servers.loops import Run

from homeport.servers import eager
from homeport.servers.readiness import Side, Waits, Watch, Woken, watch_of


@pytest.fixture(params=["watch", "loop"])
def watch(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[Watch | None]]:
    """The running loop's watch, or none."""

    @contextmanager
    def watching() -> Iterator[Watch | None]:
        watch = watch_of(asyncio.get_running_loop()) if request.param == "watch" else None
        yield watch
        if watch is not None:
            watch.close()
            watch.close()

    return watching


def test_each_side_late_and_interrupted(run: Run, watch: Callable[[], AbstractContextManager[Watch | None]]) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with left, right, watch() as watched:
            left.setblocking(False)
            waits = Waits(watched)
            assert await waits.ready(left.fileno(), Side.WRITE, 5) is Woken.READY
            assert await waits.ready(left.fileno(), Side.READ, 0.001) is Woken.LATE
            assert await waits.pause(0.001) is Woken.LATE
            right.send(b"x")
            assert await waits.ready(left.fileno(), Side.READ, 5) is Woken.READY
            left.recv(1)
            waiting = asyncio.ensure_future(waits.ready(left.fileno(), Side.READ, 50))
            await asyncio.sleep(0)
            waits.interrupt()
            waits.interrupt()
            assert await waiting is Woken.INTERRUPTED
            assert await waits.ready(left.fileno(), Side.WRITE, 50) is Woken.INTERRUPTED
            assert await waits.pause(50) is Woken.INTERRUPTED

    run(main())


def test_after_an_interrupt_the_descriptor_can_be_closed_and_its_number_used_again(
    run: Run, watch: Callable[[], AbstractContextManager[Watch | None]]
) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with left, right, watch() as watched:
            waits, fd = Waits(watched), left.fileno()
            waiting = asyncio.ensure_future(waits.ready(fd, Side.READ, 50))
            await asyncio.sleep(0)
            waits.interrupt()
            os.dup2(right.fileno(), fd)
            again = asyncio.ensure_future(Waits(watched).ready(fd, Side.WRITE, 50))
            assert await waiting is Woken.INTERRUPTED
            assert await again is Woken.READY

    run(main())


def test_a_pause_can_be_interrupted(run: Run) -> None:
    async def main() -> None:
        waits = Waits()
        waits_for = asyncio.ensure_future(waits.pause(50))
        await asyncio.sleep(0)
        waits.interrupt()
        assert await waits_for is Woken.INTERRUPTED

    run(main())


def test_many_wait_at_once_and_some_when_the_watch_is_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.servers.readiness._AT_ONCE", 2)

    async def main() -> None:
        watch = watch_of(asyncio.get_running_loop())
        assert watch is not None
        pairs = [socket.socketpair() for _ in range(5)]
        waiting = [asyncio.ensure_future(Waits(watch).ready(left.fileno(), Side.READ, 50)) for left, _ in pairs]
        await asyncio.sleep(0)
        for _, right in pairs:
            right.send(b"x")
        assert await asyncio.gather(*waiting) == [Woken.READY] * 5
        pairs[0][0].recv(1)
        waits = Waits(watch)
        last = asyncio.ensure_future(waits.ready(pairs[0][0].fileno(), Side.READ, 50))
        await asyncio.sleep(0)
        watch.close()
        waits.interrupt()
        assert await last is Woken.INTERRUPTED
        for left, right in pairs:
            left.close()
            right.close()

    run(main())


def test_without_epoll_there_is_no_watch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")

    async def main() -> None:
        assert watch_of(asyncio.get_running_loop()) is None

    run(main())


def test_long_time_outs_share_one_timer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.servers.readiness._LONG_S", 0.0)
    monkeypatch.setattr("homeport.servers.readiness._ROUND_S", 0.001)

    async def main() -> None:
        left, right = socket.socketpair()
        watch = watch_of(asyncio.get_running_loop())
        assert watch is not None
        with left, right:
            late = asyncio.ensure_future(Waits(watch).ready(left.fileno(), Side.READ, 0.01))
            patient = asyncio.ensure_future(Waits(watch).ready(right.fileno(), Side.READ, 50))
            assert await late is Woken.LATE
            left.send(b"x")
            assert await patient is Woken.READY
        watch.close()

    run(main())


def test_outside_a_task_it_waits_without_one(
    run: Run, watch: Callable[[], AbstractContextManager[Watch | None]]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right, watch() as watched:
            waits, seen, twice = Waits(watched), list[object](), asyncio.Event()

            async def waiting() -> None:
                seen.append(await waits.ready(left.fileno(), Side.WRITE, 50))
                seen.append(await waits.ready(left.fileno(), Side.READ, 0.001))
                twice.set()
                seen.append(await waits.ready(left.fileno(), Side.READ, 50))
                seen.append(asyncio.current_task())

            tasks = len(asyncio.all_tasks())
            loop.call_soon(lambda: ends.append(eager.start(waiting(), loop)))  # in no task
            ends: list[asyncio.Future[None] | None] = []
            await twice.wait()
            assert len(asyncio.all_tasks()) == tasks
            waits.interrupt()
            assert ends[0] is not None
            await ends[0]
            assert seen == [Woken.READY, Woken.LATE, Woken.INTERRUPTED, None]

    run(main())
