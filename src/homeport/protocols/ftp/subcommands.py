"""The commands that stand behind OPTS and SITE, one row each.

The one rule: as in `commands.py`, what they are is written here alone.
"""

from __future__ import annotations

from homeport.protocols.ftp.arguments import Shape
from homeport.protocols.ftp.command import Access, Command, Offer, Prior, table
from homeport.protocols.ftp.settings import Pending

OPTS_COMMANDS = table(
    [
        Command(
            "UTF8",
            "OPTS UTF8 ON|OFF",
            "Fix the charset of names: UTF-8, or with OFF the legacy charset.",
            "draft-ietf-ftpext-utf-8-option",
            Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
            feat=("UTF8",),
            aliases=("UTF-8",),
        ),
        Command(
            "MLST",
            "OPTS MLST fact;fact;...",
            "Choose the facts that MLST and MLSD show.",
            "RFC 3659",
            Shape.OPTIONAL_TEXT,
            access=Access.ANYONE,
        ),
        Command(
            "HASH",
            "OPTS HASH [algorithm]",
            "Choose or show the algorithm of HASH.",
            "draft-bryan-ftpext-hash",
            Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
        ),
        Command(
            "MODE",
            "OPTS MODE Z LEVEL 0-9",
            "Choose how hard MODE Z compresses.",
            "draft-preston-ftpext-deflate",
            Shape.TEXT,
            access=Access.ANYONE,
            offer=Offer.MODE_Z,
        ),
    ],
    parent="OPTS",
)

SITE_COMMANDS = table(
    [
        Command(
            "HELP", "SITE HELP [command]", "List the SITE commands, or explain one.", "RFC 959", Shape.OPTIONAL_WORD
        ),
        Command(
            "CHMOD",
            "SITE CHMOD mode path",
            "Set the permission bits, three octal digits.",
            "custom",
            Shape.MODE_AND_PATH,
            needs="change",
        ),
        Command("QUOTA", "SITE QUOTA", "Show what of the account's quota is used.", "custom"),
        Command("WHO", "SITE WHO", "Show this account's sessions.", "custom"),
        Command(
            "IDLE",
            "SITE IDLE [seconds]",
            "Show or shorten the time after which an idle session is closed.",
            "custom",
            Shape.OPTIONAL_NUMBER,
        ),
        Command(
            "UTIME",
            "SITE UTIME path accessed modified created UTC | SITE UTIME YYYYMMDDhhmm[ss] path",
            "Set the modification time, in UTC.",
            "custom",
            Shape.UTIME,
            needs="change",
        ),
        Command(
            "CPFR",
            "SITE CPFR path",
            "Name the file that SITE CPTO copies.",
            "custom (mod_copy)",
            Shape.PATH,
            needs="read",
            remembers=Pending.COPY,
        ),
        Command(
            "CPTO",
            "SITE CPTO path",
            "Copy the file that SITE CPFR named, on the server.",
            "custom (mod_copy)",
            Shape.PATH,
            priors=(Prior.COPY,),
            uses=Pending.COPY,
            needs="write",
            creates=True,
        ),
        Command(
            "EXPECT",
            "SITE EXPECT size sha256",
            "Announce the next upload's whole size and SHA-256; anything else is not stored.",
            "custom",
            Shape.EXPECTATION,
            feat=("SITE EXPECT",),
        ),
        Command(
            "RESUME",
            "SITE RESUME path",
            "Tell how many bytes of an interrupted upload of the path are kept; 0 when there is none.",
            "custom",
            Shape.PATH,
            needs="write",
            feat=("SITE RESUME",),
        ),
        Command(
            "SYMLINK",
            "SITE SYMLINK",
            "Refused: links are not made over FTP.",
            "custom",
            refusal=(550, "Links are not made over FTP."),
        ),
    ],
    parent="SITE",
)
