"""The command table as running code wants it: every line's row, found in one look-up, with all that it leads to.

The one rule: a route is made from its row and from the tables that are keyed by it, once, and says nothing that these
do not say. What would be asked of the row for every command, such as which pending values it drops, is answered here.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeport.protocols.ftp.address import UnknownFamily
from homeport.protocols.ftp.answers import ANSWERS
from homeport.protocols.ftp.arguments import NAMING, PARSERS, Parsed, Parser, parse
from homeport.protocols.ftp.commands import COMMANDS, Command
from homeport.protocols.ftp.gates import Gate
from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.replies import Refusal
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import LASTING
from homeport.protocols.ftp.state import Phase, Step

_LOGGED_IN = Phase.LOGGED_IN
TRANSIENT = (~LASTING).value  # what the next command drops, whichever it is


class Route:
    """One row. `drops`, `uses`, `spent`: bits of Pending that end before it, with its reply, with an answer at once."""

    __slots__ = (
        "_bare", "_decode", "_gate", "_parser", "_syntax", "answer", "command", "drops", "during", "name", "remembers",
        "spent", "step", "subroutes", "uses",
    )  # fmt: skip

    def __init__(self, command: Command) -> None:
        self.command = command
        self.name = command.name
        self.during = command.during
        self.answer = ANSWERS.get(command.name)
        self.drops: int = TRANSIENT & ~(command.keeps | command.uses).value
        self.uses: int = command.uses.value
        self.spent: int = TRANSIENT & self.uses
        self.remembers = command.remembers or None  # a Flag takes its time to say that it is none
        self.step = Step.ASKED_FOR_DATA if command.data else Step.ASKED
        self.subroutes = None if command.subcommands is None else _routes(command.subcommands.values())
        self._gate = Gate(command)
        self._syntax = command.syntax
        self._decode = Names.decode_argument if command.shape in NAMING else Names.decode_text
        self._parser = PARSERS[command.shape]
        self._bare = _bare(self._parser)

    def admit(self, session: Session, raw: bytes) -> Parsed:
        """The argument in `raw`, when nothing stands against the command. Raises Refusal."""
        gate = self._gate
        if session.phase is not _LOGGED_IN or not gate.members_pass:
            gate.check_access(session)
        if self.subroutes is not None:
            raise Refusal(self.command.otherwise, f"Syntax: {self._syntax}.")
        if raw or self._bare is None:
            argument = parse(self._parser, self._decode(session.names, raw) if raw else "", self._syntax)
        else:
            argument = self._bare[0]
        if gate.limits_use:
            gate.check_use(session, argument)
        return argument


def _bare(parser: Parser) -> tuple[Parsed] | None:
    """What the parser makes of no argument, which is always the same; None where it refuses."""
    try:
        return (parser(""),)
    except (ValueError, UnknownFamily, Refusal):
        return None


def _routes(rows: Iterable[Command]) -> dict[bytes, Route]:
    found = {}
    for row in rows:
        route = Route(row)
        found.update({name.encode("ascii"): route for name in (row.verb, *row.aliases)})
    return found


ROUTES = _routes(COMMANDS.values())
# Lines that are a command's name and nothing else, as `route_of` would answer them.
BARE_ROUTES: dict[bytes, tuple[Route, bytes]] = {
    name: (route, b"") for name, route in ROUTES.items() if route.subroutes is None
}


def route_of(line: bytes) -> tuple[Route | None, bytes]:
    """The route of a line, and what follows its name; the parent's where a subcommand is missing or unknown."""
    verb, _, rest = line.partition(b" ")
    route = ROUTES.get(verb) or ROUTES.get(verb.upper())
    if route is None or route.subroutes is None:
        return route, rest
    word, _, after = rest.lstrip(b" ").partition(b" ")
    subroute = route.subroutes.get(word.upper())
    return (route, rest) if subroute is None else (subroute, after)
