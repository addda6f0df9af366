from __future__ import annotations

import asyncio

import pytest
from tests.servers.loops import Run

from homeport.servers import eager


def test_a_coroutine_that_never_waits_makes_no_task(run: Run) -> None:
    done = []

    async def quick() -> None:
        done.append(1)

    async def main() -> None:
        assert eager.start(quick(), asyncio.get_running_loop()) is None
        assert done == [1]

    run(main())


def test_an_early_error_reaches_the_caller(run: Run) -> None:
    async def failing() -> None:
        raise KeyError("early")

    async def main() -> None:
        with pytest.raises(KeyError, match="early"):
            eager.start(failing(), asyncio.get_running_loop())

    run(main())


def test_the_rest_goes_on_in_a_task(run: Run) -> None:
    seen: list[object] = []

    async def slow(first: asyncio.Future[str]) -> None:
        seen.append(await first)
        await asyncio.sleep(0)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
        await asyncio.sleep(0)
        seen.append(asyncio.current_task() is not None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first: asyncio.Future[str] = loop.create_future()
        task = eager.start(slow(first), loop)
        assert task is not None
        first.set_result("value")
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await task
        assert seen == ["value", "cancelled", True]

    run(main())


def test_a_late_error_is_the_tasks_error(run: Run) -> None:
    async def failing(first: asyncio.Future[str]) -> None:
        await first

    async def swallowing(first: asyncio.Future[str]) -> None:
        try:
            await first
        except OSError:
            return

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call, caught in ((failing, False), (swallowing, True)):
            first: asyncio.Future[str] = loop.create_future()
            task = eager.start(call(first), loop)
            assert task is not None
            first.set_exception(OSError("late"))
            if caught:
                await task
            else:
                with pytest.raises(OSError, match="late"):
                    await task

    run(main())
