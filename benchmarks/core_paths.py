"""What the core itself costs, without any network: small files and one large one through `Home`, as servers use it.

    python -m benchmarks.core_paths                               # on the file system of the temporary folder
    python -m benchmarks.core_paths --folder /dev/shm --rounds 9 --large-mib 256

Every figure is the median of the rounds. Of small files: microseconds of CPU a file of this whole process (the thread
that writes the audit log included), and of wall clock; of the large one: MB/s, and CPU seconds a GiB. `bytes only` is
the same content by write(2) alone, as far as a disk without promises could go.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from homeport.core.accounts import Accounts
from homeport.core.audit import AuditLog
from homeport.core.digests import DigestStore
from homeport.core.durability import Durability, Policy
from homeport.core.home import Home, HomeServices
from homeport.core.passwords import HashCost
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.quota import Ledger
from homeport.core.sessions import Sessions
from homeport.core.stages import StageFolder
from homeport.core.state import open_database

SMALL_BYTES = 4096
PIECE_BYTES = 256 * 1024  # what a server hands over at once
FOLDER = VirtualPath(("folder",))
_CHEAP = HashCost(argon2_passes=1, argon2_memory_kib=8, argon2_lanes=1, scram_iterations=4096)

Run = Callable[[Home, int], None]


class Bench:
    """An account with a quota on a fresh instance; `open` gives a session's home."""

    def __init__(self, root: Path, cleanup: ExitStack, policy: Policy) -> None:
        database = open_database(f"sqlite:///{root / 'state.db'}")
        cleanup.callback(database.close)
        for name in ("homes", "run"):
            (root / name).mkdir()
        ledger = Ledger(database, "benchmark", root / "run")
        cleanup.callback(ledger.close)
        audit = AuditLog(root / "audit.jsonl", root / "xferlog")
        cleanup.callback(audit.close)
        stages = cleanup.enter_context(StageFolder(root / "stage"))
        self._services = HomeServices(ledger, stages, DigestStore(database), audit, Durability(policy))
        self._account = Accounts(database, root / "homes", cost=_CHEAP).create("bench", "secret", quota_bytes=1 << 40)
        self._sessions = Sessions()
        self._cleanup = cleanup
        self.flush = audit.flush

    def open(self) -> Home:
        """One more session."""
        record = self._sessions.open("bench", "127.0.0.1")
        self._sessions.log_in(record, self._account)
        return self._cleanup.enter_context(Home(self._account, self._services, record))


@contextmanager
def bench(folder: Path, policy: Policy) -> Iterator[Bench]:
    """A bench in a new folder below `folder`, which goes with it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="homeport-core-") as root, ExitStack() as cleanup:
        yield Bench(Path(root), cleanup, policy)


def name(number: int) -> VirtualPath:
    """One of a thousand files in one folder."""
    return VirtualPath((*FOLDER.segments, f"file-{number % 1000:04d}"))


def upload(home: Home, number: int) -> None:
    """Store one small file."""
    with home.begin_upload(name(number)) as arriving:
        arriving.write(SMALL)
        arriving.commit()


def download(home: Home, number: int) -> None:
    """Read one small file, as a server that sends from a buffer."""
    with home.begin_download(name(number)) as leaving:
        while leaving.remaining:
            leaving.read_into(BLOCK)
        leaving.finish()


SMALL = os.urandom(SMALL_BYTES)
BLOCK = bytearray(64 * 1024)


def small(homes: list[Home], run: Run, count: int, flush: Callable[[], None]) -> tuple[float, float]:
    """Microseconds of CPU and of wall clock a file, when each home does `count` of them in a thread of its own."""

    def work(home: Home, first: int) -> None:
        for number in range(first, first + count):
            run(home, number)

    share = 1000 // len(homes)
    threads = [threading.Thread(target=work, args=(home, share * place)) for place, home in enumerate(homes)]
    cpu, began = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    flush()
    total = count * len(homes)
    return (time.process_time() - cpu) / total * 1e6, took / total * 1e6


def large(home: Home, mib: int) -> tuple[float, float]:
    """MB/s and CPU seconds a GiB of one upload of `mib` MiB in pieces."""
    piece = memoryview(os.urandom(PIECE_BYTES))
    target = VirtualPath(("large",))
    cpu, began = time.process_time(), time.perf_counter()
    with home.begin_upload(target) as arriving:
        for _ in range(mib * 1024 * 1024 // PIECE_BYTES):
            arriving.write(piece)
        arriving.commit()
    figures = _rates(mib, time.perf_counter() - began, time.process_time() - cpu)
    home.remove_file(target)
    return figures


def bytes_only(folder: Path, mib: int) -> tuple[float, float]:
    """The same content by write(2) alone, into a file without a name."""
    piece = os.urandom(PIECE_BYTES)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(mib * 1024 * 1024 // PIECE_BYTES):
            file.write(piece)
        return _rates(mib, time.perf_counter() - began, time.process_time() - cpu)


def _rates(mib: int, took_s: float, cpu_s: float) -> tuple[float, float]:
    return mib * 1024 * 1024 / took_s / 1e6, cpu_s / mib * 1024


def main() -> None:
    """Measure all paths in turn, round after round, and print the medians."""
    options = _options()
    rows: dict[str, list[tuple[float, float]]] = {}
    with bench(options.folder, Policy(options.fsync)) as measured:
        homes = [measured.open() for _ in range(options.threads)]
        homes[0].make_directory(FOLDER)
        for _ in range(options.rounds):
            for label, run, crowd in (
                ("upload, new", upload, homes[:1]),
                ("upload, replacing", upload, homes[:1]),
                (f"upload, {options.threads} sessions", upload, homes),
                ("download", download, homes[:1]),
                (f"download, {options.threads} sessions", download, homes),
            ):
                if label == "upload, new":
                    _clear(homes[0])
                each = min(1000, options.count) // len(crowd)
                rows.setdefault(label, []).append(small(crowd, run, each, measured.flush))
            if options.large_mib:
                rows.setdefault("large upload", []).append(large(homes[0], options.large_mib))
                rows.setdefault("large, bytes only", []).append(bytes_only(options.folder, options.large_mib))
    for label, figures in rows.items():
        units = ("MB/s", "CPU s/GiB") if label.startswith("large") else ("us CPU", "us wall")
        medians = [statistics.median(column) for column in zip(*figures, strict=True)]
        print(f"{label:24}" + "".join(f"{value:10.2f} {unit}" for value, unit in zip(medians, units, strict=True)))


def _clear(home: Home) -> None:
    with home.names(FOLDER) as names:
        found = list(names)
    for each in found:
        home.remove_file(FOLDER.child(each))
    assert home.stat(ROOT).mtime_ns


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core_paths", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the files lie")
    parser.add_argument("--fsync", choices=[policy.value for policy in Policy], default="never")
    parser.add_argument("--count", type=int, default=1000, help="small files a round, at most 1000")
    parser.add_argument("--threads", type=int, default=8, help="sessions at once, each with a thread")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large-mib", type=int, default=0, help="size of the large file; 0: without")
    return parser.parse_args()


if __name__ == "__main__":
    main()
