"""Somebody inside the home swaps folders and files for links to the outside while the jail works: nothing escapes."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.core.jails import RESOLVERS, SECRET, at, nothing_left_open

from homeport.core.errors import HomeportError, OutsideHome
from homeport.core.jail import Jail

RACE_S = 1.5
_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


class Attacker:
    """Swaps the folder `d` with a link, and puts links and files in place of `f`, in a thread of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.swaps = 0

    def __enter__(self) -> Attacker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        folder, link, leaf, new = (os.fsencode(self._home / name) for name in ("d", "d-link", "f", "new"))
        while not self._stop.is_set():
            self.swaps += _libc.renameat2(-100, folder, -100, link, _EXCHANGE) == 0
            os.symlink("../outside/passwd", new)
            os.rename(new, leaf)
            self.swaps += _libc.renameat2(-100, folder, -100, link, _EXCHANGE) == 0
            os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
            os.rename(new, leaf)


@pytest.fixture(autouse=True)
def _threads_alternate_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`d` is a folder, `d-link` leads to one outside with the same names; `f` and `g` are files."""
    outside = tmp_path / "outside"
    home = tmp_path / "home"
    for folder, content in ((outside, SECRET), (home / "d", b"inside")):
        (folder / "sub").mkdir(parents=True)
        (folder / "empty").mkdir()
        (folder / "passwd").write_bytes(content)
    (home / "d-link").symlink_to("../outside")
    (home / "f").write_bytes(b"inside")
    (home / "g").write_bytes(b"inside")
    (tmp_path / "stages").mkdir()
    return home


def state_of(folder: Path) -> list[tuple[str, int, int, bytes]]:
    """Everything outside that an escape could have changed."""
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        looked = path.stat()
        found.append((path.name, looked.st_mode, looked.st_mtime_ns, path.read_bytes() if path.is_file() else b""))
    return found


class Victim:
    """Does everything that a session can do, through names that the attacker swaps."""

    def __init__(self, jail: Jail, stages: Path) -> None:
        self._jail = jail
        self._stages = stages
        self._stage_fd = os.open(stages, os.O_RDONLY)
        self._outside = state_of(stages.parent / "outside")
        self.outcomes: Counter[str] = Counter()

    def close(self) -> None:
        os.close(self._stage_fd)

    def _read(self, path: str) -> None:
        fd = self._jail.open_file(at(path))
        try:
            assert SECRET not in os.read(fd, 100)
        finally:
            os.close(fd)

    def _list(self) -> None:
        with self._jail.scan(at("d"), through_links=True) as entries:
            assert all(entry.size != len(SECRET) for entry in entries if entry.name == "passwd")

    def _store(self, path: str) -> None:
        (self._stages / "stage").write_bytes(b"inside")
        self._jail.install(self._stage_fd, "stage", at(path))

    def _create(self) -> None:
        os.close(self._jail.create_exclusive(at("d/created")))

    def _again(self, path: str) -> None:
        """What others remove comes back, so that every deed has something to act on."""
        with suppress(HomeportError):
            self._store(path)

    def deeds(self) -> dict[str, Callable[[], object]]:
        jail = self._jail
        return {
            "read": lambda: self._read("d/passwd"),
            "read leaf": lambda: self._read("f"),
            "list": self._list,
            "names": lambda: jail.names(at("d")).__enter__(),
            "stat": lambda: jail.stat(at("d/passwd")),
            "store": lambda: self._store("d/passwd"),
            "store leaf": lambda: self._store("f"),
            "create": self._create,
            "remove created": lambda: jail.remove_file(at("d/created")),
            "make folder": lambda: jail.make_directory(at("d/made"), 0o750),
            "remove folder": lambda: jail.remove_directory(at("d/made")),
            "remove": lambda: jail.remove_file(at("d/passwd")),
            "restore": lambda: self._again("d/passwd"),
            "rename in": lambda: jail.rename(at("g"), at("d/moved")),
            "rename out": lambda: jail.rename(at("d/moved"), at("g")),
            "rename within": lambda: jail.rename(at("d/sub"), at("d/renamed")),
            "rename back": lambda: jail.rename(at("d/renamed"), at("d/sub")),
            "times": lambda: jail.set_times(at("d/passwd"), 0),
            "times leaf": lambda: jail.set_times(at("f"), 0),
            "mode": lambda: jail.set_mode(at("d"), 0o755),
            "mode leaf": lambda: jail.set_mode(at("f"), 0o644),
            "count": jail.walk_count,
        }

    def run_until(self, deadline: float) -> None:
        deeds = self.deeds()
        while time.monotonic() < deadline:
            for name, deed in deeds.items():
                try:
                    deed()
                except HomeportError as error:
                    self.outcomes[f"{name}: {type(error).__name__}"] += 1
                    self.outcomes[type(error).__name__] += 1
                else:
                    self.outcomes[name] += 1
            assert state_of(self._stages.parent / "outside") == self._outside


@pytest.mark.timeout(60)
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_nothing_escapes_while_names_are_swapped(resolver: object, home: Path) -> None:
    with nothing_left_open():
        jail = Jail(home, resolver)  # type: ignore[arg-type]
        victim = Victim(jail, home.parent / "stages")
        with Attacker(home) as attacker:
            victim.run_until(time.monotonic() + RACE_S)
        victim.close()
        jail.close()
    # The race was one: both sides of the swap were met, often.
    assert attacker.swaps > 1000
    for deed in ("read", "read leaf", "list", "store", "store leaf", "create", "make folder", "rename in", "mode leaf"):
        assert victim.outcomes[deed] > 0, victim.outcomes
        assert victim.outcomes[f"{deed}: {OutsideHome.__name__}"] > 0, victim.outcomes
