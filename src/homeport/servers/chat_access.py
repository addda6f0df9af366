"""What servers get of the chat: one hub for all protocols of a worker, keys, and whether an account may still come in.

The one rule: the hub's calls block, so they run in threads of the chat's own; neither transfers nor logins wait for
them, nor they for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeport.core.accounts import Account
from homeport.core.chat_keys import ChatKeys
from homeport.core.sessions import SessionRecord
from homeport.servers.chat_hub import ChatHub
from homeport.servers.offload import Offload


@dataclass(frozen=True, slots=True)
class ChatAccess:
    """`account_of` gives an account by its number, as it is now; `watch` ends a session when its account may not stay,
    and raises LoginRefused where that is so already. Both block. `port` is the UDP service's.
    """

    hub: ChatHub
    keys: ChatKeys
    account_of: Callable[[int], Account]
    watch: Callable[[Account, SessionRecord], None]
    threads: Threads
    port: int


class Threads:
    """The hub's `run` over a pool of threads."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, call: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """See chat_hub.Run."""
        task = asyncio.get_running_loop().create_task(self._run(call, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            result = await self._offload.run(call)
        except Exception as error:  # noqa: BLE001 - carried over to whoever asked
            done(error)
        else:
            done(result)

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """End the threads. Off the loop, or when it is idle."""
        self._offload.close()
