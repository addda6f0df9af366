"""The environment of a command: a fixed set of variables, of which the client chooses the terminal and the language.

The one rule: a value from the client is let in only if it cannot mean anything but a terminal's or a locale's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_LANGUAGE = frozenset(
    {"LANG", "LANGUAGE"}
    | {
        f"LC_{part}"
        for part in (
            "ADDRESS", "ALL", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES", "MONETARY", "NAME",
            "NUMERIC", "PAPER", "TELEPHONE", "TIME",
        )
    }
)  # fmt: skip
_NO_TERMINAL = "dumb"


def environment(name: str, home: str, shell: str, wanted: Mapping[str, str], terminal: str | None) -> dict[str, str]:
    """The variables for the account `name`; `wanted` is what the client sent, `terminal` its type where it has one."""
    fixed = {"HOME": home, "USER": name, "LOGNAME": name, "SHELL": shell, "PATH": PATH, "LANG": "C.UTF-8"}
    if terminal is not None:
        fixed["TERM"] = terminal if _TERM.fullmatch(terminal) else _NO_TERMINAL
    chosen = {key: value for key, value in wanted.items() if key in _LANGUAGE and _LOCALE.fullmatch(value)}
    return fixed | chosen
