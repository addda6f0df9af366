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


def test_a_wait_for_a_moment_needs_no_task(run: Run) -> None:
    seen: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second, over = eager.Moment(loop), eager.Moment(loop), eager.Moment(loop)
        future: asyncio.Future[str] = loop.create_future()
        over.set_result("over already")

        async def waiting() -> None:
            seen.append(await first)
            seen.append(await over)
            seen.append(await second)
            seen.append(asyncio.current_task() is None)
            seen.append(await future)
            seen.append(asyncio.current_task() is not None)

        tasks = len(asyncio.all_tasks())
        ended = eager.start(waiting(), loop)
        assert ended is not None
        first.set_result("first")
        assert (first.done(), second.done(), seen) == (True, False, [])
        await asyncio.sleep(0)
        second.set_result("second")
        await asyncio.sleep(0)
        assert seen == ["first", "over already", "second", True]
        assert len(asyncio.all_tasks()) == tasks + 1  # for the future
        future.set_result("future")
        await ended
        assert seen[4:] == ["future", True]

    run(main())


@pytest.mark.parametrize("in_task", [False, True])
def test_an_error_after_a_moment_is_told_at_the_end(run: Run, in_task: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        moment = eager.Moment(loop)

        async def failing() -> None:
            await moment
            if in_task:
                await asyncio.sleep(0)
            raise OSError("late")

        ended = eager.start(failing(), loop)
        assert ended is not None
        moment.set_result(None)
        with pytest.raises(OSError, match="late"):
            await ended

    run(main())


def test_a_task_that_is_cancelled_after_a_moment_ends_it_so(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        moment = eager.Moment(loop)
        tasks: list[asyncio.Task[object] | None] = []
        known = asyncio.Event()

        async def waiting() -> None:
            await moment
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
            known.set()
            await asyncio.sleep(100)

        ended = eager.start(waiting(), loop)
        assert ended is not None
        moment.set_result(None)
        await known.wait()
        assert tasks[0] is not None
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await ended

    run(main())
