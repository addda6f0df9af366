"""What the tests of the jail share: both resolvers, a home beside a secret, and a look at open descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeport.core.beneath import Resolver, WalkingResolver
from homeport.core.openat2 import KernelResolver, available
from homeport.core.paths import ROOT, VirtualPath

RESOLVERS = [
    pytest.param(
        KernelResolver(), id="kernel", marks=pytest.mark.skipif(not available(), reason="this kernel has no openat2")
    ),
    pytest.param(WalkingResolver(), id="walk"),
]

SECRET = b"root:x:0:0"


def at(text: str) -> VirtualPath:
    return ROOT.join(text)


def make_home(tmp_path: Path) -> Path:
    """A home beside a folder that nobody may see or touch from it."""
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "secret").write_bytes(SECRET)
    home = tmp_path / "home"
    (home / "folder" / "deep").mkdir(parents=True)
    (home / "file").write_bytes(b"file")
    (home / "folder" / "inner").write_bytes(b"inner")
    return home


def open_descriptors() -> set[str]:
    """What this process has open now, as numbers and what they stand for."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the listing's own
            continue
    return found


@contextmanager
def nothing_left_open() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() <= before


__all__ = ["RESOLVERS", "SECRET", "Resolver", "at", "make_home", "nothing_left_open", "open_descriptors"]
