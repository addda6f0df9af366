"""Commands that are known and never carried out, and those of other protocols.

The one rule: a client that sends one of the first kind learns so and goes on; a sender of the second is
no FTP client.
"""

from __future__ import annotations

from homeport.protocols.ftp.arguments import Shape
from homeport.protocols.ftp.command import Access, Command

_NEVER_MADE = (502, "Not implemented here, and not planned.")

REFUSED = (
    # Known, and never carried out
    *(
        Command(verb, verb, "Not implemented.", source, Shape.ANYTHING, access=Access.ANYONE, refusal=_NEVER_MADE)
        for verb, source in (
            ("SMNT", "RFC 959"),
            ("ADAT", "RFC 2228"),
            ("MIC", "RFC 2228"),
            ("CONF", "RFC 2228"),
            ("ENC", "RFC 2228"),
            ("LPRT", "RFC 1639"),
            ("LPSV", "RFC 1639"),
            ("MFCT", "draft-somers-ftp-mfxx"),
            ("THMB", "draft-peterson-streamlined-ftp-command-extensions"),
            ("DSIZ", "draft-peterson-streamlined-ftp-command-extensions"),
            ("ESTA", "custom"),
            ("ESTP", "custom"),
            ("CSID", "draft-peterson-streamlined-ftp-command-extensions"),
        )
    ),
    # A browser or mailer that was led here by somebody who wants its data (ALPACA)
    *(
        Command(
            verb,
            verb,
            f"Not FTP but {protocol}: the connection is closed at once.",
            protocol,
            Shape.ANYTHING,
            access=Access.ANYONE,
            drops=True,
        )
        for protocol, verbs in (
            ("HTTP", "GET POST PUT HEAD CONNECT OPTIONS TRACE PATCH DELETE PROPFIND PRI HOST:"),
            ("SMTP", "EHLO HELO LHLO MAIL RCPT DATA"),
        )
        for verb in verbs.split()
    ),
)
