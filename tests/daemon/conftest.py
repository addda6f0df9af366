from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from homeport.daemon.control_client import ask
from homeport.daemon.instance import Instance
from homeport.daemon.wire import Message

ROOT = Path(__file__).parents[2]
LONGEST_S = 30.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, at most LONGEST_S."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        select.select([], [], [], 0.02)


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    instance: Instance
    output: str = ""

    def ready_line(self) -> str:
        """Wait for the line; what came before it is in `output`."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + LONGEST_S
        while not (found := re.search(r"^ready.*\n", self.output, re.MULTILINE)):
            assert time.monotonic() < deadline, f"not ready: {self.output}{self.log()}"
            if select.select([self.process.stdout], [], [], 1.0)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536).decode()
                assert piece, f"ended with {self.process.wait()}: {self.output}{self.log()}"
                self.output += piece
        return found[0]

    def log(self) -> str:
        return (self.instance.directory / "stderr").read_text(encoding="utf-8")

    def ask(self, verb: str, **arguments: object) -> Message:
        return ask(self.instance, verb, dict(arguments))

    def status(self) -> Message:
        return self.ask("status")

    def worker_pids(self) -> list[int]:
        return list(self.status()["worker_pids"])

    def wait(self) -> int:
        return self.process.wait(LONGEST_S)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts fake servers on tmp_path/instance; whatever still runs at the end is killed."""
    started: list[Running] = []
    directory = tmp_path / "instance"
    directory.mkdir(mode=0o700)

    def begin(*overrides: str, ready: bool = True) -> Running:
        with open(directory / "stderr", "w", encoding="utf-8") as stderr:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.daemon.fake_serve",
                    str(directory),
                    "ftp.port=0",
                    "time.port=0",
                    "ntp.port=0",
                    "chat.port=0",
                    "hptp.port=0",
                    "ssh.port=0",
                    *overrides,
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(Running(process, Instance(directory)))
        if ready:
            started[-1].ready_line()
        return started[-1]

    yield begin
    for running in started:
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = re.search(r"\) (\w)", Path(f"/proc/{pid}/stat").read_text(encoding="ascii"))
    except OSError:
        return False
    return state is not None and state[1] != "Z"
