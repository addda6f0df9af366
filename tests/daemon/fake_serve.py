"""`homeport serve` with workers of fake_worker.py: no accounts, no certificate, one processor, starts fast."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from homeport.config.load import load
from homeport.daemon import logs
from homeport.daemon.errors import DaemonError
from homeport.daemon.instance import Instance
from homeport.daemon.master import Master, Running


def announce(running: Running) -> None:
    print(f"ready {running.services}", flush=True)


async def serve(directory: Path, overrides: list[str]) -> None:
    instance = Instance(directory)
    settings = load(directory, overrides)
    instance.create(settings)
    with instance.lock():
        await Master(instance, settings, overrides, announce, worker_module="tests.daemon.fake_worker").run()


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # so that `workers = auto` is 1 on every machine
    logs.configure("debug", "master")
    try:
        asyncio.run(serve(Path(sys.argv[1]), sys.argv[2:]))
    except DaemonError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
