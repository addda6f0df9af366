"""An engine over a server in memory, with a clock that only waits move."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.client.fake_remote import FakeServer

from homeport.client.engine import Engine
from homeport.client.events import Event, Summary
from homeport.client.items import Item, download, upload
from homeport.client.job import Surroundings
from homeport.client.options import TransferOptions
from homeport.client.retry import RetryPolicy

E = TypeVar("E")


@dataclass
class Bench:
    """One server, one engine a run, all events."""

    folder: Path
    server: FakeServer = field(default_factory=FakeServer)
    jobs: int = 1
    attempts: int = 4
    resume: bool = True
    verify: bool = True
    state_folder: Path | None = None
    events: list[Event] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    now: float = 0.0
    stop_at_wait: int | None = None

    def engine(self) -> Engine:
        options = TransferOptions(
            jobs=self.jobs,
            retry=RetryPolicy(attempts=self.attempts),
            resume=self.resume,
            verify=self.verify,
            fsync=False,
            state_folder=self.state_folder,
            progress_interval_s=0.0,
        )
        around = Surroundings(clock=lambda: self.now, wait=self.wait, random=lambda: 0.5)
        return Engine(self.server.dial, self.events.append, options, origin="ftp://a@h", surroundings=around)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return event.is_set()

    def run(self, *items: Item) -> Summary:
        with self.engine() as engine:
            return engine.run(items)

    def local(self, name: str, data: bytes | None = None) -> Path:
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    def put(self, name: str, remote: str, data: bytes | None = None) -> Summary:
        return self.run(upload(self.local(name, data), remote))

    def get(self, remote: str, name: str) -> Summary:
        return self.run(download(remote, self.local(name)))

    def heard(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def total(amounts: Iterable[int]) -> int:
    return sum(amounts)
