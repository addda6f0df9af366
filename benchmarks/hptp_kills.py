"""kill -9 of client or server at random bytes of mixed transfers over HPTP: nothing is ever half, little comes twice.

    python -m benchmarks.hptp_kills --rounds 100 [--seed 1] [--workspace /dev/shm/hptp-kills] [--verbose]

A transfer moves 150 files of 4 KiB, 30 of 100 to 900 kB, a large file that replaces an older one and a large one that
is new, up and down in turn. In each round one side is killed at a random byte; then every file must be the old or
the new one, whole; the server is started again, and the same command goes on, to its end. Told is what came
twice (the bytes beyond those of an undisturbed transfer and of the logins), beside the *tail*: what had been sent and
the receiver had neither as a file nor kept to be continued. Exit code 1 when anything was wrong, or when more
came twice than the tail and 512 KiB.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.counting_proxy import DOWN, UP, CountingProxy, Trap

PASSWORD = "correct horse battery"
USER = "alice"
SMALL = {f"s{number:03}": 4096 for number in range(150)}
MIDDLE = {f"m{number:03}": 100_000 + number * 27_577 for number in range(30)}
REPLACED, NEW = "replaced", "new"
LARGE = {REPLACED: 30_000_000, NEW: 20_000_000}
SIZES = SMALL | MIDDLE | LARGE
PIECE_BYTES = 256 * 1024
SLACK_BYTES = 2 * PIECE_BYTES  # the piece under way, and the second try's requests
SIDES = ("server", "client")
DIRECTIONS = (UP, DOWN)
LIMIT_S = 600
OTHERS = [f"--set={name}.enabled=false" for name in ("ssh", "time", "ntp", "chat")]


def content(generation: int, name: str) -> bytes:
    """What `name` holds in a generation: no two are equal in any block."""
    return random.Random(f"{generation} {name}").randbytes(SIZES[name])


@functools.lru_cache(maxsize=4 * len(SIZES))
def digest(generation: int, name: str) -> str:
    return hashlib.sha256(content(generation, name)).hexdigest()


def fill(folder: Path, generation: int) -> None:
    """A generation's files, with times of their own."""
    folder.mkdir(exist_ok=True)
    for name in SIZES:
        path = folder / name
        path.unlink(missing_ok=True)  # never written into: it may be the other generation's for somebody
        path.write_bytes(content(generation, name))
        moment = 1_000_000_000 + generation * 100
        os.utime(path, (moment, moment))


@dataclass
class Round:
    """One kill and what came of it; sizes in bytes."""

    number: int
    side: str
    direction: str
    at: int
    was_killed: bool = False
    tail: int = 0
    twice: int = 0
    wrong: list[str] = field(default_factory=list)


class Server:
    """The server with all its processes."""

    def __init__(self, environment: Mapping[str, str], port: int, log: Path) -> None:
        self._environment = environment
        self._command = ["homeport", "serve", f"--set=hptp.port={port}", "--set=ftp.port=0", *OTHERS]
        self._log = log
        self._master: subprocess.Popen[bytes] | None = None
        self._family: list[int] = []

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._master = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self._family = [self._master.pid]
        wait = ["homeport", "status", "--wait", "300"]
        subprocess.run(wait, env=self._environment, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
        listed = subprocess.run(["pgrep", "-P", str(self._master.pid)], capture_output=True, text=True, check=False)
        self._family = [self._master.pid, *map(int, listed.stdout.split())]

    def kill(self) -> None:
        """All at once, so that nobody starts anybody again."""
        for pid in self._family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> None:
        """Until it is gone, with its workers."""
        if self._master is None:
            return
        self._master.wait(timeout=LIMIT_S)
        ends_at = time.monotonic() + LIMIT_S
        while any(_runs(pid) for pid in self._family) and time.monotonic() < ends_at:
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Trial:
    """A server, an account, and two folders that are brought to each new generation in turn."""

    def __init__(self, folder: Path, port: int, chance: random.Random) -> None:
        self._folder = folder
        self._chance = chance
        places = {"HOMEPORT_DIR": "instance", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}
        own = {key: str(folder / name) for key, name in places.items()}
        self._environment = {**os.environ, **own, "HOMEPORT_PASSWORD": PASSWORD}
        self._server = Server(self._environment, port, folder / "server.log")
        self._proxy = CountingProxy(port)
        self._url = f"hp://{USER}@127.0.0.1:{self._proxy.port}"
        self._source, self._back = folder / "files", folder / "down" / "files"
        self._back.parent.mkdir()
        self._clean: dict[str, int] = {}
        self._login: dict[str, int] = {}
        self._generation = 0
        self._standing = {UP: 0, DOWN: 0}  # the generation that is at the target

    def begin(self) -> None:
        """Start the server, and measure what an undisturbed transfer takes."""
        self._run("user", "add", USER, "--password-stdin", given=PASSWORD)
        self._server.start()
        self._run("login", self._url)
        del self._environment["HOMEPORT_PASSWORD"]  # from here on the device's token logs in
        self._measure()

    # --- an undisturbed transfer ---

    def _measure(self) -> None:
        fill(self._source, 0)
        self._undisturbed(UP)
        self._home = next(path for path in (self._folder / "instance").rglob("files") if path.is_dir())
        self._undisturbed(DOWN)
        for direction in DIRECTIONS:  # for a folder is there already from the second on
            self._next_generation(direction)
            self._clean[direction] = self._undisturbed(direction)
            self._login[direction] = self._undisturbed(direction)
            self._standing[direction] = self._generation

    def _undisturbed(self, direction: str) -> int:
        self._proxy.begin()
        subprocess.run(self._command(direction), env=self._environment, check=True, timeout=LIMIT_S)
        self._proxy.wait_until_quiet()
        return self._proxy.passed[direction]

    def _command(self, direction: str) -> list[str]:
        folders = (
            [str(self._source), f"{self._url}/"] if direction == UP else [f"{self._url}/files", str(self._back.parent)]
        )
        return ["homeport", "put" if direction == UP else "get", "--progress", "none", "-r", *folders]

    def _next_generation(self, direction: str) -> None:
        """New files at the source; the one that is to be new is not at the target."""
        self._generation += 1
        fill(self._source, self._generation)
        if direction == UP:
            self._run("rm", f"{self._url}/files/{NEW}")
        else:
            subprocess.run(self._command(UP), env=self._environment, check=True, timeout=LIMIT_S)
            self._standing[UP] = self._generation
            (self._back / NEW).unlink()

    # --- one round ---

    def round(self, number: int) -> Round:
        direction = DIRECTIONS[number % 2]
        self._next_generation(direction)
        at = self._chance.randrange(self._login[direction], self._clean[direction])
        this = Round(number, SIDES[number // 2 % 2], direction, at)
        self._disturbed(this)
        subprocess.run(self._command(direction), env=self._environment, check=True, timeout=LIMIT_S)
        self._proxy.wait_until_quiet()
        whole = self._clean[direction] + (self._proxy.connections - 1) * self._login[direction]
        this.twice = self._proxy.passed[direction] - whole
        self._look(this, "at the end", [self._generation])
        self._standing[direction] = self._generation
        return this

    def _disturbed(self, this: Round) -> None:
        """The transfer with its kill; where the server was killed, the client has gone on by itself."""
        killed = threading.Event()
        began = threading.Event()
        victims: list[int] = []

        def kill() -> None:
            began.wait(LIMIT_S)
            if this.side == "server":
                self._proxy.hold()
                self._server.kill()
            else:
                os.kill(victims[0], signal.SIGKILL)
            killed.set()

        self._proxy.begin(Trap(this.direction, this.at, kill))
        client = subprocess.Popen(self._command(this.direction), env=self._environment, stderr=subprocess.DEVNULL)
        victims.append(client.pid)
        began.set()
        ends_at = time.monotonic() + LIMIT_S
        while not killed.wait(0.02) and client.poll() is None and time.monotonic() < ends_at:
            pass
        self._proxy.disarm()
        this.was_killed = killed.is_set()
        if this.was_killed:
            self._after_kill(this, client)
        client.wait(timeout=LIMIT_S)

    def _after_kill(self, this: Round, client: subprocess.Popen[bytes]) -> None:
        if this.side == "server":
            self._server.wait()
        else:
            client.wait(timeout=LIMIT_S)
        self._look(this, "after the kill", [self._standing[this.direction], self._generation])
        self._proxy.wait_until_quiet()
        this.tail = self._proxy.passed[this.direction] - self._held(this)
        if this.side == "server":
            self._server.start()
            self._proxy.release()

    # --- looking ---

    def _target(self, direction: str) -> Path:
        return self._home if direction == UP else self._back

    def _look(self, this: Round, when: str, generations: Sequence[int]) -> None:
        """Every file is of one of `generations`, whole; also at the source, which nobody may have touched."""
        for name in SIZES:
            path = self._target(this.direction) / name
            if name == NEW and len(generations) > 1 and not path.exists():
                continue
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as failure:
                this.wrong.append(f"{when}: {name}: {failure}")
                continue
            if found not in [digest(generation, name) for generation in generations]:
                this.wrong.append(f"{when}: {name} has {path.stat().st_size} bytes of neither")

    def _held(self, this: Round) -> int:
        """What the receiver has of the new generation: whole files, and beginnings that are kept, at rest."""
        held, before = self._held_now(this), -1
        ends_at = time.monotonic() + LIMIT_S
        while held != before and time.monotonic() < ends_at:
            time.sleep(0.2)
            held, before = self._held_now(this), held
        return held

    def _held_now(self, this: Round) -> int:
        target = self._target(this.direction)
        moment = 1_000_000_000 + self._generation * 100
        whole = 0
        for name, size in SIZES.items():
            path = target / name
            whole += size if path.exists() and int(path.stat().st_mtime) == moment else 0
        if this.direction == DOWN:
            return whole + sum(path.stat().st_size for path in target.glob(".*.homeport-part"))
        listed = self._run("user", "stages", "list", USER, "--json")
        sizes = [int(json.loads(line)["size"]) for line in listed.splitlines()]
        return whole + sum(size for size in sizes if size >= PIECE_BYTES)  # no smaller file is gone on with

    # --- the end ---

    def check_quota(self) -> str:
        """What `homeport quota check` says; raises CalledProcessError where it finds drift."""
        return self._run("quota", "check", USER).strip()

    def stop(self) -> None:
        self._server.kill()
        self._server.wait()

    @property
    def clean(self) -> Mapping[str, int]:
        return self._clean

    def _run(self, *words: str, given: str | None = None) -> str:
        command = ["homeport", *words]
        done = subprocess.run(
            command, env=self._environment, input=given, text=True, check=True, stdout=subprocess.PIPE, timeout=LIMIT_S
        )
        return done.stdout


def tell(this: Round) -> None:
    print(
        f"{this.number:4} {this.direction:4} {this.side:6} at {this.at / 1e6:6.1f} MB"
        f"  tail {this.tail / 1e6:6.2f} MB  twice {this.twice / 1e6:6.2f} MB  {'; '.join(this.wrong[:3])}",
        flush=True,
    )


def summary(rounds: Sequence[Round], clean: Mapping[str, int]) -> bool:
    """Print what came of all; whether it is as it must be."""
    killed = [this for this in rounds if this.was_killed]
    wrong = [line for this in rounds for line in this.wrong]
    beyond = [this for this in killed if this.twice > max(0, this.tail) + SLACK_BYTES]
    print(f"{len(killed)} kills; wrong: {wrong[:9] or 'nothing'}; more twice than the tail: {len(beyond)}")
    for direction in DIRECTIONS:
        for side in SIDES:
            some = [this for this in killed if (this.direction, this.side) == (direction, side)]
            if some:
                print(f"{direction:4} {side} killed, of {clean[direction] / 1e6:.1f} MB:", _spread(some))
    return not wrong and not beyond


def _spread(some: Sequence[Round]) -> str:
    figures = []
    for name in ("tail", "twice"):
        values = [getattr(this, name) / 1e6 for this in some]
        figures.append(f"{name} median {statistics.median(values):.2f} most {max(values):.2f} MB")
    return f"{len(some)} times, " + ", ".join(figures)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=19130)
    parser.add_argument("--workspace", type=Path, default=Path("/dev/shm/hptp-kills"))
    parser.add_argument("--verbose", action="store_true", help="a line for each round")
    chosen = parser.parse_args(words)
    shutil.rmtree(chosen.workspace, ignore_errors=True)
    chosen.workspace.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    trial = Trial(chosen.workspace, chosen.port, random.Random(chosen.seed))
    rounds = []
    try:
        trial.begin()
        for number in range(chosen.rounds):
            rounds.append(trial.round(number))
            if chosen.verbose or rounds[-1].wrong:
                tell(rounds[-1])
        print(trial.check_quota())
    finally:
        trial.stop()
    sys.exit(not summary(rounds, trial.clean))


if __name__ == "__main__":
    main(sys.argv[1:])
