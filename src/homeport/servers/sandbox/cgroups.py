"""Bounding a command and all that it starts together: memory and number of processes, by the kernel's control groups.

The one rule: a group is made for one command, and is removed when nobody is in it any more. Version 2 is taken where it
has the controllers, else version 1 (each controller a tree of its own); where the server may make none, limits of each
process must do (see `limits`).
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NEEDED = ("memory", "pids")
_PREFIX, _LEAF = "homeport-", "homeport-server"
_numbers = itertools.count(1)  # of groups that this process has made


@dataclass(frozen=True, slots=True)
class Group:
    """One command's group: a folder for each tree."""

    folders: tuple[Path, ...]

    def join(self, pid: int) -> None:
        """Put the process in, and with it what it starts from now on. Raises OSError."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def ran_out(self) -> bool:
        """Whether the kernel has killed somebody in it because its memory was used up."""
        lines = [line.split() for folder in self.folders for line in _told_of_memory(folder)]
        return any(line[0] == "oom_kill" and line[1] != "0" for line in lines if len(line) == 2)

    def remove(self) -> bool:
        """Remove it, unless somebody is in it still; whether it is gone."""
        gone = True
        for folder in self.folders:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


def _told_of_memory(folder: Path) -> list[str]:
    for name in ("memory.events", "memory.oom_control"):  # versions 2 and 1
        with suppress(OSError):
            return (folder / name).read_text(encoding="ascii").splitlines()
    return []


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made: `parents` are folders, `rules` what is written into a new group there."""

    parents: tuple[Path, ...]
    rules: Callable[[int, int], dict[str, int]]

    def make(self, memory_bytes: int, processes: int) -> Group:
        """A new group with these limits. Raises OSError."""
        name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        made: list[Path] = []
        try:
            for parent in self.parents:
                made.append(_fresh(parent / name))
                self._limit(parent / name, memory_bytes, processes)
        except OSError:
            Group(tuple(made)).remove()
            raise
        return Group(tuple(made))

    def _limit(self, folder: Path, memory_bytes: int, processes: int) -> None:
        for file, value in self.rules(memory_bytes, processes).items():
            with suppress(FileNotFoundError):  # another controller's, or a kernel without counted swap
                _set(folder / file, value)


def _fresh(folder: Path) -> Path:
    """A new group, in the place of one that a dead process of the same number may have left."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        os.rmdir(folder)
        os.mkdir(folder, 0o700)
    return folder


def _set(file: Path, value: int) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CLOEXEC), "w", encoding="ascii") as opened:  # never makes one
        opened.write(str(value))


def _rules_v1(memory_bytes: int, processes: int) -> dict[str, int]:
    return {
        "memory.limit_in_bytes": memory_bytes,
        "memory.memsw.limit_in_bytes": memory_bytes,
        "pids.max": processes,
    }


def _rules_v2(memory_bytes: int, processes: int) -> dict[str, int]:
    return {"memory.max": memory_bytes, "memory.swap.max": 0, "memory.oom.group": 1, "pids.max": processes}


def find(root: Path = _ROOT, own: Path = _OWN) -> Groups | None:
    """Where this process may make groups; None: nowhere."""
    try:
        places = _places(own.read_text(encoding="ascii"))
    except OSError:
        return None
    return _version_2(root, places) or _version_1(root, places)


def _places(text: str) -> dict[str, str]:
    """Where this process is, by controller; the empty one is version 2 (cgroups(7))."""
    places: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        places |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    return places


def _version_2(root: Path, places: dict[str, str]) -> Groups | None:
    if "" not in places:
        return None
    parent = root / places[""]
    try:
        offered = (parent / "cgroup.controllers").read_text(encoding="ascii").split()
        if not set(_NEEDED) <= set(offered):
            return None
        _hand_down(parent)
    except OSError:
        return None
    return _usable(Groups((parent,), _rules_v2))


def _hand_down(parent: Path) -> None:
    """Let groups below have the controllers; then no process may be in `parent` itself."""
    control = parent / "cgroup.subtree_control"
    wanted = " ".join(f"+{name}" for name in _NEEDED)
    try:
        control.write_text(wanted, encoding="ascii")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _step_aside(parent)
        control.write_text(wanted, encoding="ascii")


def _step_aside(parent: Path) -> None:
    """Move this server's own processes into a group of their own, if nobody else is there."""
    family = {os.getpid(), os.getppid()}
    present = [int(pid) for pid in (parent / "cgroup.procs").read_text(encoding="ascii").split()]
    if any(pid not in family and _parent_of(pid) not in family for pid in present):
        raise OSError(errno.EBUSY, "other programs are in the server's control group")
    leaf = parent / _LEAF
    leaf.mkdir(exist_ok=True)
    for pid in present:
        (leaf / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _parent_of(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[1])


def _version_1(root: Path, places: dict[str, str]) -> Groups | None:
    if not set(_NEEDED) <= set(places):
        return None
    return _usable(Groups(tuple(root / name / places[name] for name in _NEEDED), _rules_v1))


def _usable(groups: Groups) -> Groups | None:
    """The groups, if one can really be made; those that a killed server left go."""
    for parent in groups.parents:
        for left in parent.glob(f"{_PREFIX}[0-9]*-*"):
            if not os.path.exists(f"/proc/{left.name.removeprefix(_PREFIX).partition('-')[0]}"):
                Group((left,)).remove()
    try:
        groups.make(2**30, 64).remove()
    except OSError:
        return None
    return groups
