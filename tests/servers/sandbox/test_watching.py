"""Who watches a command stops it, and says why; a watch that fails stops it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
from tests.servers.loops import run_on, until

from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.watching import SWITCHED_OFF, Watch

T = TypeVar("T")


class Stopped:
    """A command, its meter and the threads of the sandbox, as far as a watch knows them."""

    pause_s = 0.0

    def __init__(self, reason: str | Exception | None = None) -> None:
        self.reason = reason
        self.reasons: list[str] = []

    def kill(self, reason: str) -> None:
        self.reasons.append(reason)

    def cpu_s(self) -> float:
        return 0.0

    def unlinked_bytes(self) -> int:
        return 0

    def look(self, _: float, __: Callable[[], int]) -> str | None:
        if isinstance(self.reason, Exception):
            raise self.reason
        return self.reason

    async def metered(self, call: Callable[[], T]) -> T:
        return call()


def first_reason(stopped: Stopped, *, may_go_on: bool = True, **limits: Any) -> str:
    async def main() -> str:
        fake = cast(Any, stopped)
        keeping = asyncio.ensure_future(Watch(fake, fake, Limits(**limits), lambda: may_go_on).keep(fake))
        await until(lambda: stopped.reasons)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        return stopped.reasons[0]

    return run_on("asyncio", main())


@pytest.mark.parametrize(
    ("reason", "may_go_on", "said"),
    [
        ("the quota of 5 bytes is used up", True, "the quota of 5 bytes is used up"),
        ("the quota of 5 bytes is used up", False, SWITCHED_OFF),
        (None, False, SWITCHED_OFF),
        (OSError("no such thing"), True, "the server failed to watch it"),
    ],
)
def test_why_it_is_stopped(
    reason: str | Exception | None, may_go_on: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert first_reason(Stopped(reason), may_go_on=may_go_on) == said
    assert ("could not be watched" in caplog.text) is isinstance(reason, Exception)


def test_it_may_last_so_long() -> None:
    assert first_reason(Stopped(), wall_s=0.01) == "it took 0.01 s"


def test_it_may_say_so_much() -> None:
    stopped = Stopped()
    watch = Watch(cast(Any, stopped), cast(Any, stopped), Limits(output_bytes=10), lambda: True)
    assert watch.said(10)
    assert not watch.said(1)
    assert (watch.output_bytes, stopped.reasons) == (11, ["it has said more than 10 bytes"])
