"""A server in a thread with an event loop of its own, until the block ends: what the tests' running servers share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tests.servers.loops import FACTORIES

from homeport.servers.core_access import CoreAccess
from homeport.servers.lifecycle import Server

T = TypeVar("T")
S = TypeVar("S", bound=Server)
PATIENCE_S = 60.0


@dataclass
class Living(Generic[S]):
    """The server, what it was given, and the way to its loop."""

    server: S
    core: CoreAccess
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], T]) -> T:
        """Run something in the server's loop."""

        async def called() -> T:
            return function()

        return self.wait(called())

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop until it ends."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)


@contextmanager
def living(build: Callable[[], tuple[S, CoreAccess]], loop: str) -> Iterator[Living[S]]:
    """Serve with what `build` makes in the loop's thread. Nothing may be left of any client when the block ends."""
    started, stop = threading.Event(), asyncio.Event()
    running: list[Living[S]] = []
    failure: list[BaseException] = []

    async def main() -> None:
        server, core = build()
        try:
            await server.bind()
            await server.serve()
            running.append(Living(server, core, asyncio.get_running_loop()))
            started.set()
            await stop.wait()
        finally:
            await server.close()
            for threads in (core.files, core.listings, core.logins):
                threads.close()

    def live() -> None:
        try:
            with asyncio.Runner(loop_factory=FACTORIES[loop], debug=False) as runner:
                runner.run(main())
        except BaseException as error:
            failure.append(error)
            started.set()

    thread = threading.Thread(target=live, name="server")
    thread.start()
    assert started.wait(PATIENCE_S)
    try:
        if failure:
            raise failure[0]
        yield running[0]
    finally:
        if running:
            running[0].loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    if failure:
        raise failure[0]
    assert len(running[0].core.sessions) == 0
