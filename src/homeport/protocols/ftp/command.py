"""What a row of the command table says of a command.

The one rule: a row is data. What is done about it stands in `gates.py`, `answers.py`, the engine and the server.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace

from homeport.protocols.ftp.arguments import Shape
from homeport.protocols.ftp.settings import Pending


class Access(enum.Enum):
    """Who may give the command."""

    ANYONE = "anyone"
    LOGGED_IN = "after login"


class During(enum.Enum):
    """Whether the command is heard while a transfer runs; otherwise it waits for the end."""

    WAITS = "waits"
    HEARD = "heard"
    HEARD_WHEN_BARE = "heard without argument"
    ABORTS = "aborts"


class Prior(enum.Enum):
    """What must be so before the command; the refusals are in `gates.py`."""

    USER = "right after USER"
    STRANGER = "before USER"
    NO_TLS = "on a connection without TLS"
    TLS = "on a connection with TLS"
    PBSZ = "after PBSZ"
    RENAME = "right after RNFR"
    COPY = "right after SITE CPFR"
    IMAGE = "in TYPE I"
    IPV4 = "on an IPv4 connection"
    NO_EPSV_ALL = "unless EPSV ALL was given"
    NO_RANGE = "without RANG"


class Offer(enum.Enum):
    """Which part of the policy must be on; otherwise the command is answered with 502 and FEAT is silent."""

    ALWAYS = "always"
    TLS = "ftp.tls is not off"
    ACTIVE = "active mode is allowed"
    MODE_Z = "MODE Z is allowed"


@dataclass(frozen=True, slots=True, repr=False)
class Command:
    """One row.

    `syntax` is what HELP shows, `meaning` one sentence for people, `source` the document that defines it.
    `needs` names the rights (`read`, `write overwrite`, ...) that the server asks of the account.
    `data`: it opens a data connection. `creates`: its argument names something new, so that a line end in it is 553.
    `keeps`: pending values that it leaves alone; `uses`: those that it may take, dropped when it ends.
    `remembers`: the pending value that its argument becomes when the server agrees.
    `secret`: refused without TLS when the policy requires TLS. `drops`: the connection is closed at once.
    `algorithm`: the digest that it asks for. `refusal`: the reply that it always gets.
    `parent`: the verb whose subcommand it is. `name`: `SITE CHMOD` for a subcommand, the verb for others; the key of
    tables of handlers. `otherwise`: the code for a subcommand that is not in `subcommands`.
    """

    verb: str
    syntax: str
    meaning: str
    source: str
    shape: Shape = Shape.NONE
    _: KW_ONLY
    parent: str = ""
    access: Access = Access.LOGGED_IN
    during: During = During.WAITS
    priors: tuple[Prior, ...] = ()
    offer: Offer = Offer.ALWAYS
    needs: str = ""
    data: bool = False
    creates: bool = False
    secret: bool = False
    keeps: Pending = Pending.NONE
    uses: Pending = Pending.NONE
    remembers: Pending = Pending.NONE
    feat: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    refusal: tuple[int, str] | None = None
    drops: bool = False
    algorithm: str = ""
    subcommands: Mapping[str, Command] | None = None
    otherwise: int = 501
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.parent} {self.verb}" if self.parent else self.verb)

    def __repr__(self) -> str:
        return f"<{self.name}>"


def table(rows: Iterable[Command], parent: str = "") -> dict[str, Command]:
    """Rows by verb, each told whose subcommand it is."""
    return {row.verb: replace(row, parent=parent) for row in rows}
