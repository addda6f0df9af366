"""FEAT and HELP, derived from the command table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from homeport.protocols.ftp.commands import COMMANDS, SITE_COMMANDS, Command, find, find_subcommand
from homeport.protocols.ftp.facts import FACT_ORDER
from homeport.protocols.ftp.gates import OFFERS
from homeport.protocols.ftp.replies import Refusal, Reply
from homeport.protocols.ftp.session import Session

_WITHOUT_COMMAND = ("TVFS",)  # paths are trees with slashes (RFC 3659 section 6)
_HELP_COLUMNS = 8


def features(session: Session) -> list[str]:
    """The lines of FEAT, sorted. MLST marks the facts in use with `*`, HASH the algorithm in use."""
    settings = session.settings
    values = {
        "facts": "".join(f"{fact}{'*' if fact in settings.facts else ''};" for fact in FACT_ORDER),
        "hashes": ";".join(f"{name}{'*' if name == settings.hash_algorithm else ''}" for name in session.policy.hashes),
        "mode_z": "MODE Z" if session.policy.mode_z else "",
    }
    lines = (text.format_map(values) for row in _offered(session) for text in row.feat)
    return sorted([line for line in lines if line] + list(_WITHOUT_COMMAND))


def _offered(session: Session) -> Iterator[Command]:
    for row in COMMANDS.values():
        if OFFERS[row.offer](session.policy):
            yield row
            yield from (row.subcommands or {}).values()


def feat_reply(session: Session) -> Reply:
    """The reply to FEAT (RFC 2389 section 3.2)."""
    return Reply(211, ("Features:", *features(session), "End"))


def help_reply(verb: str | None) -> Reply:
    """All commands, or one."""
    if verb is None:
        return Reply(214, ("Commands:", *_columns(COMMANDS), "HELP command explains one; SITE HELP lists SITE's own."))
    row = find(verb)
    if row is None or row.drops:
        raise Refusal(502, "No such command.")
    return _explain(row)


def site_help_reply(verb: str | None) -> Reply:
    """All SITE commands, or one."""
    if verb is None:
        return Reply(214, ("SITE commands:", *_columns(SITE_COMMANDS), "SITE HELP command explains one."))
    row = find_subcommand(COMMANDS["SITE"], verb)
    if row is None:
        raise Refusal(502, "No such SITE command.")
    return _explain(row)


def _columns(table: Mapping[str, Command]) -> list[str]:
    """The names of what is carried out, eight a line."""
    names = [row.verb for row in table.values() if row.refusal is None and not row.drops]
    lines = (names[start : start + _HELP_COLUMNS] for start in range(0, len(names), _HELP_COLUMNS))
    return [" ".join(f"{name:<7}" for name in line).rstrip() for line in lines]


def _explain(row: Command) -> Reply:
    return Reply(214, (f"Syntax: {row.syntax}", row.meaning, f"({row.source})"))
