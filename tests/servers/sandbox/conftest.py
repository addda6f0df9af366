"""A sandbox for every test that wants one; nothing of it may be left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.loops import run_on
from tests.servers.sandbox.confined import Confined, require_sandbox


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[Confined]:
    require_sandbox(tmp_path)
    run_on("uvloop", asyncio.sleep(0))  # it keeps some descriptors of its own
    descriptors = set(os.listdir("/proc/self/fd"))
    made = Confined(tmp_path)
    yield made
    made.sandbox.close()
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors), "descriptors were left open"
    assert not _of_home(made.home), "processes were left behind"


def _of_home(home: Path) -> list[str]:
    """Processes that have the home mounted in a place of their own."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            mounts = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if f"{home} /home/alice " in mounts:
            found.append(pid)
    return found
