from __future__ import annotations

import asyncio
import threading

import pytest
from tests.servers.loops import Run

from homeport.core.patience import be_patient
from homeport.servers.haste import Haste
from homeport.servers.offload import Offload


def test_results_and_errors_come_back(run: Run) -> None:
    def divide(a: int, b: int = 1) -> int:
        assert threading.current_thread().name.startswith("disk-")
        return a // b

    async def main() -> None:
        offload = Offload(2, name="disk")
        assert await offload.run(divide, 6, b=2) == 3
        with pytest.raises(ZeroDivisionError):
            await offload.run(divide, 6, 0)
        offload.close()

    run(main())


def test_threads_start_as_needed_and_stay_within_the_bound(run: Run) -> None:
    async def main() -> None:
        offload = Offload(2)
        gate = threading.Event()
        await offload.run(int)
        assert offload.threads == 1
        jobs = [asyncio.ensure_future(offload.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        crowded_before = offload.crowded
        third = asyncio.ensure_future(offload.run(str))
        await asyncio.sleep(0)
        assert (crowded_before, offload.crowded) == (False, True)
        assert offload.threads == 2
        gate.set()
        assert await asyncio.gather(*jobs, third) == [True, True, ""]
        assert not offload.crowded
        offload.close()

    run(main())


def test_one_owner_has_half_of_the_threads_and_waits_for_himself_alone(run: Run) -> None:
    async def main() -> None:
        offload = Offload(4)
        gate = threading.Event()
        began: list[int] = []

        def hash_something_large(number: int) -> None:
            began.append(number)
            gate.wait(10)

        greedy = [asyncio.ensure_future(offload.run_for("greedy", hash_something_large, n)) for n in range(5)]
        await asyncio.sleep(0)
        crowded_before = offload.crowded  # three of them wait, so nobody lingers
        assert [await offload.run_for("modest", int), await offload.run(int)] == [0, 0]
        assert sorted(began) == [0, 1]
        gate.set()
        await asyncio.gather(*greedy)
        assert sorted(began) == [0, 1, 2, 3, 4]
        assert offload.threads <= 4
        assert (crowded_before, offload.crowded) == (True, False)
        offload.close()

    run(main())


def test_what_is_held_back_at_the_end_still_runs(run: Run) -> None:
    async def main() -> None:
        offload = Offload(2)
        gate = threading.Event()
        jobs = [asyncio.ensure_future(offload.run_for(1, gate.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        offload.close()
        assert await asyncio.gather(*jobs) == [True] * 3

    run(main())


def test_a_caller_that_is_gone_does_no_harm(run: Run) -> None:
    async def main() -> None:
        offload = Offload(1)
        gate = threading.Event()

        def fail() -> None:
            gate.wait(10)
            raise ValueError("nobody hears this")

        for call in (lambda: gate.wait(10), fail):
            caller = asyncio.ensure_future(offload.run(call))
            await asyncio.sleep(0)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
        gate.set()
        assert await offload.run(lambda: 5) == 5
        offload.close()

    run(main())


def test_nothing_runs_after_close(run: Run) -> None:
    async def main() -> None:
        offload = Offload(1)
        await offload.run(int)
        offload.close()
        offload.close()
        assert offload.threads == 0
        with pytest.raises(RuntimeError, match=r"^the thread pool is closed$"):
            await offload.run(int)

    run(main())


def test_a_result_for_a_loop_that_is_gone_is_dropped(run: Run) -> None:
    gate = threading.Event()
    offload = Offload(1)

    async def main() -> None:
        task = asyncio.ensure_future(offload.run(gate.wait, 10))
        await asyncio.sleep(0)
        task.cancel()

    run(main())
    gate.set()
    offload.close()


def test_few_work_at_once_until_nothing_gets_on(run: Run) -> None:
    async def main() -> None:
        offload = Offload(4, few=2, patience_s=0.001)
        gate = threading.Event()
        blocked = [asyncio.ensure_future(offload.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(offload.run(int))
        await asyncio.sleep(0)
        assert offload.crowded
        before = offload.threads
        assert await waiting == 0  # one more took part
        assert (before, offload.threads) == (2, 3)
        gate.set()
        await asyncio.gather(*blocked)
        assert await asyncio.gather(*(offload.run(int) for _ in range(50))) == [0] * 50
        assert offload.threads == 3
        offload.close()

    run(main())


def test_short_calls_stay_on_the_loop_while_they_are_short(run: Run) -> None:
    def thread_that_waits() -> threading.Thread:
        be_patient()
        return threading.current_thread()

    async def main() -> None:
        offload = Offload(1, haste=Haste())
        here = threading.current_thread()
        assert await offload.run_short(1, threading.current_thread) is here
        assert await offload.run_short(1, thread_that_waits) is not here  # for others the loop never waits
        assert await offload.run_short(1, threading.current_thread) is here
        await offload.run_short(1, threading.Event().wait, 0.15)
        assert await offload.run_short(1, threading.current_thread) is not here
        offload.close()

    run(main())
