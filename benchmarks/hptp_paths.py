"""HPTP with our client against rsync's daemon, over a long line and over loopback, in pairs, cold start to exit code 0.

    python -m benchmarks.hptp_paths --rounds 3 [--delay-ms 25] [--loss 1] [--rows up-1k,down-1k]

Needs root, iproute2, gcc, rsync and the `homeport` of this checkout on the path. A delay of 0 is loopback. What counts
is the ratio within a round. Every digest is verified by Homeport; rsync checks in its own way.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PASSWORD = "correct horse battery"
HPTP_PORT, RSYNC_PORT = 19120, 19873
NEAR, FAR = "hptpA", "hptpB"
RSYNCD = "use chroot = no\nuid = root\ngid = root\n[x]\npath = {}\nread only = no\n"


@dataclass
class Place:
    """Where everything lies, and how a command is run on either end of the line."""

    folder: Path
    delay_ms: int
    environment: dict[str, str]
    peer: str = "127.0.0.1"
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def near(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", NEAR, *command] if self.delay_ms else list(command)

    def far(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", FAR, *command] if self.delay_ms else list(command)

    @property
    def hptp(self) -> str:
        return f"hp://alice@{self.peer}:{HPTP_PORT}"

    @property
    def rsync(self) -> str:
        return f"rsync://{self.peer}:{RSYNC_PORT}/x"

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def begin(self, command: Sequence[str]) -> None:
        child = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.children.append(child)

    def run(self, command: Sequence[str], *, given: str | None = None) -> None:
        subprocess.run(command, env=self.environment, input=given, text=True, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Took:
    """Seconds by the wall, and of the client's processors."""

    wall_s: float
    cpu_s: float


def timed(place: Place, command: Sequence[str]) -> Took:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    place.run(place.near(*command))
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


# --- what is moved ---


def make_files(folder: Path, count: int, size: int) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"f{number:05}").write_bytes(os.urandom(size))


def touch_some(folder: Path, count: int) -> None:
    for path in sorted(folder.iterdir())[::997][:count]:
        path.write_bytes(os.urandom(path.stat().st_size))


def gone(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Row:
    """`files` of `size` bytes; `changed` None copies all of them, else so many of those that are there already."""

    name: str
    files: int
    size: int
    down: bool = False
    changed: int | None = None


ROWS = [
    Row("up-1k", 1000, 4096),
    Row("down-1k", 1000, 4096, down=True),
    Row("up-10k", 10_000, 4096),
    Row("down-10k", 10_000, 4096, down=True),
    Row("up-500m", 1, 500 << 20),
    Row("down-500m", 1, 500 << 20, down=True),
    Row("sync-0-of-10k", 10_000, 4096, changed=0),
    Row("sync-10-of-10k", 10_000, 4096, changed=10),
]

QUIET = ("--progress", "none")


def measure(place: Place, row: Row, round_number: int) -> tuple[Took, Took]:
    """Homeport and rsync, one after the other."""
    source = place.folder / f"src-{row.files}-{row.size}"
    make_files(source, row.files, row.size)
    tag = f"{row.name}-{round_number}-{os.getpid()}"
    if row.changed is not None:
        return _sync(place, source, row.changed)
    up = ["homeport", "put", *QUIET, "-r", str(source), f"{place.hptp}/{tag}/"]
    rsync_up = ["rsync", "-a", str(source), f"{place.rsync}/{tag}/"]
    if not row.down:
        return timed(place, up), timed(place, rsync_up)
    place.run(place.near(*up))
    place.run(place.near(*rsync_up))
    back, rsync_back = place.folder / "back", place.folder / "rsync-back"
    gone(back)
    gone(rsync_back)
    ours = timed(place, ["homeport", "get", *QUIET, "-r", f"{place.hptp}/{tag}/{source.name}", str(back)])
    theirs = timed(place, ["rsync", "-a", f"{place.rsync}/{tag}/{source.name}", str(rsync_back)])
    subprocess.run(["diff", "-r", str(source), str(back)], check=True)
    return ours, theirs


def _sync(place: Place, source: Path, changed: int) -> tuple[Took, Took]:
    ours = ["homeport", "sync", *QUIET, str(source), f"{place.hptp}/sync"]
    theirs = ["rsync", "-a", f"{source}/", f"{place.rsync}/sync/"]
    place.run(place.near(*ours))
    place.run(place.near(*theirs))
    touch_some(source, changed)
    return timed(place, ours), timed(place, theirs)


# --- the line and its two ends ---


@contextmanager
def line(place: Place, loss: float) -> Iterator[None]:
    """Two network namespaces joined by a long line; nothing for a delay of 0."""
    if not place.delay_ms:
        yield
        return
    program = place.path("wanlink")
    subprocess.run(["gcc", "-O2", "-o", program, str(HERE / "wanlink.c")], check=True)
    for name in (NEAR, FAR):
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    link = subprocess.Popen([program, NEAR, FAR, str(place.delay_ms), str(loss)], stdout=subprocess.PIPE)
    assert link.stdout is not None
    link.stdout.readline()
    place.peer = "10.77.0.2"
    try:
        yield
    finally:
        link.terminate()
        link.wait()
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextmanager
def servers(place: Place) -> Iterator[None]:
    others = [f"--set={name}.enabled=false" for name in ("ssh", "time", "ntp", "chat")]
    place.run(["homeport", "user", "add", "alice", "--password-stdin"], given=PASSWORD)
    place.begin(place.far("homeport", "serve", "--set=ftp.port=0", f"--set=hptp.port={HPTP_PORT}", *others))
    place.run(["homeport", "status", "--wait", "30"])
    (place.folder / "rs").mkdir(exist_ok=True)
    (place.folder / "rsyncd.conf").write_text(RSYNCD.format(place.path("rs")))
    daemon = ["rsync", "--daemon", "--no-detach", f"--port={RSYNC_PORT}", f"--config={place.path('rsyncd.conf')}"]
    place.begin(place.far(*daemon))
    place.run(place.near("homeport", "login", place.hptp))
    try:
        yield
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            place.run(["homeport", "stop"])
        for child in place.children:
            child.terminate()
            child.wait()


def report(rows: Sequence[Row], rounds: int, once: Callable[[Row, int], tuple[Took, Took]]) -> None:
    print(f"{'row':16} {'ours s':>8} {'cpu s':>7} {'rsync s':>8} {'cpu s':>7} {'ratio':>6}   (medians of {rounds})")
    for row in rows:
        pairs = [once(row, number) for number in range(rounds)]
        ours, theirs = zip(*pairs, strict=True)
        ratio = statistics.median(mine.wall_s / other.wall_s for mine, other in pairs)
        figures = [
            statistics.median(getattr(took, name) for took in side)
            for side in (ours, theirs)
            for name in ("wall_s", "cpu_s")
        ]
        print("{:16} {:8.2f} {:7.2f} {:8.2f} {:7.2f} {:6.2f}".format(row.name, *figures, ratio), flush=True)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay-ms", type=int, default=25, help="one way; 0 is loopback")
    parser.add_argument("--loss", type=float, default=0.0, help="percent of the packets")
    parser.add_argument("--rows", default=",".join(row.name for row in ROWS))
    parser.add_argument("--workspace", type=Path, default=Path("/dev/shm/hptp-paths"))
    chosen = parser.parse_args(words)
    folder = chosen.workspace
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("instance", "config", "state", "rs"):
        gone(folder / name)
    places = {"HOMEPORT_DIR": "instance", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}
    environment = {**os.environ, **{key: str(folder / name) for key, name in places.items()}}
    place = Place(folder, chosen.delay_ms, environment)
    wanted = chosen.rows.split(",")
    with line(place, chosen.loss):
        place.environment["HOMEPORT_PASSWORD"] = PASSWORD
        with servers(place):
            del place.environment["HOMEPORT_PASSWORD"]  # from here on the device's token logs in
            rows = [row for row in ROWS if row.name in wanted]
            report(rows, chosen.rounds, lambda row, number: measure(place, row, number))


if __name__ == "__main__":
    main(sys.argv[1:])
