"""What is measured: one row a kind of work, with the figure that counts and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import probes
from benchmarks.probes import Figures, Load
from benchmarks.targets import Target


@dataclass(frozen=True)
class Row:
    """`figure` names the number of the probe that is compared; `more_is_better` tells which way.

    `beside`: more rows, of other figures that the same probe brings: (name, title, figure). Less is better of them all.
    """

    name: str
    title: str
    figure: str
    more_is_better: bool
    probe: Callable[[Target], Figures]
    needs: str = ""
    beside: tuple[tuple[str, str, str], ...] = ()

    def family(self) -> list[Row]:
        """This row and those beside it."""
        others = [
            replace(self, name=name, title=title, figure=figure, more_is_better=False, beside=())
            for name, title, figure in self.beside
        ]
        return [self, *others]

    def applies_to(self, target: Target) -> bool:
        """Whether this server can do such work at all."""
        return self.needs not in target.lacks and not (self.needs == "tls" and target.tls_port is None)

    def ratio(self, ours: float, theirs: float) -> float:
        """How much better ours is: above 1 we are ahead."""
        return ours / theirs if self.more_is_better else theirs / max(ours, 1e-9)


def all_rows(load: Load, workspace: Path) -> list[Row]:
    """Every row, in the order of the table."""
    return [*_idle(load), *_start(), *_small_files(load), *_control(load), *_bulk(workspace), *_listings()]


def _small_files(load: Load) -> list[Row]:
    rows = []
    for sessions in (1, 16, 128):
        for verb, mode, path in (("RETR", "get", "small.bin"), ("STOR", "put", "in")):
            title = f"{verb} 4 KiB, {sessions} sessions, files/s"
            probe = partial(load.run, mode=mode, sessions=sessions, path=path)
            rows.append(Row(f"{verb.lower()}-4k-{sessions}", title, "ops/s", True, probe))
    return rows


def _control(load: Load) -> list[Row]:
    return [
        Row("noop-16", "NOOP, 16 sessions, round trips/s", "ops/s", True, lambda target: load.run(target, "noop", 16)),
        Row("login-16", "logins, 16 at once, logins/s", "ops/s", True, lambda target: load.run(target, "login", 16)),
        Row(
            "noop-busy",
            "NOOP under 50 downloads, p99 ms",
            "p99_ms",
            False,
            lambda target: probes.busy_latency(target, 50),
            beside=(("noop-busy-p50", "NOOP under 50 downloads, p50 ms", "p50_ms"),),
        ),
    ]


def _bulk(workspace: Path) -> list[Row]:
    rows = []
    for upload in (False, True):
        for tls in (False, True):
            for sessions in (1, 4):
                verb, line = ("STOR" if upload else "RETR"), ("TLS" if tls else "plain")
                name = f"{verb.lower()}-1g-{line.lower()}-{sessions}"
                probe = partial(probes.bulk, workspace=workspace, upload=upload, tls=tls, sessions=sessions)
                rows.append(
                    Row(
                        name,
                        f"{verb} 1 GiB, {line}, {sessions} at once, MB/s",
                        "MB/s",
                        True,
                        probe,
                        "tls" if tls else "",
                        (
                            (
                                f"{name}-cpu",
                                f"{verb} 1 GiB, {line}, {sessions} at once, server's CPU s a GiB",
                                "cpu_s/GiB",
                            ),
                        ),
                    )
                )
    return rows


def _listings() -> list[Row]:
    return [
        Row(
            f"{verb.lower()}-50k",
            f"{verb} of 50,000, ms",
            "total_ms",
            False,
            partial(probes.listing, verb=verb),
            "mlsd" if verb == "MLSD" else "",
            (
                (f"{verb.lower()}-50k-first", f"{verb} of 50,000, ms to the first byte", "first_ms"),
                (f"{verb.lower()}-50k-memory", f"{verb} of 50,000, KiB of memory more at the peak", "grown_KiB"),
            ),
        )
        for verb in ("LIST", "MLSD")
    ]


def _idle(load: Load) -> list[Row]:
    return [
        Row(
            f"idle-{sessions}",
            f"an idle session of {sessions:,}, KiB",
            "KiB",
            False,
            partial(probes.idle_memory, load=load, sessions=sessions),
        )
        for sessions in (1000, 10_000)
    ]


def _start() -> list[Row]:
    return [
        Row("start", "start-up, ms", "ms", False, lambda target: {"ms": (target.started_in_s or 0.0) * 1e3}, "start")
    ]
