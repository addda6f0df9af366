"""Running a command in a real sandbox and telling what came of it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.interop.live_server import require

from homeport.servers.sandbox.bubblewrap import PROGRAM, Confiner, SandboxUnavailable
from homeport.servers.sandbox.environment import PATH
from homeport.servers.sandbox.launch import Order
from homeport.servers.sandbox.running import Ended, RunningCommand
from homeport.servers.sandbox.sandbox import Sandbox
from homeport.servers.sandbox.streams import Outlet
from homeport.servers.sandbox.view import View, shell

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    ended: Ended
    output: str
    errors: str

    @property
    def status(self) -> int:
        return self.ended.status


class Confined:
    """A sandbox on a folder, for the account `alice`."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.home.mkdir()
        self.sandbox = Sandbox(root / "scratch")

    async def start(self, *argv: str, view: dict[str, Any] | None = None, **order: Any) -> RunningCommand:
        """Start `argv`; a single word with blanks goes to a shell."""
        words = (shell(), "-c", argv[0]) if len(argv) == 1 and " " in argv[0] else argv
        seen = View(name="alice", home=self.home, tmp_bytes=8 << 20)
        variables = {"PATH": PATH, "HOME": seen.inside, "TERM": "xterm"}

        def make(confiner: Confiner) -> Order:
            shown = replace(seen, devices=confiner.devices, **(view or {}))
            return Order(argv=words, environment=variables, view=shown, **order)

        return await self.sandbox.start(make)

    async def run(self, *argv: str, given: bytes = b"", **order: Any) -> Said:
        """Run it to its end, with `given` as its input."""
        command = await self.start(*argv, **order)
        try:
            return await asyncio.wait_for(self._talk(command, given), PATIENCE_S)
        finally:
            command.kill("the test is over")
            await command.wait()
            command.close()

    async def _talk(self, command: RunningCommand, given: bytes) -> Said:
        async def feed() -> None:
            await command.input.write(given)
            if command.errors is not None:
                command.input.close()

        output, errors, _ = await asyncio.gather(all_of(command.output), all_of(command.errors), feed())
        return Said(await command.wait(), output.decode(), errors.decode())


async def all_of(outlet: Outlet | None) -> bytes:
    """All that comes out of it."""
    parts: list[bytes] = []
    while outlet is not None and (part := await outlet.read(65536)):
        parts.append(part)
    return b"".join(parts)


async def line_of(outlet: Outlet, wanted: bytes) -> bytes:
    """What comes out of it up to and with `wanted`."""
    came = b""
    async with asyncio.timeout(PATIENCE_S):
        while wanted not in came:
            part = await outlet.read(65536)
            assert part, f"it ended without {wanted!r}: {came!r}"
            came += part
    return came


def require_sandbox(root: Path) -> None:
    """Skip the test where this machine cannot confine commands, or fail where the machine must be able to."""
    require(PROGRAM)
    sandbox = Sandbox(root / "probe")
    try:
        asyncio.run(sandbox.prepare())
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    finally:
        sandbox.close()
        shutil.rmtree(root / "probe", ignore_errors=True)
