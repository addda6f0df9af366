"""A worker with a server that does next to nothing, run by daemon tests as `python -m tests.daemon.fake_worker`.

The instance folder tells how it behaves: a file `fail-start` or `fail-bind` makes it fail, `slow-start` makes starting
take as long as it is there, `slow-drain` makes draining take until its deadline, `calls` collects what it was asked.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence

from homeport.daemon.assignment import Assignment
from homeport.daemon.errors import ControlRefused
from homeport.daemon.wire import Message
from homeport.daemon.worker import App, main
from homeport.servers.lifecycle import Address, Server


class FakeServer:
    name = "ftp"

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._listener: asyncio.Server | None = None
        self.addresses: tuple[Address, ...] = ()

    def _told(self, name: str) -> bool:
        return (self._assignment.instance.directory / name).exists()

    async def bind(self) -> None:
        if self._told("fail-bind"):
            raise OSError(98, "Address already in use")
        ftp = self._assignment.settings.ftp
        self._listener = await asyncio.start_server(self._greet, "127.0.0.1", ftp.port, reuse_port=True)
        self.addresses = (Address("ftp", "127.0.0.1", ftp.port),)

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{os.getpid()}\n{gc.get_threshold()[0]} {gc.get_freeze_count() > 0}\n".encode())
        writer.close()

    async def serve(self) -> None:
        pass

    async def drain(self, deadline_s: float) -> None:
        if self._told("slow-drain"):
            await asyncio.sleep(deadline_s)

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()


class FakeApp:
    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._server = FakeServer(assignment)

    @property
    def servers(self) -> Sequence[Server]:
        return (self._server,)

    async def start(self) -> None:
        directory = self._assignment.instance.directory
        while (directory / "slow-start").exists():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(0.01)
        if (directory / "fail-start").exists():
            raise RuntimeError("the database has gone away")

    async def housekeep(self) -> None:
        pass

    async def answer(self, verb: str, arguments: Message) -> Message | None:
        told = arguments.get("settings", {}).get("ftp", {}).get("greeting", arguments)
        await asyncio.to_thread(self._note, f"{verb} {told}\n")
        if verb == "reload" and arguments["settings"]["ftp"]["greeting"] == "refuse me":
            raise ControlRefused("config", "the certificate cannot be used")
        answers: dict[str, Message] = {
            "status": {"sessions": 2},
            "who": {"sessions": [{"id": f"{os.getpid()}", "name": "bob", "since": 0.0}]},
            "kick": {"kicked": int(arguments.get("target") == "bob")},
            "account-changed": {"kicked": 1},
            "reload": {},
        }
        return answers[verb]

    def _note(self, line: str) -> None:
        with open(self._assignment.instance.directory / "calls", "a", encoding="utf-8") as calls:
            calls.write(line)

    async def close(self) -> None:
        pass


def build(assignment: Assignment) -> App:
    return FakeApp(assignment)


if __name__ == "__main__":
    sys.exit(main(build))
