"""One measurement each: a load is put on one target, one number (or a few) comes back."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.targets import HERE, PASSWORD, USER, Target

GIB = 1 << 30
_WARMING = 16  # sessions that come and go first: what the first one makes belongs to the server
ENTRIES = 50_000
Figures = dict[str, float]


class Load:
    """The load generator in C, so that the client is never what is measured."""

    def __init__(self, workspace: Path, seconds: float) -> None:
        self.seconds = seconds
        self.program = workspace / "ftpload"
        if not self.program.exists():
            subprocess.run(["gcc", "-O2", "-o", self.program, HERE / "ftpload.c", "-lpthread"], check=True)

    def run(self, target: Target, mode: str, sessions: int, path: str = "/") -> Figures:
        """Operations a second, MB/s, p50 and p99 in ms, and errors, of `sessions` at once for `seconds`."""
        words = [target.port, USER, PASSWORD, mode, sessions, self.seconds, path]
        ended = subprocess.run(
            [self.program, "127.0.0.1", *map(str, words)], text=True, stdout=subprocess.PIPE, check=False
        )
        figures = {name: float(value) for name, value in re.findall(r"(\S+)=([\d.]+)", ended.stdout)}
        if not figures.get("ops"):
            raise RuntimeError(f"{target.name}: {mode} made no operation: {ended.stdout}")
        return figures

    def start_idle(self, target: Target, sessions: int, seconds: float) -> subprocess.Popen[str]:
        """Hold logged-in sessions; its first line of output tells when all are in."""
        words = [target.port, USER, PASSWORD, "idle", sessions, seconds]
        return subprocess.Popen([self.program, "127.0.0.1", *map(str, words)], text=True, stdout=subprocess.PIPE)


def make_files(target: Target) -> None:
    """The files that are read: one of 4 KiB, one of 1 GiB, a folder of 50,000 names. Owned as the home is."""
    owner = target.home.stat()
    made = [target.home / "small.bin", target.home / "large.bin"]
    made[0].write_bytes(os.urandom(4096))
    if not made[1].exists():
        _fill(made[1], GIB)
    folder = target.home / "many"
    if not folder.exists():
        folder.mkdir()
        for number in range(ENTRIES):
            (folder / f"file-{number:05d}.txt").touch()
        made.append(folder)
    for path in made:
        os.chown(path, owner.st_uid, owner.st_gid)


def _fill(path: Path, size: int) -> None:
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)


def bulk(target: Target, workspace: Path, *, upload: bool, tls: bool, sessions: int) -> Figures:
    """`sessions` copies of curl, 1 GiB each: MB/s of all together, without the log-ins; what the slowest log-in took;
    and the server's CPU seconds a GiB, with the log-ins'.
    """
    source = workspace / "upload.bin"
    if upload and not source.exists():
        _fill(source, GIB)
    scheme = ["--insecure", "--ssl-reqd"] if tls else []
    port = target.tls_port if tls else target.port
    url = f"ftp://127.0.0.1:{port}/"
    what = [
        ["-T", str(source), f"{url}in.{n}"] if upload else ["-o", "/dev/null", f"{url}large.bin"]
        for n in range(sessions)
    ]
    before = target.cpu_s(tls=tls)
    running = [_Curl([*scheme, *words]) for words in what]
    codes = [curl.wait() for curl in running]
    if any(codes):
        raise RuntimeError(f"{target.name}: curl ended with {codes}")
    times = [curl.times() for curl in running]
    took = max(ended for _, _, ended in times) - min(begun for _, begun, _ in times)
    time.sleep(0.1)  # a forked session is reaped a moment later, and its seconds count then
    spent = target.cpu_s(tls=tls) - before
    for number in range(sessions if upload else 0):
        (target.home / f"in.{number}").unlink(missing_ok=True)
    login_ms = max(begun - started for started, begun, _ in times) * 1e3
    return {"MB/s": sessions * GIB / took / 1e6, "cpu_s/GiB": spent / sessions, "login_ms": login_ms}


class _Curl:
    """One transfer by curl, whose own clock tells the log-in from the transfer: there is a row for log-ins."""

    def __init__(self, words: list[str]) -> None:
        command = ["curl", "-sS", "--fail", "-u", f"{USER}:{PASSWORD}", "-w", "%{time_pretransfer} %{time_total}"]
        self._told = ""
        self._started = time.monotonic()
        self._process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        self._told, _ = self._process.communicate(timeout=300)
        return self._process.returncode

    def times(self) -> tuple[float, float, float]:
        """When it was started, when its transfer began, and when it ended, by the monotonic clock. After `wait`."""
        begun, ended = (self._started + float(seconds) for seconds in self._told.split())
        return self._started, begun, ended


class Session:
    """A plain FTP session over a blocking socket, as little as a probe needs."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
        self.reply()
        self.say(f"USER {USER}")
        self.say(f"PASS {PASSWORD}")
        self.say("TYPE I")

    def say(self, line: str) -> bytes:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def reply(self) -> bytes:
        while True:
            line = self.replies.readline()
            if not line or (line[3:4] == b" " and line[:3].isdigit()):
                return line

    def data(self) -> socket.socket:
        found = re.search(rb"\|\|\|(\d+)\|", self.say("EPSV"))
        if found is None:
            raise RuntimeError("EPSV was refused")
        return socket.create_connection(("127.0.0.1", int(found[1])), timeout=60)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.say("QUIT")
        self.replies.close()
        self.socket.close()


_PAGE_KIB = 4  # the least that memory grows by: no ratio is formed to nothing


def listing(target: Target, verb: str) -> Figures:
    """A listing of 50,000 names: ms to the first byte, ms in all, and the server's growth meanwhile."""
    session = Session(target.port)
    before = peak = target.memory_kib()
    data = session.data()
    began = time.monotonic()
    session.socket.sendall(f"{verb} many\r\n".encode())
    first, lines, blocks = 0.0, 0, 0
    while block := data.recv(1 << 18):
        first = first or time.monotonic() - began
        lines += block.count(b"\n")
        blocks += 1
        if blocks % 8 == 0:
            peak = max(peak, target.memory_kib())
    took = time.monotonic() - began
    data.close()
    session.reply()
    session.reply()
    session.close()
    if lines < ENTRIES:
        raise RuntimeError(f"{target.name}: {verb} gave {lines} lines")
    return {"first_ms": first * 1e3, "total_ms": took * 1e3, "grown_KiB": max(_PAGE_KIB, peak - before)}


def idle_memory(target: Target, load: Load, sessions: int) -> Figures:
    """KiB a logged-in session that does nothing, in a server that has done nothing else where it can be started anew:
    what an earlier load has left free in a process would hide what sessions take.
    """
    with target.anew() as server:
        for _ in range(_WARMING):
            Session(server.port).close()
        before = server.memory_kib()
        holder = load.start_idle(server, sessions, 3)
        assert holder.stdout is not None
        held = int((re.search(r"holding (\d+)", holder.stdout.readline()) or [0, 0])[1])
        time.sleep(0.5)
        grown = server.memory_kib() - before
        holder.communicate(timeout=120)
    if held < sessions:
        raise RuntimeError(f"only {held} of {sessions} sessions could log in")
    return {"KiB": grown / held}


def busy_latency(target: Target, transfers: int) -> Figures:
    """NOOP round trips of one session, ms, while `transfers` others download 1 GiB over and over."""
    with _downloads(target, transfers):
        session = Session(target.port)
        session.say("NOOP")
        taken = []
        for _ in range(300):
            began = time.monotonic()
            session.say("NOOP")
            taken.append((time.monotonic() - began) * 1e3)
            time.sleep(0.01)
        session.close()
    taken.sort()
    return {"p50_ms": taken[len(taken) // 2], "p99_ms": taken[int(len(taken) * 0.99)]}


@contextlib.contextmanager
def _downloads(target: Target, count: int) -> Iterator[None]:
    url = f"ftp://127.0.0.1:{target.port}/large.bin"
    curl = shutil.which("curl") or "curl"
    # A rate below what the machine can do: the row measures the server's fairness, not the scheduler's.
    words = [curl, "-sS", "-u", f"{USER}:{PASSWORD}", "--limit-rate", "20M", "-o", "/dev/null", url]
    running = [subprocess.Popen(words, stderr=subprocess.DEVNULL) for _ in range(count)]
    time.sleep(1)
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
