"""Run with `make bench`, or `python -m benchmarks --rows retr-4k-16,noop-16 --rounds 3` for a part of it.

Needs root on Debian (the peers are unpacked from its packages), gcc and curl. Sends nothing beyond 127.0.0.1.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.probes import Figures, Load, make_files
from benchmarks.report import Outcome
from benchmarks.rows import Row, all_rows
from benchmarks.targets import Homeport, Peers, Target

# What the peers are set to as well: plain logins, no limit in the way, no fsync; a pool of passive ports wide enough.
LIKE_THE_PEERS = [
    'ftp.tls="optional"',
    'fsync="never"',
    'ftp.passive_ports="30000-39999"',
    "limits.sessions=20000",
    "limits.sessions_per_address=20000",
    "limits.sessions_per_account=20000",
]


def main() -> None:
    """Measure the chosen rows, all servers in turn, and print, save and draw the ratios."""
    options = _options()
    workspace: Path = options.workspace
    workspace.mkdir(parents=True, exist_ok=True)
    chosen = options.rows.split(",") if options.rows else []
    load = Load(workspace, options.seconds)
    rows = [row for row in all_rows(load, workspace) if not chosen or any(each.name in chosen for each in row.family())]
    settings = LIKE_THE_PEERS + (options.set or [])
    with contextlib.ExitStack() as running:
        targets = [running.enter_context(Homeport(workspace / "instance", settings))]
        if not options.alone:
            targets += running.enter_context(Peers(workspace / "peers"))
        for target in targets:
            make_files(target)
        outcomes: list[Outcome] = []
        for row in rows:
            outcomes += measure(row, targets, options.rounds)
            report.save(outcomes, workspace)  # whatever happens to the rest of a long run
    print(report.table(outcomes))
    print(f"saved {workspace / 'results.json'} and {workspace / 'results.svg'}", file=sys.stderr)


def measure(row: Row, targets: list[Target], rounds: int) -> list[Outcome]:
    """One row, and those beside it: the servers in turn, `rounds` times over, each round begun by another one.

    A server that cannot do the work, for whatever reason, is left out and named; the others go on.
    """
    found: dict[str, list[Figures]] = {target.name: [] for target in targets if row.applies_to(target)}
    for number in range(rounds):
        first = number % len(targets)  # who begins finds the machine colder than those who follow
        for target in targets[first:] + targets[:first]:
            if target.name not in found:
                continue
            figures = _tried(row, target)
            if figures is None:
                del found[target.name]
            else:
                found[target.name].append(figures)
    outcomes = [Outcome(each, found) for each in row.family()]
    print("\n".join(report.table(outcomes).splitlines()[1:]), file=sys.stderr, flush=True)
    return outcomes


def _tried(row: Row, target: Target) -> Figures | None:
    """One measurement; a second one where the first failed, as on a machine that is busy for a moment."""
    for last in (False, True):
        try:
            return row.probe(target)
        except Exception as failure:  # noqa: BLE001 - one server's trouble must not cost an hour of the others' figures
            what = "is left out" if last else "is tried again"
            print(f"{row.name}: {target.name} {what}: {failure or type(failure).__name__}", file=sys.stderr)
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", help="names joined by commas; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one load")
    parser.add_argument("--set", action="append", help="a setting for Homeport, KEY=VALUE")
    parser.add_argument("--alone", action="store_true", help="Homeport only, without the peers")
    parser.add_argument("--workspace", type=Path, default=Path("/tmp/homeport-bench"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
