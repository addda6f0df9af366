"""HPTP with our client beside its peers, over a long line and over loopback, cold start to exit code 0.

    python -m benchmarks.hptp_paths --quick                             # what is worth knowing, in 12 minutes at most
    python -m benchmarks.hptp_paths --rounds 3 [--delay-ms 25] [--loss 1] [--rows up-1k,down-1k] [--peers hptp,rsync]

Needs root, iproute2, gcc, rsync, sshd, sftp, lftp, rclone, and the `homeport` of this checkout on the path. A delay of
0 is loopback. What counts is the ratio within a round to hptp's time. Every digest is verified by Homeport; the others
check in their own ways. Homeport and rsync's daemon are measured `--rounds` times in turn, the others once; none
longer than `--limit` seconds. CPU is in seconds, of the client and of the server with all their processes.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hptp_peers import PEERS, Peer, forget, lay_out, lay_out_copy
from benchmarks.hptp_place import Place, Took, standing

MIB = 1 << 20
_BLOCK_BYTES = 16 * MIB
_LARGE_BYTES, _LARGE_ROUNDS = 1024 * MIB, 2
AGAIN = ("hptp", "rsync")  # what is measured in every round
WIDE = ("hptp", "rsync", "rsync-ssh", "lftp", "rclone")  # what the line's rows are measured with
FAST = ("hptp", "rsync", "rsync-ssh")
NEAR = ("hptp", "rsync", "rsync-ssh", "sftp", "ftp")
BULK = ("hptp", "tls", "rsync", "sftp", "ftp")


@dataclass(frozen=True)
class Row:
    """`files` of `size` bytes; `changed` None copies all of them, else so many of those that are there already."""

    name: str
    files: int
    size: int
    down: bool = False
    changed: int | None = None


def _both_ways(name: str, files: int, size: int) -> list[Row]:
    return [Row(f"up-{name}", files, size), Row(f"down-{name}", files, size, down=True)]


ROWS = {
    row.name: row
    for row in (
        *_both_ways("100", 100, 4096),  # to see that everything works
        *_both_ways("1k", 1000, 4096),
        *_both_ways("10k", 10_000, 4096),
        *_both_ways("1m", 1, MIB),
        *_both_ways("500m", 1, 500 * MIB),
        *_both_ways("1g", 1, 1024 * MIB),
        *_both_ways("4g", 1, 4096 * MIB),
        Row("sync-0-of-10k", 10_000, 4096, changed=0),
        Row("sync-10-of-10k", 10_000, 4096, changed=10),
        Row("sync-10-of-100", 100, 4096, changed=10),
    )
}


@dataclass(frozen=True)
class Part:
    """Some rows over one line, until `share` seconds after the part began."""

    delay_ms: int
    loss: float
    rows: Sequence[tuple[str, Sequence[str]]]
    share_s: float

    @property
    def title(self) -> str:
        if not self.delay_ms:
            return "loopback"
        return f"{2 * self.delay_ms} ms" + (f", {self.loss:g} % lost" if self.loss else "")


QUICK = (
    Part(0, 0, [("up-10k", NEAR), ("down-10k", NEAR), ("up-4g", BULK), ("down-4g", BULK)], 260),
    Part(
        25,
        0,
        [
            ("up-1k", WIDE),
            ("down-1k", WIDE),
            ("sync-0-of-10k", FAST),
            ("sync-10-of-10k", FAST),
            ("up-500m", WIDE),
            ("down-500m", WIDE),
            ("up-10k", FAST),
            ("down-10k", FAST),
        ],
        320,
    ),
    Part(25, 1, [("up-1k", FAST), ("down-1k", FAST)], 60),
)
TRIAL = (  # that of `--quick` with next to nothing to move
    Part(0, 0, [("up-100", NEAR), ("down-100", NEAR), ("up-1m", BULK), ("down-1m", BULK)], float("inf")),
    Part(5, 0, [("up-100", WIDE), ("down-100", WIDE), ("sync-10-of-100", WIDE), ("down-1m", WIDE)], float("inf")),
    Part(5, 1, [("up-100", FAST)], float("inf")),
)


# --- what is moved ---


def made(folder: Path, row: Row) -> Path:
    """The row's source, made where it is missing: nothing in it can be compressed."""
    source = folder / f"src-{row.files}-{row.size}"
    if not source.exists():
        source.mkdir(parents=True)
        for number in range(row.files):
            with (source / f"f{number:05}").open("wb") as file:
                for left in range(row.size, 0, -_BLOCK_BYTES):
                    file.write(os.urandom(min(left, _BLOCK_BYTES)))
    return source


def touch_some(folder: Path, count: int) -> None:
    paths = sorted(folder.iterdir())
    for path in paths[:: max(1, len(paths) // 11)][:count]:
        path.write_bytes(os.urandom(path.stat().st_size))


# --- one measurement ---


def measure(place: Place, row: Row, peer: Peer, limit_s: float) -> Took:
    source = made(place.folder, row)
    if row.changed is not None:
        return _sync(place, row, peer, limit_s)
    if row.down:
        return _down(place, source, peer, limit_s)
    there = peer.there(place, "up")
    try:
        return place.timed(peer.up(place, source, "up"), limit_s)
    finally:
        forget(there)


def _down(place: Place, source: Path, peer: Peer, limit_s: float) -> Took:
    lay_out(peer, place, source, "kept")
    back = place.folder / "back" / source.name
    forget(back.parent)
    back.parent.mkdir()
    try:
        took = place.timed(peer.down(place, back, "kept"), limit_s)
        if not took.over and peer.name != "tls":
            subprocess.run(["diff", "-r", str(source), str(back)], check=True, stdout=subprocess.DEVNULL)
        return took
    finally:
        forget(back.parent)


def _sync(place: Place, row: Row, peer: Peer, limit_s: float) -> Took:
    assert row.changed is not None
    assert peer.sync is not None
    source = made(place.folder, row)
    lay_out_copy(peer, place, source, f"sync-{row.files}")
    touch_some(source, row.changed)
    return place.timed(peer.sync(place, source, f"sync-{row.files}"), limit_s)


# --- many ---


@dataclass
class Figures:
    """What was measured of one row: by peer, the rounds in their order."""

    row: Row
    took: dict[str, list[Took]]

    def lines(self, title: str) -> list[str]:
        return [f"{title:14} {self.row.name:15} {name:10} {self._line(name)}" for name in self.took]

    def _line(self, name: str) -> str:
        some = self.took[name]
        wall, client, server = (
            statistics.median(getattr(took, field) for took in some) for field in ("wall_s", "client_s", "server_s")
        )
        over = ">" if any(took.over for took in some) else " "
        gib = self.row.files * self.row.size / (1 << 30)
        if self.row.changed is not None:
            rate = ""
        elif self.row.files > 1:
            rate = f"{self.row.files / wall:7.0f} files/s"
        else:
            rate = f"{gib * 1073.741824 / wall:7.0f} MB/s; s/GiB {client / gib:.2f} + {server / gib:.2f}"
        return f"{over}{wall:7.2f} s  cpu {client:6.2f} + {server:6.2f}  x{self._ratio(name):.2f}  {rate}"

    def _ratio(self, name: str) -> float:
        """This one's time by ours, within a round."""
        ours = self.took.get("hptp", self.took[name])
        return statistics.median(took.wall_s / own.wall_s for took, own in zip(self.took[name], ours, strict=False))


def run_part(part: Part, folder: Path, rounds: int, limit_s: float) -> None:
    ends_at = time.monotonic() + part.share_s
    with standing(folder, part.delay_ms, part.loss) as place:
        for row_name, peers in part.rows:
            figures = Figures(ROWS[row_name], {})
            for number in range(rounds if figures.row.size < _LARGE_BYTES else min(rounds, _LARGE_ROUNDS)):
                for name in peers:
                    if number and name not in AGAIN:
                        continue
                    if time.monotonic() > ends_at:
                        print(f"{part.title:14} {row_name:15} {name:10}  left out: no time", flush=True)
                        continue
                    try:
                        took = measure(place, figures.row, PEERS[name], limit_s)
                    except subprocess.CalledProcessError as failure:
                        said = (failure.stderr or b"").decode(errors="replace").strip().rpartition("\n")[2]
                        print(f"{part.title:14} {row_name:15} {name:10}  failed: {said or failure}", flush=True)
                        continue
                    figures.took.setdefault(name, []).append(took)
            print("\n".join(figures.lines(part.title)), flush=True)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the rows that are worth knowing, over three lines")
    parser.add_argument("--trial", action="store_true", help="next to nothing over three lines, to see that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=45.0, help="seconds for one command")
    parser.add_argument("--delay-ms", type=int, default=25, help="one way; 0 is loopback")
    parser.add_argument("--loss", type=float, default=0.0, help="percent of the packets")
    parser.add_argument(
        "--rows", default="up-1k,down-1k,up-10k,down-10k,up-500m,down-500m,sync-0-of-10k,sync-10-of-10k"
    )
    parser.add_argument("--peers", default="hptp,rsync", help=f"some of {','.join(PEERS)}")
    where = "made, and removed at the end; 12 GiB for files of 4 GiB"
    parser.add_argument("--workspace", type=Path, default=Path("/dev/shm/hptp-paths"), help=where)
    chosen = parser.parse_args(words)
    peers = chosen.peers.split(",")
    own = Part(chosen.delay_ms, chosen.loss, [(row, peers) for row in chosen.rows.split(",")], float("inf"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    parts = QUICK if chosen.quick else TRIAL if chosen.trial else (own,)
    print("seconds by the clock, cpu of client + server, x: how many times hptp's time")
    try:
        for part in parts:
            run_part(part, chosen.workspace, chosen.rounds, chosen.limit)
    finally:
        forget(chosen.workspace)


if __name__ == "__main__":
    main(sys.argv[1:])
