from __future__ import annotations

import asyncio
import socket

from tests.servers.loops import Run

from homeport.servers.readiness import Side, Waits, Woken


def test_each_side_late_and_interrupted(run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            waits = Waits()
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


def test_a_pause_can_be_interrupted(run: Run) -> None:
    async def main() -> None:
        waits = Waits()
        waits_for = asyncio.ensure_future(waits.pause(50))
        await asyncio.sleep(0)
        waits.interrupt()
        assert await waits_for is Woken.INTERRUPTED

    run(main())
