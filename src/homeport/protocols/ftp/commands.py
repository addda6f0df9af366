"""Every FTP command that this server knows, one row each: the only truth about them.

Dispatch, the refusals 500, 501, 502, 503, 504 and 530, FEAT, HELP, SITE HELP and docs/ftp.md are derived from these
rows. The one rule: no other module compares a verb's name, except the tables of handlers that are keyed by it. To add
a command: a row here, a handler in `answers.py` (when the engine can answer it alone) or in the server, a test.
"""

from __future__ import annotations

from collections.abc import Mapping

from homeport.protocols.ftp.arguments import Shape
from homeport.protocols.ftp.command import Access, Command, During, Offer, Prior, table
from homeport.protocols.ftp.refused import REFUSED
from homeport.protocols.ftp.settings import Pending
from homeport.protocols.ftp.subcommands import OPTS_COMMANDS, SITE_COMMANDS

__all__ = [
    "COMMANDS",
    "OPTS_COMMANDS",
    "SITE_COMMANDS",
    "Access",
    "Command",
    "During",
    "Offer",
    "Prior",
    "find",
    "find_subcommand",
]

_RESTARTABLE = Pending.RESTART | Pending.RANGE
_UPLOAD = _RESTARTABLE | Pending.EXPECTATION | Pending.ALLOCATION

COMMANDS = table(
    [
        # Access and TLS
        Command(
            "AUTH",
            "AUTH TLS",
            "Begin TLS on this connection. What the session was before is forgotten.",
            "RFC 4217",
            Shape.WORD,
            access=Access.ANYONE,
            priors=(Prior.NO_TLS,),
            offer=Offer.TLS,
            feat=("AUTH TLS",),
        ),
        Command(
            "PBSZ",
            "PBSZ 0",
            "Agree on the protection buffer's size, which is always 0.",
            "RFC 4217",
            Shape.OFFSET,
            access=Access.ANYONE,
            priors=(Prior.TLS,),
            offer=Offer.TLS,
            feat=("PBSZ",),
        ),
        Command(
            "PROT",
            "PROT P|C",
            "Protect data connections by TLS (P) or not (C).",
            "RFC 4217",
            Shape.WORD,
            access=Access.ANYONE,
            priors=(Prior.TLS, Prior.PBSZ),
            offer=Offer.TLS,
            feat=("PROT",),
        ),
        Command(
            "CCC",
            "CCC",
            "Refused: the control connection stays private.",
            "RFC 4217",
            Shape.ANYTHING,
            access=Access.ANYONE,
            refusal=(534, "The control connection stays private: commands and replies in the clear can be forged."),
        ),
        Command(
            "USER",
            "USER name",
            "Name the account; PASS follows. In a session that is logged in, the old login ends here.",
            "RFC 959",
            Shape.TEXT,
            access=Access.ANYONE,
            secret=True,
        ),
        Command(
            "PASS",
            "PASS password",
            "Log in.",
            "RFC 959",
            Shape.ANYTHING,
            access=Access.ANYONE,
            priors=(Prior.USER,),
            secret=True,
        ),
        Command("ACCT", "ACCT text", "Taken and not needed.", "RFC 959", Shape.TEXT),
        Command("REIN", "REIN", "Log out and begin again; TLS stays.", "RFC 959", access=Access.ANYONE),
        Command(
            "QUIT",
            "QUIT",
            "Say goodbye; a running transfer is finished first.",
            "RFC 959",
            Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.HEARD,
        ),
        Command(
            "HOST",
            "HOST name",
            "Name the server that is meant, before USER.",
            "RFC 7151",
            Shape.TEXT,
            access=Access.ANYONE,
            priors=(Prior.STRANGER,),
            feat=("HOST",),
        ),
        # Where and how data goes
        Command(
            "PORT",
            "PORT h1,h2,h3,h4,p1,p2",
            "Connect to the client for data (IPv4).",
            "RFC 959",
            Shape.HOST_PORT,
            priors=(Prior.NO_EPSV_ALL,),
            offer=Offer.ACTIVE,
            keeps=_RESTARTABLE,
        ),
        Command(
            "EPRT",
            "EPRT |family|address|port|",
            "Connect to the client for data (IPv4 and IPv6).",
            "RFC 2428",
            Shape.EXTENDED_PORT,
            priors=(Prior.NO_EPSV_ALL,),
            offer=Offer.ACTIVE,
            keeps=_RESTARTABLE,
            feat=("EPRT",),
        ),
        Command(
            "PASV",
            "PASV",
            "Wait for the client's data connection (IPv4).",
            "RFC 959",
            priors=(Prior.NO_EPSV_ALL, Prior.IPV4),
            keeps=_RESTARTABLE,
        ),
        Command(
            "EPSV",
            "EPSV [1|2|ALL]",
            "Wait for the client's data connection (IPv4 and IPv6); ALL promises to use nothing else.",
            "RFC 2428",
            Shape.EXTENDED_PASSIVE,
            keeps=_RESTARTABLE,
            feat=("EPSV",),
        ),
        Command(
            "TYPE",
            "TYPE A|A N|I|L 8",
            "Transfer text with CRLF line ends (A) or the bytes as they are (I).",
            "RFC 959",
            Shape.WORD,
        ),
        Command(
            "MODE",
            "MODE S|Z",
            "Transfer plainly (S) or deflated (Z).",
            "RFC 959, draft-preston-ftpext-deflate",
            Shape.WORD,
            feat=("{mode_z}",),
        ),
        Command("STRU", "STRU F", "Files have no structure but their bytes.", "RFC 959", Shape.WORD),
        Command(
            "REST",
            "REST offset",
            "Begin the next transfer at this byte (not in TYPE A).",
            "RFC 3659",
            Shape.OFFSET,
            feat=("REST STREAM",),
        ),
        Command(
            "RANG",
            "RANG first last",
            "Limit the next RETR or HASH to these bytes; `RANG 1 0` takes it back.",
            "draft-bryan-ftp-range",
            Shape.RANGE,
            feat=("RANG STREAM",),
        ),
        # Transfers
        Command(
            "RETR", "RETR path", "Download a file.", "RFC 959", Shape.PATH, data=True, uses=_RESTARTABLE, needs="read"
        ),
        Command(
            "STOR",
            "STOR path",
            "Upload a file; it appears when it is whole.",
            "RFC 959",
            Shape.PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            "STOU",
            "STOU [path]",
            "Upload under a name that is not taken; the reply tells which.",
            "RFC 1123",
            Shape.OPTIONAL_PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            "APPE",
            "APPE path",
            "Upload to the end of a file, or go on with an unfinished upload.",
            "RFC 959",
            Shape.PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            "ALLO",
            "ALLO size [R size]",
            "Reserve room for the next upload.",
            "RFC 959",
            Shape.ALLOCATION,
            keeps=_RESTARTABLE,
            remembers=Pending.ALLOCATION,
            needs="write",
        ),
        Command(
            "ABOR",
            "ABOR",
            "Stop the running transfer.",
            "RFC 959",
            Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.ABORTS,
        ),
        # Folders and files
        Command("CWD", "CWD path", "Go to a folder.", "RFC 959", Shape.PATH, aliases=("XCWD",)),
        Command("CDUP", "CDUP", "Go to the folder above.", "RFC 959", Shape.ANYTHING, aliases=("XCUP",)),
        Command("PWD", "PWD", "Show the current folder.", "RFC 959", Shape.ANYTHING, aliases=("XPWD",)),
        Command(
            "MKD", "MKD path", "Make a folder.", "RFC 959", Shape.PATH, aliases=("XMKD",), needs="mkdir", creates=True
        ),
        Command("RMD", "RMD path", "Remove an empty folder.", "RFC 959", Shape.PATH, aliases=("XRMD",), needs="delete"),
        Command("DELE", "DELE path", "Delete a file.", "RFC 959", Shape.PATH, needs="delete"),
        Command(
            "RNFR",
            "RNFR path",
            "Name what RNTO renames.",
            "RFC 959",
            Shape.PATH,
            needs="rename",
            remembers=Pending.RENAME,
        ),
        Command(
            "RNTO",
            "RNTO path",
            "Rename what RNFR named.",
            "RFC 959",
            Shape.PATH,
            priors=(Prior.RENAME,),
            uses=Pending.RENAME,
            needs="rename",
            creates=True,
        ),
        Command(
            "COMB",
            'COMB "target" "part" ...',
            "Join files on the server into one.",
            "draft-peterson-streamlined-ftp-command-extensions",
            Shape.PARTS,
            needs="read write",
            creates=True,
            feat=("COMB target;source_list",),
        ),
        # Listings and facts
        Command(
            "LIST",
            "LIST [-options] [path]",
            "List a folder for people to read.",
            "RFC 959",
            Shape.LISTING,
            data=True,
            needs="list",
        ),
        Command(
            "NLST",
            "NLST [-options] [path]",
            "List the names in a folder.",
            "RFC 959",
            Shape.LISTING,
            data=True,
            needs="list",
        ),
        Command(
            "MLSD",
            "MLSD [path]",
            "List a folder for programs to read.",
            "RFC 3659",
            Shape.OPTIONAL_PATH,
            data=True,
            needs="list",
        ),
        Command(
            "MLST",
            "MLST [path]",
            "Show the facts of one file or folder.",
            "RFC 3659",
            Shape.OPTIONAL_PATH,
            needs="list",
            feat=("MLST {facts}",),
        ),
        Command(
            "STAT",
            "STAT [-options] [path]",
            "Show the session and the running transfer, or list a path on this connection.",
            "RFC 959",
            Shape.LISTING,
            during=During.HEARD_WHEN_BARE,
        ),
        Command(
            "SIZE",
            "SIZE path",
            "Show a file's size, or how much of an unfinished upload is here (TYPE I).",
            "RFC 3659",
            Shape.PATH,
            priors=(Prior.IMAGE,),
            needs="list",
            feat=("SIZE",),
        ),
        Command(
            "MDTM",
            "MDTM path",
            "Show a file's modification time in UTC.",
            "RFC 3659",
            Shape.PATH,
            needs="list",
            feat=("MDTM",),
        ),
        Command(
            "MFMT",
            "MFMT YYYYMMDDHHMMSS path",
            "Set a file's modification time, in UTC.",
            "draft-somers-ftp-mfxx",
            Shape.TIME_AND_PATH,
            needs="change",
            feat=("MFMT",),
        ),
        Command(
            "MFF",
            "MFF Modify=YYYYMMDDHHMMSS;UNIX.mode=644; path",
            "Set the modification time, the permission bits, or both.",
            "draft-somers-ftp-mfxx",
            Shape.FACTS_AND_PATH,
            needs="change",
            feat=("MFF Modify;UNIX.mode;",),
        ),
        Command(
            "AVBL",
            "AVBL [path]",
            "Show how many bytes the account may still store.",
            "draft-peterson-streamlined-ftp-command-extensions",
            Shape.OPTIONAL_PATH,
            feat=("AVBL",),
        ),
        # Digests
        Command(
            "HASH",
            "HASH path",
            "Show a file's digest by the algorithm that OPTS HASH chose.",
            "draft-bryan-ftpext-hash",
            Shape.PATH,
            uses=Pending.RANGE,
            needs="read",
            feat=("HASH {hashes}",),
        ),
        *(
            Command(
                verb,
                f'{verb} path | {verb} "path" [start [end]]',
                f"Show a file's {algorithm}.",
                source,
                Shape.DIGEST,
                algorithm=algorithm,
                needs="read",
                aliases=aliases,
                feat=(verb, *aliases),
            )
            for verb, algorithm, source, aliases in (
                ("XCRC", "CRC32", "custom", ()),
                ("XMD5", "MD5", "custom", ()),
                ("MD5", "MD5", "draft-twine-ftpmd5", ()),
                ("XSHA1", "SHA-1", "custom", ("XSHA",)),
                ("XSHA256", "SHA-256", "custom", ()),
                ("XSHA512", "SHA-512", "custom", ()),
            )
        ),
        # The rest
        Command("FEAT", "FEAT", "List the extensions.", "RFC 2389", Shape.ANYTHING, access=Access.ANYONE),
        Command(
            "OPTS",
            "OPTS UTF8|MLST|HASH|MODE ...",
            "Set how a command works.",
            "RFC 2389",
            access=Access.ANYONE,
            subcommands=OPTS_COMMANDS,
        ),
        Command(
            "SITE", "SITE HELP", "This server's own commands.", "RFC 959", subcommands=SITE_COMMANDS, otherwise=502
        ),
        Command(
            "HELP",
            "HELP [command]",
            "List the commands, or explain one.",
            "RFC 959",
            Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
        ),
        Command("SYST", "SYST", "Name the kind of system.", "RFC 959", Shape.ANYTHING, access=Access.ANYONE),
        Command(
            "NOOP",
            "NOOP",
            "Do nothing, successfully.",
            "RFC 959",
            Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.HEARD,
        ),
        Command(
            "CLNT",
            "CLNT text",
            "Name the client program.",
            "RFC 5797",
            Shape.TEXT,
            access=Access.ANYONE,
            feat=("CLNT",),
        ),
        Command(
            "LANG",
            "LANG [EN]",
            "Choose the replies' language; there is one.",
            "RFC 2640",
            Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
            feat=("LANG EN*",),
        ),
        *REFUSED,
    ]
)


def _by_name(table: Mapping[str, Command]) -> dict[str, Command]:
    names = dict(table)
    for row in table.values():
        names.update(dict.fromkeys(row.aliases, row))
    return names


_NAMES = _by_name(COMMANDS)
_SUBNAMES = {row.verb: _by_name(row.subcommands) for row in COMMANDS.values() if row.subcommands}


def find(verb: str) -> Command | None:
    """The row of a verb or of one of its aliases, in any case of letters."""
    return _NAMES.get(verb.upper())


def find_subcommand(parent: Command, verb: str) -> Command | None:
    """The row of what follows OPTS or SITE."""
    return _SUBNAMES[parent.verb].get(verb.upper())
