"""The command's first moment: where it plainly goes to an HPTP server, the connection is begun before all else.

The one rule: what is read here decides nothing but that; a place that is written in any unusual way has no head start.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

_MARK = "hp://"
_PORT = 2120
_GO_THERE = frozenset({"ls", "get", "put", "sync", "cat", "mkdir", "mv", "rm", "stat", "hash", "df", "shell"})
# New objects before they are searched for circles: a command makes none to speak of, and ends soon.
_SEARCHED_AFTER = 50_000
_HELP = frozenset({"-h", "--help"})


def server_of(words: Sequence[str]) -> tuple[str, int] | None:
    """Host and port of the first HPTP server in a command line; None where there is none, or no certainty."""
    if not words or words[0] not in _GO_THERE or not _HELP.isdisjoint(words):
        return None
    place = next((word for word in words if word.startswith(_MARK)), None)
    if place is None:
        return None
    server = place[len(_MARK) :].partition("/")[0].rpartition("@")[2]
    host, _, port = server.partition(":")
    if not host.replace(".", "").replace("-", "").isalnum() or not host.isascii() or host != host.lower():
        return None
    if not port:
        return (host, _PORT) if server == host else None
    return (host, int(port)) if port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16 else None


def main() -> NoReturn:
    """The entry point of the installed command."""
    gc.set_threshold(_SEARCHED_AFTER)
    server = server_of(sys.argv[1:])
    if server is not None:
        from homeport.client.hptp import head_start

        head_start.begin(*server)
        import homeport.client.hptp.securing  # noqa: F401 - what the thread needs next, while it waits
    from homeport.cli.main import cli

    try:
        cli.main()
    finally:
        gc.freeze()  # the process ends: its memory goes with it, unsearched
