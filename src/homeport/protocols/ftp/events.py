"""What the engine tells the server. Every event but `Abort`, `Quit` and `Close` waits for an answer.

The one rule: at most one unanswered `StartTls`, `Login`, `Reinitialize` or plain `Request` at a time. Only `Abort` and
a `Request` with `aside` set come while a transfer runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from homeport.protocols.ftp.arguments import Parsed
from homeport.protocols.ftp.commands import Command


@dataclass(frozen=True, slots=True)
class StartTls:
    """234 is in the output: send it, begin the handshake, then call `tls_started()`.

    Give the engine no byte that came in the clear after this. The account, its folder and any listener that the session
    had before are to be forgotten.
    """


@dataclass(frozen=True, slots=True)
class Login:
    """Check the password, then call `login_accepted()` or `login_refused()`.

    A session that was logged in before gives up its old account first, whatever the outcome.
    """

    user: str
    password: str = field(repr=False)


class Request(NamedTuple):
    """A command for the server: answer it with `reply()`, or with `reply_aside()` when `aside` is set.

    `argument` is what the command's shape parses to (see `arguments.Shape`). A named tuple, since there is one for
    every file that is sent, and a frozen dataclass takes more than twice as long to make.
    """

    command: Command
    argument: Parsed = None
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop the running transfer and give its final reply (426, or 226 when it was done already) with `reply()`.

    The 226 that answers ABOR itself is added by the engine. When the final reply was given before this event was looked
    at, there is nothing left to do.
    """


@dataclass(frozen=True, slots=True)
class Reinitialize:
    """Forget the account, its folder and any listener, then call `reply(220, ...)`. TLS stays."""


@dataclass(frozen=True, slots=True)
class Quit:
    """221 is in the output: send it and close."""


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is in the output and close; `reason` is for the log. The engine hears nothing more."""

    reason: str


Event = StartTls | Login | Request | Abort | Reinitialize | Quit | Close
