"""Every FTP command that this server knows, one row each: the only truth about them.

Dispatch, the refusals 500, 501, 502, 503, 504 and 530, FEAT, HELP, SITE HELP and docs/ftp.md are derived from these rows.
The one rule: no other module compares a verb's name, except the tables of handlers that are keyed by it.
To add a command: a row here, a handler in `answers.py` (when the engine can answer it alone) or in the server, a test.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row.

    `syntax` is what HELP shows, `meaning` one sentence for people, `source` the document that defines it.
    `needs` names the rights (`read`, `write overwrite`, ...) that the server asks of the account.
    `data`: it opens a data connection. `creates`: its argument names something new, so that a line end in it is 553.
    `keeps`: pending values that it leaves alone; `uses`: those that it may take, dropped when it ends.
    `remembers`: the field of Settings that takes the argument when the server agrees.
    `secret`: refused without TLS when the policy requires TLS. `drops`: the connection is closed at once.
    `refusal`: the reply that it always gets. `parent`: the verb whose subcommand it is.
    """

    verb: str
    parent: str = ""
    syntax: str
    meaning: str
    source: str
    shape: Shape = Shape.NONE
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
    remembers: str = ""
    feat: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    refusal: tuple[int, str] | None = None
    drops: bool = False
    subcommands: Mapping[str, Command] | None = None

    @property
    def name(self) -> str:
        """`SITE CHMOD` for a subcommand, the verb for others: the key of tables of handlers."""
        return f"{self.parent} {self.verb}" if self.parent else self.verb


_RESTARTABLE = Pending.RESTART | Pending.RANGE
_UPLOAD = _RESTARTABLE | Pending.EXPECTATION | Pending.ALLOCATION
_NEVER_MADE = (502, "Not implemented here, and not planned.")


def _table(rows: Iterable[Command], parent: str = "") -> dict[str, Command]:
    """Rows by verb, each told whose subcommand it is."""
    return {row.verb: replace(row, parent=parent) for row in rows}


OPTS_COMMANDS = _table(
    [
        Command(
            verb="UTF8",
            syntax="OPTS UTF8 ON|OFF",
            meaning="Fix the charset of names: UTF-8, or with OFF the legacy charset.",
            source="draft-ietf-ftpext-utf-8-option",
            shape=Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
            feat=("UTF8",),
            aliases=("UTF-8",),
        ),
        Command(
            verb="MLST",
            syntax="OPTS MLST fact;fact;...",
            meaning="Choose the facts that MLST and MLSD show.",
            source="RFC 3659",
            shape=Shape.OPTIONAL_TEXT,
            access=Access.ANYONE,
        ),
        Command(
            verb="HASH",
            syntax="OPTS HASH [algorithm]",
            meaning="Choose or show the algorithm of HASH.",
            source="draft-bryan-ftpext-hash",
            shape=Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
        ),
        Command(
            verb="MODE",
            syntax="OPTS MODE Z LEVEL 0-9",
            meaning="Choose how hard MODE Z compresses.",
            source="draft-preston-ftpext-deflate",
            shape=Shape.TEXT,
            access=Access.ANYONE,
            offer=Offer.MODE_Z,
        ),
    ],
    parent="OPTS",
)

SITE_COMMANDS = _table(
    [
        Command(
            verb="HELP",
            syntax="SITE HELP [command]",
            meaning="List the SITE commands, or explain one.",
            source="RFC 959",
            shape=Shape.OPTIONAL_WORD,
        ),
        Command(
            verb="CHMOD",
            syntax="SITE CHMOD mode path",
            meaning="Set the permission bits, three octal digits.",
            source="custom",
            shape=Shape.MODE_AND_PATH,
            needs="change",
        ),
        Command(
            verb="QUOTA",
            syntax="SITE QUOTA",
            meaning="Show what of the account's quota is used.",
            source="custom",
        ),
        Command(
            verb="WHO",
            syntax="SITE WHO",
            meaning="Show this account's sessions.",
            source="custom",
        ),
        Command(
            verb="IDLE",
            syntax="SITE IDLE [seconds]",
            meaning="Show or shorten the time after which an idle session is closed.",
            source="custom",
            shape=Shape.OPTIONAL_NUMBER,
        ),
        Command(
            verb="UTIME",
            syntax="SITE UTIME path accessed modified created UTC | SITE UTIME YYYYMMDDhhmm[ss] path",
            meaning="Set the modification time, in UTC.",
            source="custom",
            shape=Shape.UTIME,
            needs="change",
        ),
        Command(
            verb="CPFR",
            syntax="SITE CPFR path",
            meaning="Name the file that SITE CPTO copies.",
            source="custom (mod_copy)",
            shape=Shape.PATH,
            needs="read",
            remembers="copy_from",
        ),
        Command(
            verb="CPTO",
            syntax="SITE CPTO path",
            meaning="Copy the file that SITE CPFR named, on the server.",
            source="custom (mod_copy)",
            shape=Shape.PATH,
            priors=(Prior.COPY,),
            uses=Pending.COPY,
            needs="write",
            creates=True,
        ),
        Command(
            verb="EXPECT",
            syntax="SITE EXPECT size sha256",
            meaning="Announce the next upload's whole size and SHA-256; anything else is not stored.",
            source="custom",
            shape=Shape.EXPECTATION,
        ),
        Command(
            verb="SYMLINK",
            syntax="SITE SYMLINK",
            meaning="Refused: links are not made over FTP.",
            source="custom",
            refusal=(550, "Links are not made over FTP."),
        ),
    ],
    parent="SITE",
)

COMMANDS = _table(
    [
        # Access and TLS
        Command(
            verb="AUTH",
            syntax="AUTH TLS",
            meaning="Begin TLS on this connection. What the session was before is forgotten.",
            source="RFC 4217",
            shape=Shape.WORD,
            access=Access.ANYONE,
            priors=(Prior.NO_TLS,),
            offer=Offer.TLS,
            feat=("AUTH TLS",),
        ),
        Command(
            verb="PBSZ",
            syntax="PBSZ 0",
            meaning="Agree on the protection buffer's size, which is always 0.",
            source="RFC 4217",
            shape=Shape.OFFSET,
            access=Access.ANYONE,
            priors=(Prior.TLS,),
            offer=Offer.TLS,
            feat=("PBSZ",),
        ),
        Command(
            verb="PROT",
            syntax="PROT P|C",
            meaning="Protect data connections by TLS (P) or not (C).",
            source="RFC 4217",
            shape=Shape.WORD,
            access=Access.ANYONE,
            priors=(Prior.TLS, Prior.PBSZ),
            offer=Offer.TLS,
            feat=("PROT",),
        ),
        Command(
            verb="CCC",
            syntax="CCC",
            meaning="Refused: the control connection stays private.",
            source="RFC 4217",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
            refusal=(534, "The control connection stays private: commands and replies in the clear can be forged."),
        ),
        Command(
            verb="USER",
            syntax="USER name",
            meaning="Name the account; PASS follows. In a session that is logged in, the old login ends here.",
            source="RFC 959",
            shape=Shape.TEXT,
            access=Access.ANYONE,
            secret=True,
        ),
        Command(
            verb="PASS",
            syntax="PASS password",
            meaning="Log in.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
            priors=(Prior.USER,),
            secret=True,
        ),
        Command(
            verb="ACCT",
            syntax="ACCT text",
            meaning="Taken and not needed.",
            source="RFC 959",
            shape=Shape.TEXT,
        ),
        Command(
            verb="REIN",
            syntax="REIN",
            meaning="Log out and begin again; TLS stays.",
            source="RFC 959",
            access=Access.ANYONE,
        ),
        Command(
            verb="QUIT",
            syntax="QUIT",
            meaning="Say goodbye; a running transfer is finished first.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.HEARD,
        ),
        Command(
            verb="HOST",
            syntax="HOST name",
            meaning="Name the server that is meant, before USER.",
            source="RFC 7151",
            shape=Shape.TEXT,
            access=Access.ANYONE,
            priors=(Prior.STRANGER,),
            feat=("HOST",),
        ),
        # Where and how data goes
        Command(
            verb="PORT",
            syntax="PORT h1,h2,h3,h4,p1,p2",
            meaning="Connect to the client for data (IPv4).",
            source="RFC 959",
            shape=Shape.HOST_PORT,
            priors=(Prior.NO_EPSV_ALL,),
            offer=Offer.ACTIVE,
            keeps=_RESTARTABLE,
        ),
        Command(
            verb="EPRT",
            syntax="EPRT |family|address|port|",
            meaning="Connect to the client for data (IPv4 and IPv6).",
            source="RFC 2428",
            shape=Shape.EXTENDED_PORT,
            priors=(Prior.NO_EPSV_ALL,),
            offer=Offer.ACTIVE,
            keeps=_RESTARTABLE,
            feat=("EPRT",),
        ),
        Command(
            verb="PASV",
            syntax="PASV",
            meaning="Wait for the client's data connection (IPv4).",
            source="RFC 959",
            priors=(Prior.NO_EPSV_ALL, Prior.IPV4),
            keeps=_RESTARTABLE,
        ),
        Command(
            verb="EPSV",
            syntax="EPSV [1|2|ALL]",
            meaning="Wait for the client's data connection (IPv4 and IPv6); ALL promises to use nothing else.",
            source="RFC 2428",
            shape=Shape.EXTENDED_PASSIVE,
            keeps=_RESTARTABLE,
            feat=("EPSV",),
        ),
        Command(
            verb="TYPE",
            syntax="TYPE A|A N|I|L 8",
            meaning="Transfer text with CRLF line ends (A) or the bytes as they are (I).",
            source="RFC 959",
            shape=Shape.WORD,
        ),
        Command(
            verb="MODE",
            syntax="MODE S|Z",
            meaning="Transfer plainly (S) or deflated (Z).",
            source="RFC 959, draft-preston-ftpext-deflate",
            shape=Shape.WORD,
            feat=("{mode_z}",),
        ),
        Command(
            verb="STRU",
            syntax="STRU F",
            meaning="Files have no structure but their bytes.",
            source="RFC 959",
            shape=Shape.WORD,
        ),
        Command(
            verb="REST",
            syntax="REST offset",
            meaning="Begin the next transfer at this byte (not in TYPE A).",
            source="RFC 3659",
            shape=Shape.OFFSET,
            feat=("REST STREAM",),
        ),
        Command(
            verb="RANG",
            syntax="RANG first last",
            meaning="Limit the next RETR or HASH to these bytes; `RANG 1 0` takes it back.",
            source="draft-bryan-ftp-range",
            shape=Shape.RANGE,
            feat=("RANG STREAM",),
        ),
        # Transfers
        Command(
            verb="RETR",
            syntax="RETR path",
            meaning="Download a file.",
            source="RFC 959",
            shape=Shape.PATH,
            data=True,
            uses=_RESTARTABLE,
            needs="read",
        ),
        Command(
            verb="STOR",
            syntax="STOR path",
            meaning="Upload a file; it appears when it is whole.",
            source="RFC 959",
            shape=Shape.PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            verb="STOU",
            syntax="STOU [path]",
            meaning="Upload under a name that is not taken; the reply tells which.",
            source="RFC 1123",
            shape=Shape.OPTIONAL_PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            verb="APPE",
            syntax="APPE path",
            meaning="Upload to the end of a file, or go on with an unfinished upload.",
            source="RFC 959",
            shape=Shape.PATH,
            data=True,
            uses=_UPLOAD,
            priors=(Prior.NO_RANGE,),
            needs="write",
            creates=True,
        ),
        Command(
            verb="ALLO",
            syntax="ALLO size [R size]",
            meaning="Reserve room for the next upload.",
            source="RFC 959",
            shape=Shape.ALLOCATION,
            keeps=_RESTARTABLE,
            remembers="allocation",
            needs="write",
        ),
        Command(
            verb="ABOR",
            syntax="ABOR",
            meaning="Stop the running transfer.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.ABORTS,
        ),
        # Folders and files
        Command(
            verb="CWD",
            syntax="CWD path",
            meaning="Go to a folder.",
            source="RFC 959",
            shape=Shape.PATH,
            aliases=("XCWD",),
        ),
        Command(
            verb="CDUP",
            syntax="CDUP",
            meaning="Go to the folder above.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            aliases=("XCUP",),
        ),
        Command(
            verb="PWD",
            syntax="PWD",
            meaning="Show the current folder.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            aliases=("XPWD",),
        ),
        Command(
            verb="MKD",
            syntax="MKD path",
            meaning="Make a folder.",
            source="RFC 959",
            shape=Shape.PATH,
            aliases=("XMKD",),
            needs="mkdir",
            creates=True,
        ),
        Command(
            verb="RMD",
            syntax="RMD path",
            meaning="Remove an empty folder.",
            source="RFC 959",
            shape=Shape.PATH,
            aliases=("XRMD",),
            needs="delete",
        ),
        Command(
            verb="DELE",
            syntax="DELE path",
            meaning="Delete a file.",
            source="RFC 959",
            shape=Shape.PATH,
            needs="delete",
        ),
        Command(
            verb="RNFR",
            syntax="RNFR path",
            meaning="Name what RNTO renames.",
            source="RFC 959",
            shape=Shape.PATH,
            needs="rename",
            remembers="rename_from",
        ),
        Command(
            verb="RNTO",
            syntax="RNTO path",
            meaning="Rename what RNFR named.",
            source="RFC 959",
            shape=Shape.PATH,
            priors=(Prior.RENAME,),
            uses=Pending.RENAME,
            needs="rename",
            creates=True,
        ),
        Command(
            verb="COMB",
            syntax='COMB "target" "part" ...',
            meaning="Join files on the server into one.",
            source="draft-peterson-streamlined-ftp-command-extensions",
            shape=Shape.PARTS,
            needs="read write",
            creates=True,
            feat=("COMB target;source_list",),
        ),
        # Listings and facts
        Command(
            verb="LIST",
            syntax="LIST [-options] [path]",
            meaning="List a folder for people to read.",
            source="RFC 959",
            shape=Shape.LISTING,
            data=True,
            needs="list",
        ),
        Command(
            verb="NLST",
            syntax="NLST [-options] [path]",
            meaning="List the names in a folder.",
            source="RFC 959",
            shape=Shape.LISTING,
            data=True,
            needs="list",
        ),
        Command(
            verb="MLSD",
            syntax="MLSD [path]",
            meaning="List a folder for programs to read.",
            source="RFC 3659",
            shape=Shape.OPTIONAL_PATH,
            data=True,
            needs="list",
        ),
        Command(
            verb="MLST",
            syntax="MLST [path]",
            meaning="Show the facts of one file or folder.",
            source="RFC 3659",
            shape=Shape.OPTIONAL_PATH,
            needs="list",
            feat=("MLST {facts}",),
        ),
        Command(
            verb="STAT",
            syntax="STAT [-options] [path]",
            meaning="Show the session and the running transfer, or list a path on this connection.",
            source="RFC 959",
            shape=Shape.LISTING,
            during=During.HEARD_WHEN_BARE,
        ),
        Command(
            verb="SIZE",
            syntax="SIZE path",
            meaning="Show a file's size, or how much of an unfinished upload is here (TYPE I).",
            source="RFC 3659",
            shape=Shape.PATH,
            priors=(Prior.IMAGE,),
            needs="list",
            feat=("SIZE",),
        ),
        Command(
            verb="MDTM",
            syntax="MDTM path",
            meaning="Show a file's modification time in UTC.",
            source="RFC 3659",
            shape=Shape.PATH,
            needs="list",
            feat=("MDTM",),
        ),
        Command(
            verb="MFMT",
            syntax="MFMT YYYYMMDDHHMMSS path",
            meaning="Set a file's modification time, in UTC.",
            source="draft-somers-ftp-mfxx",
            shape=Shape.TIME_AND_PATH,
            needs="change",
            feat=("MFMT",),
        ),
        Command(
            verb="MFF",
            syntax="MFF Modify=YYYYMMDDHHMMSS;UNIX.mode=644; path",
            meaning="Set the modification time, the permission bits, or both.",
            source="draft-somers-ftp-mfxx",
            shape=Shape.FACTS_AND_PATH,
            needs="change",
            feat=("MFF Modify;UNIX.mode;",),
        ),
        Command(
            verb="AVBL",
            syntax="AVBL [path]",
            meaning="Show how many bytes the account may still store.",
            source="draft-peterson-streamlined-ftp-command-extensions",
            shape=Shape.OPTIONAL_PATH,
            feat=("AVBL",),
        ),
        # Digests
        Command(
            verb="HASH",
            syntax="HASH path",
            meaning="Show a file's digest by the algorithm that OPTS HASH chose.",
            source="draft-bryan-ftpext-hash",
            shape=Shape.PATH,
            uses=Pending.RANGE,
            needs="read",
            feat=("HASH {hashes}",),
        ),
        *(
            Command(
                verb=verb,
                syntax=f'{verb} path | {verb} "path" [start [end]]',
                meaning=f"Show a file's {name}.",
                source=source,
                shape=Shape.DIGEST,
                needs="read",
                aliases=aliases,
                feat=(verb, *aliases),
            )
            for verb, name, source, aliases in (
                ("XCRC", "CRC-32", "custom", ()),
                ("XMD5", "MD5", "custom", ()),
                ("MD5", "MD5", "draft-twine-ftpmd5", ()),
                ("XSHA1", "SHA-1", "custom", ("XSHA",)),
                ("XSHA256", "SHA-256", "custom", ()),
                ("XSHA512", "SHA-512", "custom", ()),
            )
        ),
        # The rest
        Command(
            verb="FEAT",
            syntax="FEAT",
            meaning="List the extensions.",
            source="RFC 2389",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
        ),
        Command(
            verb="OPTS",
            syntax="OPTS UTF8|MLST|HASH|MODE ...",
            meaning="Set how a command works.",
            source="RFC 2389",
            access=Access.ANYONE,
            subcommands=OPTS_COMMANDS,
        ),
        Command(
            verb="SITE",
            syntax="SITE HELP",
            meaning="This server's own commands.",
            source="RFC 959",
            subcommands=SITE_COMMANDS,
        ),
        Command(
            verb="HELP",
            syntax="HELP [command]",
            meaning="List the commands, or explain one.",
            source="RFC 959",
            shape=Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
        ),
        Command(
            verb="SYST",
            syntax="SYST",
            meaning="Name the kind of system.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
        ),
        Command(
            verb="NOOP",
            syntax="NOOP",
            meaning="Do nothing, successfully.",
            source="RFC 959",
            shape=Shape.ANYTHING,
            access=Access.ANYONE,
            during=During.HEARD,
        ),
        Command(
            verb="CLNT",
            syntax="CLNT text",
            meaning="Name the client program.",
            source="RFC 5797",
            shape=Shape.TEXT,
            access=Access.ANYONE,
            feat=("CLNT",),
        ),
        Command(
            verb="LANG",
            syntax="LANG [EN]",
            meaning="Choose the replies' language; there is one.",
            source="RFC 2640",
            shape=Shape.OPTIONAL_WORD,
            access=Access.ANYONE,
            feat=("LANG EN*",),
        ),
        # Known, and never carried out
        *(
            Command(
                verb=verb,
                syntax=verb,
                meaning="Not implemented.",
                source=source,
                shape=Shape.ANYTHING,
                access=Access.ANYONE,
                refusal=_NEVER_MADE,
            )
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
                verb=verb,
                syntax=verb,
                meaning=f"Not FTP but {protocol}: the connection is closed at once.",
                source=protocol,
                shape=Shape.ANYTHING,
                access=Access.ANYONE,
                drops=True,
            )
            for protocol, verbs in (
                ("HTTP", "GET POST PUT HEAD CONNECT OPTIONS TRACE PATCH DELETE PROPFIND PRI HOST:"),
                ("SMTP", "EHLO HELO LHLO MAIL RCPT DATA"),
            )
            for verb in verbs.split()
        ),
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
