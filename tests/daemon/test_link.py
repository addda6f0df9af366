from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from homeport.daemon.errors import ControlRefused
from homeport.daemon.link import Link, LinkClosed
from homeport.daemon.wire import Message


async def answer(verb: str, arguments: Message) -> Message | None:
    if verb == "refuse":
        raise ControlRefused("busy", "not now")
    if verb == "break":
        raise RuntimeError("oh")
    if verb == "never":
        await asyncio.Event().wait()
    return {"verb": verb, **arguments} if verb != "nothing" else None


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Link]]:
    left, right = socket.socketpair()
    links = Link(answer), Link(answer)
    for link, connection in zip(links, (left, right), strict=True):
        connection.setblocking(False)
        await link.open(connection)
    tasks = [asyncio.create_task(link.run()) for link in links]
    try:
        yield links
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test, 10)

    asyncio.run(bounded())


def test_both_sides_call() -> None:
    async def scenario() -> None:
        async with linked() as (left, right):
            assert await left.call("a", {"x": 1}) == {"verb": "a", "x": 1}
            assert await right.call("nothing") == {}
            many = await asyncio.gather(*(left.call("n", {"n": n}) for n in range(50)))
            assert [found["n"] for found in many] == list(range(50))

    run(scenario())


def test_refusals_and_failures(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with linked() as (left, _):
            with pytest.raises(ControlRefused, match="not now"):
                await left.call("refuse")
            with pytest.raises(ControlRefused, match="break: oh"):
                await left.call("break")

    run(scenario())
    assert "break failed" in caplog.text


def test_a_call_has_an_end() -> None:
    async def scenario() -> None:
        async with linked() as (left, _):
            with pytest.raises(TimeoutError):
                await left.call("never", timeout_s=0.01)
            assert await left.call("a") == {"verb": "a"}

    run(scenario())


def test_the_other_side_goes_away() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        link = Link(answer)
        await link.open(ours)
        running = asyncio.create_task(link.run())
        waiting = asyncio.create_task(link.call("a"))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(LinkClosed):
            await waiting
        await running
        with pytest.raises(LinkClosed):
            link.tell("a")

    run(scenario())


@pytest.mark.parametrize("line", [b"garbage\n", b"[]\n", b'{"answer": 99, "ok": true, "result": {}}\n'])
def test_a_line_that_makes_no_sense(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        link = Link(answer)
        await link.open(ours)
        with theirs:
            theirs.sendall(line)
        await link.run()

    run(scenario())
    assert ("the link to another process broke" in caplog.text) == (not line.startswith(b'{"answer"'))


def test_nobody_listens_before_it_is_open() -> None:
    with pytest.raises(LinkClosed):
        Link(answer).tell("a")
