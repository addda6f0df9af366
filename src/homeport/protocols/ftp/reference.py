"""docs/ftp.md, made from the command table.

The one rule: what the page says of a command stands in the command's row; only the words before the tables are here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from homeport.protocols.ftp.commands import COMMANDS, OPTS_COMMANDS, SITE_COMMANDS, Command, During, Offer

_PREFACE = """\
# FTP and FTPS: what this server answers

<!-- Made by homeport.protocols.ftp.reference from the command table. Change the table, then run
     `python -m homeport.protocols.ftp.reference > docs/ftp.md`. -->

Standards: RFC 959, 1123 (section 4.1), 1579, 2228, 2389, 2428, 2577, 2640, 3659, 4217, 5797, 7151, and the drafts named
in the tables. Every command gets exactly one final reply, and replies come in the order of the commands.

## What every command may be answered

| code | when |
| --- | --- |
| 500 | no such command, or no such line: NUL, a bare CR, longer than 4096 bytes (this one ends the connection) |
| 501 | the argument is not what the command takes |
| 502 | known, and not offered: never made, or switched off by the administrator |
| 503 | something has to come before it |
| 504 | known, and not with this parameter |
| 522 | a transfer without PROT P where private data is required |
| 530 | log in first; where TLS is required, AUTH TLS before that |
| 553 | a new name with a line end in it |

More than ten unknown commands before login end the connection. A ClientHello on the plain port does so at once, and so
do the commands of HTTP and SMTP, of which nothing more is read.

## Names

Names are UTF-8 on disk, exactly as they came. On the wire a session begins able to take UTF-8; `OPTS UTF8 ON` fixes
UTF-8, `OPTS UTF8 OFF` the legacy charset (GB18030 unless set otherwise), and without either the first name with a byte
above 127 decides: strict UTF-8 first, then the legacy charset. A charset set for the account or the client's address
goes before all.

What cannot be sent as it is, is sent as `%{HEX}`, the character's code point: control characters and line separators
(`%{A}` is a line feed), bytes that are no text (`%{DCFF}` is the byte FF), and characters that the legacy charset
lacks. The same spelling names the same file when it comes back, in every session. A `%` in front of what would read
as such a spelling is sent as `%{25}`. Printable ASCII characters have no such spelling.

A path that begins with a dash is no option when it is written `./-a` or stands after `--`.

## Transfers

`REST` and `RANG` hold for the next command, with `PORT`, `EPRT`, `PASV`, `EPSV` and `ALLO` allowed between; they are
for TYPE I. `SITE EXPECT` holds until the next upload has ended. While a transfer runs the commands marked below are
heard; the others wait for its end. `ABOR` is heard at once: 426 for the transfer, 226 for ABOR; 225 when nothing
runs. In TYPE A a line feed is sent as CRLF (a CRLF is left alone) and a CRLF that comes is stored as a line feed.
"""

_DURING = {
    During.WAITS: "",
    During.HEARD: "heard in a transfer",
    During.HEARD_WHEN_BARE: "heard in a transfer when bare",
    During.ABORTS: "stops a transfer",
}


def render() -> str:
    """The page as Markdown."""
    rows = list(COMMANDS.values())
    parts = [
        _PREFACE,
        _section("Commands", (row for row in rows if row.refusal is None and not row.drops)),
        _section("SITE", SITE_COMMANDS.values()),
        _section("OPTS", OPTS_COMMANDS.values()),
        _section("Known, and refused", (row for row in rows if row.refusal is not None)),
        "## Not FTP\n\nThese close the connection at once: "
        + ", ".join(f"`{row.verb}`" for row in rows if row.drops)
        + ".\n",
    ]
    return "\n".join(parts)


def _section(title: str, rows: Iterable[Command]) -> str:
    head = "| command | what it does | who | rights | remarks | defined by |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([f"## {title}\n", head, *map(_line, rows)]) + "\n"


def _line(row: Command) -> str:
    cells = (
        f"`{row.syntax}`".replace("|", "\\|"),
        row.meaning,
        row.access.value,
        row.needs.replace(" ", ", "),
        "; ".join(_remarks(row)),
        row.source,
    )
    return "| " + " | ".join(cells) + " |"


def _remarks(row: Command) -> Iterator[str]:
    if row.aliases:
        yield "also " + ", ".join(row.aliases)
    if row.refusal is not None:
        yield str(row.refusal[0])
    yield from (prior.value for prior in row.priors)
    if row.offer is not Offer.ALWAYS:
        yield "when " + row.offer.value
    if row.secret:
        yield "with TLS where it is required"
    if row.data:
        yield "opens a data connection"
    if row.during is not During.WAITS:
        yield _DURING[row.during]


if __name__ == "__main__":
    import sys

    sys.stdout.write(render())
