"""The servers under measurement: how each is started, where it listens, which processes are its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
USER, PASSWORD = "bench", "benchpw"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """One running server. `home` is where the files of account `bench` lie on this machine; ports are on 127.0.0.1."""

    name: str
    port: int
    home: Path
    root_pid: int
    tls_port: int | None = None
    tls_root_pid: int | None = None
    started_in_s: float | None = None
    lacks: frozenset[str] = field(default_factory=frozenset)
    another: Callable[[], AbstractContextManager[Target]] | None = None

    def anew(self) -> AbstractContextManager[Target]:
        """The same server on an instance of its own where there can be one, else this one."""
        return nullcontext(self) if self.another is None else self.another()

    def pids(self, *, tls: bool = False) -> list[int]:
        """The server's processes now: the one that was started and all below it."""
        parents = _parents()
        root = self.tls_root_pid if tls and self.tls_root_pid is not None else self.root_pid
        family = {root}
        for _ in range(8):
            family |= {pid for pid, parent in parents.items() if parent in family}
        return sorted(pid for pid in family if pid in parents)

    def memory_kib(self) -> int:
        """Proportional set size of all its processes, KiB."""
        return sum(_pss_kib(pid) for pid in self.pids())

    def cpu_s(self, *, tls: bool = False) -> float:
        """Processor seconds spent so far by its processes and by those that they have reaped."""
        return sum(_cpu_s(pid) for pid in self.pids(tls=tls))


# Port, TLS port, and what it cannot do; how long a peer takes to start, peers.sh does not tell.
PEERS: dict[str, tuple[int, int | None, set[str]]] = {
    "vsftpd": (2101, 2111, {"start", "mlsd"}),
    "proftpd": (2102, 2112, {"start"}),
    "pureftpd": (2103, None, {"start"}),
    "pyftpdlib": (2104, 2114, {"start"}),
}


class Peers:
    """vsftpd, ProFTPD, pure-ftpd and pyftpdlib, as `peers.sh` starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> list[Target]:
        subprocess.run([HERE / "peers.sh", "up", self.folder], check=True, stdout=subprocess.DEVNULL)
        return [self._target(name) for name in PEERS if self._is_up(name)]

    def __exit__(self, *_: object) -> None:
        subprocess.run([HERE / "peers.sh", "down", self.folder], check=True)

    def _is_up(self, name: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", PEERS[name][0]), timeout=5).close()
        except OSError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            return False
        return True

    def _target(self, name: str) -> Target:
        port, tls_port, lacks = PEERS[name]
        tls_pid = self.folder / f"{name}-tls.pid"
        return Target(
            name=name,
            port=port,
            home=Path("/home/bench"),
            root_pid=int((self.folder / f"{name}.pid").read_text()),
            tls_port=tls_port,
            tls_root_pid=int(tls_pid.read_text()) if tls_pid.exists() else None,
            lacks=frozenset(lacks),
        )


class Homeport:
    """This checkout's server on a fresh instance folder, with `settings` as `--set` arguments."""

    def __init__(self, folder: Path, settings: list[str]) -> None:
        self.folder = folder
        self.settings = settings
        self.command = [str(Path(sys.executable).parent / "homeport")]
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Target:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._run("user", "add", USER, "--password-stdin", stdin=PASSWORD + "\n")
        chosen = [word for setting in self.settings for word in ("--set", setting)]
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*self.command, "serve", "--dir", self.folder, "--set", "ftp.port=0", *chosen],
            stdout=subprocess.PIPE,
            stderr=(self.folder.parent / "homeport.log").open("w"),
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("ready"):
                break
        else:
            raise SystemExit(f"homeport did not start; see {self.folder.parent / 'homeport.log'}")
        took = time.monotonic() - began
        status = json.loads(self._run("status", "--json"))
        port = status["services"]["ftp"]["port"]
        home = self.folder / "homes" / USER
        pid, another = self.process.pid, Homeport(self.folder.with_name(self.folder.name + "-anew"), self.settings)
        return Target("homeport", port, home, pid, port, pid, took, another=lambda: another)

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def _run(self, *words: str, stdin: str = "") -> str:
        command = [*self.command, *words, "--dir", str(self.folder)]
        return subprocess.run(command, input=stdin, text=True, check=True, stdout=subprocess.PIPE).stdout


def _parents() -> dict[int, int]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int(_stat_fields(int(entry.name))[1])
            except OSError:
                continue  # it ended meanwhile
    return found


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    try:
        return sum(int(ticks) for ticks in _stat_fields(pid)[11:15]) / CLOCK_TICKS
    except OSError:
        return 0.0


def _pss_kib(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
