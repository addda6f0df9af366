from __future__ import annotations

from homeport.protocols.ftp.answers import ANSWERS
from homeport.protocols.ftp.commands import COMMANDS, Command
from homeport.servers.ftp.handlers import HANDLERS

ENGINES_OWN = {"AUTH", "PASS", "REIN", "QUIT", "ABOR"}  # they become events of their own


def rows() -> list[Command]:
    found = [row for row in COMMANDS.values() if row.subcommands is None]
    for row in COMMANDS.values():
        found += (row.subcommands or {}).values()
    return found


def test_every_row_that_the_engine_does_not_answer_has_a_handler() -> None:
    asked = {row.name for row in rows() if row.refusal is None and not row.drops} - set(ANSWERS) - ENGINES_OWN
    assert set(HANDLERS) == asked | {"EPSV"}  # of which the engine answers `EPSV ALL`
