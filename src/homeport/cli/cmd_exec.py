"""`homeport exec`: a command on a server, as if it ran here: streams, status and signals are its own.

One rule: the exit status is the command's; whatever else goes wrong ends with 255.
"""

from __future__ import annotations

import codecs
import shlex
import sys
from typing import TYPE_CHECKING

import click

from homeport.cli import connection_options as options

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.client.url import RemoteUrl

FAILED = 255


@click.command(name="exec")
@click.argument("url")
@click.argument("words", metavar="[--] [COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--terminal", "-t", is_flag=True, help="Give the command a terminal, for programs such as top.")
@click.option("--decode", metavar="CHARSET", help="The output is in this charset, such as gbk; show it as UTF-8.")
@options.connects
@options.as_json
def command(
    url: str, words: tuple[str, ...], terminal: bool, decode: str | None, as_json: bool, how: options.How
) -> None:
    """Run COMMAND on the server of URL, or a shell where a terminal is here. Ends with the command's status.

    One word is given to the server's shell as it is; of several, each arrives as one word there.
    """
    from homeport.cli.connecting import Connector
    from homeport.cli.main import report
    from homeport.cli.remote_command import Wish, run
    from homeport.client.errors import ClientError

    connector = Connector(how)
    try:
        place = _place(connector, url)
        wish = Wish(_line(words), _wants_terminal(words, terminal=terminal), _charset(decode), as_json=as_json)
        status = run(connector, place, wish)
    except ClientError as failure:
        report(failure, as_json=as_json)
        status = FAILED
    raise click.exceptions.Exit(status)


def _place(connector: Connector, url: str) -> RemoteUrl:
    from homeport.client.errors import Incompatible, UsageError

    place = connector.remote_of(url)
    if place.scheme != "sftp":
        raise Incompatible(f"commands run over SSH: write the server as sftp://{place.host}, not {place.scheme}://")
    if place.path != "/":
        raise UsageError(f"{place.path}: a command has no path; say `cd` in the command")
    return place


def _line(words: tuple[str, ...]) -> str | None:
    """The line for the server's shell: one word is one already, several are quoted; None for a shell."""
    if not words:
        return None
    return words[0] if len(words) == 1 else shlex.join(words)


def _wants_terminal(words: tuple[str, ...], *, terminal: bool) -> bool:
    """Whether to ask for a terminal over there. Raises UsageError where there is none here."""
    from homeport.cli import raw_terminal
    from homeport.client.errors import UsageError

    if not terminal and words:
        return False
    if raw_terminal.is_there():
        return True
    if terminal:
        raise UsageError("-t needs a terminal here: standard input and output are none")
    if sys.stdin.isatty():
        raise UsageError("which command? Give it behind `--`; without one a shell needs a terminal for its output")
    return False  # a shell that reads its commands from standard input


def _charset(name: str | None) -> str | None:
    from homeport.client.errors import UsageError

    if name is None:
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise UsageError(f"{name!r} is no charset that is known here; gbk and gb18030 are some") from None
