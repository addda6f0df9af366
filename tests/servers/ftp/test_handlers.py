from __future__ import annotations

import pytest

from homeport.protocols.ftp.answers import ANSWERS
from homeport.protocols.ftp.commands import COMMANDS, Command
from homeport.protocols.ftp.events import Request
from homeport.servers.ftp.arguments import text_of
from homeport.servers.ftp.handlers import HANDLERS

ENGINES_OWN = {"AUTH", "PASS", "REIN", "QUIT", "ABOR"}  # they become events of their own


def rows() -> list[Command]:
    found = [row for row in COMMANDS.values() if row.subcommands is None]
    for row in COMMANDS.values():
        found += (row.subcommands or {}).values()
    return found


def test_an_argument_of_the_wrong_type_is_a_mistake_in_the_table() -> None:
    with pytest.raises(TypeError, match=r"^SIZE has 5 for an argument, no str$"):
        text_of(Request(COMMANDS["SIZE"], 5))


def test_every_row_that_the_engine_does_not_answer_has_a_handler() -> None:
    asked = {row.name for row in rows() if row.refusal is None and not row.drops} - set(ANSWERS) - ENGINES_OWN
    assert set(HANDLERS) == asked | {"EPSV"}  # of which the engine answers `EPSV ALL`
