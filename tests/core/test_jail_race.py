"""Somebody inside the home swaps folders and files for links to the outside while the jail works: nothing escapes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.core.jails import RESOLVERS, SECRET, at, nothing_left_open

from homeport.core.errors import HomeportError, OutsideHome
from homeport.core.jail import Jail

RACE_S = 1.5
RACE_MAX_S = 20.0


class Attacker:
    """Swaps the folder `d` with a link, and puts links and files in place of `f`, as a process of its own."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-I", "-S", "-c", _ATTACK, str(home)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.swaps = 0

    def __enter__(self) -> Attacker:
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        return self

    def __exit__(self, *_: object) -> None:
        told = self._process.communicate(timeout=10)[0]  # closes its standard input: the sign to stop
        self.swaps = int(told)


# In a process of its own, so that it and the victim never wait for one interpreter lock.
_ATTACK = """
import ctypes, os, select, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
print("begun", flush=True)
swaps = 0
while not select.select([0], [], [], 0)[0]:
    for _ in range(20):
        swaps += libc.renameat2(-100, b"d", -100, b"d-link", 2) == 0  # RENAME_EXCHANGE
        os.symlink("../outside/passwd", "new")
        os.rename("new", "f")
        swaps += libc.renameat2(-100, b"d", -100, b"d-link", 2) == 0
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, 0o600))
        os.rename("new", "f")
print(swaps)
"""


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

    def run(self) -> None:
        """Do everything for the race's time, and on until every deed met both sides of the swap."""
        deeds = self.deeds()
        begun = time.monotonic()
        while time.monotonic() < begun + RACE_S or (self.unmet() and time.monotonic() < begun + RACE_MAX_S):
            for name, deed in deeds.items():
                try:
                    deed()
                except HomeportError as error:
                    self.outcomes[f"{name}: {type(error).__name__}"] += 1
                else:
                    self.outcomes[name] += 1
            assert state_of(self._stages.parent / "outside") == self._outside

    def unmet(self) -> list[str]:
        """Deeds that have not both succeeded and been refused yet."""
        both = ("read", "read leaf", "list", "store", "store leaf", "create", "make folder", "rename in", "mode leaf")
        wanted = [outcome for deed in both for outcome in (deed, f"{deed}: {OutsideHome.__name__}")]
        return [outcome for outcome in wanted if not self.outcomes[outcome]]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_nothing_escapes_while_names_are_swapped(resolver: object, home: Path) -> None:
    with nothing_left_open():
        jail = Jail(home, resolver)  # type: ignore[arg-type]
        victim = Victim(jail, home.parent / "stages")
        with Attacker(home) as attacker:
            victim.run()
        victim.close()
        jail.close()
    assert victim.unmet() == [], victim.outcomes
    assert attacker.swaps > 100
