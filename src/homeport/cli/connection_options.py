"""Options of every verb that talks to a server, spelled and explained once. One rule: parsing has no effect.

They arrive as two values, `how` to connect and `moving` files, so that verbs stay thin.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object a line, and a summary at the end."
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How to connect. `fingerprint` is the only key that will do; `timeout_s` without any byte ends a connection;
    `identity` is the file of the key to log in with, by SSH.
    """

    plain: bool = False
    fingerprint: str | None = None
    password_stdin: bool = False
    charset: str | None = None
    timeout_s: float = 60.0
    identity: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """How to transfer: `jobs` files at a time; `progress` is auto, plain, json or none."""

    jobs: int | None = None
    progress: str = "auto"


_Options = dict[str, Callable[[Command], Command]]

# Each under the name of what it sets.
_HOW: _Options = {
    "plain": click.option(
        "--plain", is_flag=True, help="Allow a connection without TLS: password and files can be read."
    ),
    "fingerprint": click.option(
        "--fingerprint", metavar="sha256:...", help="The server's key; no other is accepted, no question asked."
    ),
    "password_stdin": click.option(
        "--password-stdin", is_flag=True, help="Read the password's line from standard input."
    ),
    "charset": click.option("--charset", metavar="NAME", help="The server's charset for names, such as gb18030."),
    "timeout_s": click.option(
        "--timeout",
        "timeout_s",
        metavar="SECONDS",
        type=click.FloatRange(min=1, max=86_400),
        default=60.0,
        show_default=True,
        help="Give a silent connection up after so long.",
    ),
    "identity": click.option(
        "--identity",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The private key to log in with; for sftp://.",
    ),
}
_HOW_BY_HPTP: _Options = {name: _HOW[name] for name in ("fingerprint", "password_stdin", "timeout_s")}
_MOVING: _Options = {
    "jobs": click.option("--jobs", metavar="N", type=click.IntRange(1, 32), help="Files at a time.  [default: 4]"),
    "progress": click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "json", "none"]),
        default="auto",
        show_default=True,
        help="How to show it; auto draws bars where there is a terminal.",
    ),
}


def connects(command: Command) -> Command:
    """Adds the options of a connection; `command` gets them as `how`."""
    return _packed(command, "how", How, _HOW)


def connects_by_hptp(command: Command) -> Command:
    """Adds those options of a connection that say something to HPTP; `command` gets them as `how`."""
    return _packed(command, "how", How, _HOW_BY_HPTP)


def transfers(command: Command) -> Command:
    """Adds the options of a connection and of transfers; `command` gets them as `how` and `moving`."""
    return _packed(connects(command), "moving", Moving, _MOVING)


def _packed(command: Command, name: str, kind: type[How | Moving], options: _Options) -> Command:
    @functools.wraps(command)
    def packed(*words: object, **given: object) -> object:
        return command(*words, **{name: kind(**{each: given.pop(each) for each in options})}, **given)  # type: ignore[arg-type]

    whole: Command = packed
    for option in reversed(options.values()):
        whole = option(whole)
    return whole
