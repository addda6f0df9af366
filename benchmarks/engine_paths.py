"""What the FTP engine itself costs, without any socket: commands from bytes to replies, and lines of listings.

    python -m benchmarks.engine_paths
    python -m benchmarks.engine_paths --against ../before/src     # another copy of the source, in turn with this one

Every figure is microseconds of this thread's CPU, the median of the rounds; the two copies run in turn, each in a
process of its own. A command is what a control connection does with it: bytes in, events out, replies, bytes to send
out, and whether to go on reading. `RETR` and `STOR` are answered with 150 and 226, `EPSV` with 229. A line is one file
of a folder, formatted and encoded in blocks as servers do it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeport.protocols.ftp.engine import FtpEngine
from homeport.protocols.ftp.events import Login, Request
from homeport.protocols.ftp.facts import ALL_FACTS, FactLines
from homeport.protocols.ftp.listing import ListLines
from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.policy import Policy, TlsPolicy

Figures = dict[str, float]

POLICY = Policy(tls=TlsPolicy.OPTIONAL, private_data=False)
DIGEST = "ab" * 32
ENTRIES = 20_000
BLOCK = 512
RIGHTS = frozenset({"list", "read", "write", "overwrite", "rename", "delete", "mkdir", "change"})
# what a client sends in one go -> the replies of the server to each Request in it
COMMANDS: dict[str, tuple[bytes, tuple[tuple[int, str], ...]]] = {
    "NOOP": (b"NOOP\r\n", ()),
    "TYPE I": (b"TYPE I\r\n", ()),
    "EPSV": (b"EPSV\r\n", ((229, "Entering Extended Passive Mode (|||2345|)"),)),
    "RETR": (
        b"RETR small.bin\r\n",
        ((150, "Sending /small.bin (4096 bytes)."), (226, f"Sent 4096 bytes, SHA-256 {DIGEST}")),
    ),
    "STOR": (
        b"STOR folder/file-17.bin\r\n",
        ((150, "Send /folder/file-17.bin."), (226, f"Stored 4096 bytes, SHA-256 {DIGEST}")),
    ),
    "RETR, a Chinese name": (
        "RETR 文件夹/文件.bin\r\n".encode(),
        ((150, "Sending /文件夹/文件.bin (4096 bytes)."), (226, f"Sent 4096 bytes, SHA-256 {DIGEST}")),
    ),
    "CWD": (b"CWD folder\r\n", ((250, "The folder is /folder."),)),
    "NOOP, 100 in a packet, each": (b"NOOP\r\n" * 100, ()),
}


class Control:
    """A control connection without a socket: the same calls as `servers/ftp/control.py` makes, and no others."""

    def __init__(self) -> None:
        self.engine = FtpEngine(POLICY)
        self.engine.greet("Homeport")
        self.replies: tuple[tuple[int, str], ...] = ()
        for line in (b"USER bench\r\n", b"PASS secret\r\n"):
            self.data_received(line)

    def data_received(self, data: bytes) -> int:
        """Everything that one packet leads to; how many bytes would be sent."""
        engine, sent = self.engine, 0
        if b"\n" in data and engine.logged_in:
            pass  # where the server sets its deadline
        engine.receive(data, 1.0)
        while True:
            while events := engine.events():
                for event in events:
                    if isinstance(event, Request):
                        for code, text in self.replies:
                            engine.reply(code, text)
                    elif isinstance(event, Login):
                        engine.login_accepted()
            output = engine.take_output()
            if not output:
                break
            sent += len(output)
        assert engine.wants_data
        return sent


def measure_commands(count: int) -> Figures:
    """Microseconds a command."""
    figures = {}
    for name, (data, replies) in COMMANDS.items():
        control = Control()
        control.replies = replies
        receive = control.data_received
        assert receive(data)
        lines = data.count(b"\n")
        times = range(max(count // lines, 1))
        began = time.thread_time()
        for _ in times:
            receive(data)
        figures[name] = (time.thread_time() - began) / len(times) / lines * 1e6
    return figures


def measure_lines() -> Figures:
    """Microseconds a line; none of an older copy that made lines one by one."""
    if not hasattr(FactLines, "lines"):
        return {}
    names = {"ASCII names": "report-{:05d}.txt", "Chinese names": "报告-{:05d}.txt"}
    figures = {}
    for spelling, template in names.items():
        files = [
            (template.format(number),
             (0o100640, 1_000_000 + number, 2049, 1, 0, 0, number * 977, 0, 1_700_000_000 + number * 7_777, 0))
            for number in range(ENTRIES)
        ]  # fmt: skip
        for title, lines in (
            ("MLSD", FactLines(ALL_FACTS, RIGHTS).lines),
            ("LIST", ListLines("bench", 1_800_000_000).lines),
        ):
            figures[f"{title}, {spelling}"] = _lines(files, lines)
    return figures


def _lines(files: list[Any], lines: Callable[[list[Any]], list[str]]) -> float:
    encode = Names("gb18030").encode_lines
    began = time.thread_time()
    for start in range(0, len(files), BLOCK):
        encode(lines(files[start : start + BLOCK]))
    return (time.thread_time() - began) / len(files) * 1e6


def one_round(count: int) -> Figures:
    """All figures once."""
    return measure_commands(count) | measure_lines()


def _in_a_process(source: Path, count: int) -> Figures:
    """One round on the copy of the source in `source`."""
    environment = os.environ | {"PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "benchmarks.engine_paths", "--raw", "--count", str(count)]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(ended.stdout)
    return figures


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="the src folder of another copy, measured in turn with this one")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=20_000, help="commands of each kind in a round")
    parser.add_argument("--raw", action="store_true", help="one round, as JSON")
    options = parser.parse_args()
    if options.raw:
        print(json.dumps(one_round(options.count)))
        return
    here = Path(__file__).parent.parent / "src"
    sources = [here] if options.against is None else [options.against.resolve(), here]
    rounds = [[_in_a_process(source, options.count) for source in sources] for _ in range(options.rounds)]
    print(f"{'us, medians of ' + str(options.rounds):<32}" + ("  before   after" if options.against else "    here"))
    for name in rounds[0][0]:
        medians = [statistics.median(figures[index][name] for figures in rounds) for index in range(len(sources))]
        print(f"{name:<32}" + "".join(f"{figure:8.2f}" for figure in medians))


if __name__ == "__main__":
    main()
