"""The outcome as text, JSON and a picture. Ratios are formed within a round: a machine that drifts, drifts for all."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.probes import Figures
from benchmarks.rows import Row

OURS = "homeport"


@dataclass
class Outcome:
    """All rounds of one row: for each server the figures of each round."""

    row: Row
    rounds: dict[str, list[Figures]] = field(default_factory=dict)

    def values(self, server: str) -> list[float]:
        return [figures[self.row.figure] for figures in self.rounds.get(server, [])]

    def best_peer(self) -> str | None:
        """The peer with the best median."""
        peers = [server for server in self.rounds if server != OURS and self.values(server)]
        if not peers:
            return None
        pick = max if self.row.more_is_better else min
        return pick(peers, key=lambda server: statistics.median(self.values(server)))

    def ratios(self) -> list[float]:
        """Ours to the best peer's, round by round; above 1 we are ahead."""
        peer = self.best_peer()
        if peer is None:
            return []
        return [
            self.row.ratio(ours, theirs) for ours, theirs in zip(self.values(OURS), self.values(peer), strict=False)
        ]


def table(outcomes: list[Outcome]) -> str:
    """One line a row: medians, then the ratio to the best peer as median (min to max)."""
    servers = sorted(
        {server for outcome in outcomes for server in outcome.rounds}, key=lambda name: (name != OURS, name)
    )
    lines = [f"{'work':44}" + "".join(f"{server:>12}" for server in servers) + "   ratio to the best peer"]
    for outcome in outcomes:
        cells = [statistics.median(values) if (values := outcome.values(server)) else None for server in servers]
        text = "".join(f"{cell:12,.1f}" if cell is not None else f"{'-':>12}" for cell in cells)
        lines.append(f"{outcome.row.title:44}{text}   {_ratio_text(outcome)}")
    return "\n".join(lines)


def _ratio_text(outcome: Outcome) -> str:
    ratios = outcome.ratios()
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) {outcome.best_peer()}"


def as_json(outcomes: list[Outcome]) -> str:
    """Every figure of every round, for later comparison."""
    rows = [
        {
            "row": outcome.row.name,
            "title": outcome.row.title,
            "figure": outcome.row.figure,
            "more_is_better": outcome.row.more_is_better,
            "rounds": outcome.rounds,
            "best_peer": outcome.best_peer(),
            "ratios": outcome.ratios(),
        }
        for outcome in outcomes
    ]
    return json.dumps(rows, indent=1)


def picture(outcomes: list[Outcome]) -> str:
    """An SVG: a bar a row, the ratio to the best peer; the line at 1 is the peer."""
    shown = [(outcome, statistics.median(ratios)) for outcome in outcomes if (ratios := outcome.ratios())]
    height, left, unit = 24, 330, 150
    width = left + int(unit * max([2.0, *(min(ratio, 4.0) for _, ratio in shown)])) + 180
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * (len(shown) + 2)}" '
        'font-family="sans-serif" font-size="13">',
        f'<text x="{left + unit}" y="16" text-anchor="middle" fill="#555">best peer = 1</text>',
    ]
    for number, (outcome, ratio) in enumerate(shown, 1):
        y, bar = height * number, round(unit * min(ratio, 4.0))
        colour = "#2a7f62" if ratio >= 1 else "#b5651d"
        parts += [
            f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(outcome.row.title)}</text>',
            f'<rect x="{left}" y="{y + 3}" width="{bar}" height="{height - 6}" fill="{colour}"/>',
            f'<text x="{left + bar + 6}" y="{y + 16}">{ratio:.2f} x {outcome.best_peer()}</text>',
        ]
    bottom = height * (len(shown) + 1) + 4
    parts.append(
        f'<line x1="{left + unit}" y1="20" x2="{left + unit}" y2="{bottom}" stroke="#555" stroke-dasharray="3"/>'
    )
    return "\n".join([*parts, "</svg>", ""])


def save(outcomes: list[Outcome], folder: Path) -> None:
    """Write results.json and results.svg into `folder`."""
    (folder / "results.json").write_text(as_json(outcomes))
    (folder / "results.svg").write_text(picture(outcomes))
