from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from homeport.protocols.ntp import Clock
from homeport.servers.udp.host_clock import HostClock, KernelClock, ask_kernel, precision_of

NS = 1_000_000_000
NOW_NS = 1_800_000_000 * NS


class Time:
    """Both clocks, of which the wall one steps by 100 ns each time it is read."""

    def __init__(self) -> None:
        self.monotonic = 5.0
        self.wall = NOW_NS

    def wall_ns(self) -> int:
        self.wall += 100
        return self.wall


def clock_of(ask: Callable[[], KernelClock | None], time: Time | None = None) -> HostClock:
    time = time or Time()
    return HostClock(7, ask, monotonic=lambda: time.monotonic, wall_ns=time.wall_ns)


@pytest.mark.parametrize(
    "kernel",
    [None, KernelClock(0, 0x40, 16_000_000), KernelClock(5, 0, 1000), KernelClock(5, 0x40, 16_000_000)],
)
def test_a_clock_that_nobody_keeps_is_told_so(kernel: KernelClock | None) -> None:
    assert clock_of(lambda: kernel).read() == Clock(False, 16, 3, -23, 16.0)


@pytest.mark.parametrize(("state", "leap"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_a_clock_that_is_kept(state: int, leap: int) -> None:
    read = clock_of(lambda: KernelClock(state, 0x2001, 20_000)).read()
    assert (read.synchronised, read.stratum, read.leap, read.precision) == (True, 7, leap, -23)
    assert read.dispersion_s == pytest.approx(0.0205, abs=1e-6)  # never less than the kernel's own bound
    assert read.dispersion_s > 0.0205
    assert read.reference_ns == pytest.approx(NOW_NS - 40 * NS, abs=1e6)  # 20 ms at 500 ppm


def test_the_kernel_is_asked_once_a_second() -> None:
    asked: list[None] = []
    time = Time()
    clock = clock_of(lambda: asked.append(None), time)
    for _ in range(100):
        clock.read()
        time.monotonic += 0.1
    assert len(asked) == 10


@pytest.mark.parametrize(("step", "precision"), [(1, -30), (100, -23), (1000, -20), (1_000_000, -10)])
def test_the_precision_is_the_step_of_the_clock(step: int, precision: int) -> None:
    times = iter(range(0, 10_000 * step, step))
    repeated = iter(sorted([*times] * 2))  # a clock that is read twice within a step
    assert precision_of(lambda: next(repeated)) == precision


def test_this_machine_s_kernel_tells_or_refuses() -> None:
    told = ask_kernel()
    assert told is None or (0 <= told.state <= 5 and 0 <= told.max_error_us <= 16_000_000)


def test_a_kernel_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        adjtimex = staticmethod(lambda _: -1)

    def load(found: Any) -> Callable[..., Any]:
        return lambda *_, **__: found

    monkeypatch.setattr(ctypes, "CDLL", load(Refuses))
    assert ask_kernel() is None
    monkeypatch.setattr(ctypes, "CDLL", load(object()))
    assert ask_kernel() is None
