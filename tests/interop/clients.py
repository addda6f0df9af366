"""The real clients, all behind one face, so that one set of tests says what each of them must be able to do.

The one rule: a client does everything with its own means; nothing is done for it.
"""

from __future__ import annotations

import ftplib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.interop.live_server import PATIENCE_S, Account, LiveServer, attempt, call, require

HOST = "localhost"


class Client(Protocol):
    """What every client must be able to do with a home; remote names are absolute."""

    def listing(self, folder: str) -> str: ...
    def upload(self, local: Path, remote: str) -> None: ...
    def resume_upload(self, local: Path, remote: str) -> None: ...
    def download(self, remote: str, local: Path) -> None: ...
    def resume_download(self, remote: str, local: Path) -> None: ...


class Curl:
    """curl, explicit TLS demanded. It resumes uploads with SIZE and APPE, downloads with REST and RETR."""

    def __init__(self, server: LiveServer, account: Account) -> None:
        self.base = f"ftp://{HOST}:{server.port}"
        user = f"{account.name}:{account.password}"
        self.command: list[str | Path] = [require("curl"), "-sS", "--ssl-reqd", "--cacert", server.certificate]
        self.command += ["--user", user, "--ftp-method", "nocwd"]

    def call(self, *arguments: str | Path) -> str:
        return call([*self.command, *arguments])

    def attempt(self, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
        return attempt([*self.command, *arguments], stdin=stdin)

    def listing(self, folder: str) -> str:
        return self.call(self.base + folder.rstrip("/") + "/")

    def upload(self, local: Path, remote: str) -> None:
        self.call("--upload-file", local, self.base + remote)

    def resume_upload(self, local: Path, remote: str) -> None:
        self.call("--continue-at", "-", "--upload-file", local, self.base + remote)

    def download(self, remote: str, local: Path) -> None:
        self.call("--output", local, self.base + remote)

    def resume_download(self, remote: str, local: Path) -> None:
        self.call("--continue-at", "-", "--output", local, self.base + remote)


class Lftp:
    """lftp (GnuTLS), control and data encrypted. It resumes uploads with SIZE, REST and STOR."""

    settings = (
        "cmd:fail-exit true",
        "net:max-retries 1",
        "net:timeout 20",
        "ftp:ssl-force true",
        "ftp:ssl-protect-data true",
        "ftp:charset utf-8",
        "file:charset utf-8",
        "mirror:set-permissions false",
    )

    def __init__(self, server: LiveServer, account: Account) -> None:
        self.program = require("lftp")
        self.server = server
        self.login = f'open -p {server.port} -u "{account.name},{account.password}" ftp://{HOST}'

    def script(self, *commands: str) -> list[str | Path]:
        sets = [f"set {setting}" for setting in (*self.settings, f'ssl:ca-file "{self.server.certificate}"')]
        return [self.program, "--norc", "-c", "; ".join([*sets, self.login, *commands])]

    def call(self, *commands: str) -> str:
        return call(self.script(*commands), environment={"LFTP_HOME": str(self.server.directory)})

    def listing(self, folder: str) -> str:
        return self.call(f'cls -la "{folder}"')

    def upload(self, local: Path, remote: str) -> None:
        self.call(f'put "{local}" -o "{remote}"')

    def resume_upload(self, local: Path, remote: str) -> None:
        self.call(f'put -c "{local}" -o "{remote}"')

    def download(self, remote: str, local: Path) -> None:
        self.call(f'get "{remote}" -o "{local}"')

    def resume_download(self, remote: str, local: Path) -> None:
        self.call(f'get -c "{remote}" -o "{local}"')


class Ncftp:
    """ncftpput and ncftpget 3.2.6, which know no TLS: they need a server with `ftp.tls = "optional"`.

    Without `-s` ncftpput resumes with sendfile() and then sends its file from the beginning, whatever the offset was.
    """

    def __init__(self, server: LiveServer, account: Account) -> None:
        self.programs = {name: require(name) for name in ("ncftpls", "ncftpput", "ncftpget")}
        self.server = server
        self.login = ["-u", account.name, "-p", account.password, "-P", str(server.port)]

    def call(self, program: str, *arguments: str | Path) -> str:
        environment = {"HOME": str(self.server.directory), "NCFTPDIR": str(self.server.directory)}
        return call([self.programs[program], *self.login, *arguments], environment=environment)

    def listing(self, folder: str) -> str:
        return self.call("ncftpls", "-la", f"ftp://{HOST}{folder}")

    def upload(self, local: Path, remote: str) -> None:
        self.call("ncftpput", "-V", "-Z", "-C", HOST, local, remote)

    def resume_upload(self, local: Path, remote: str) -> None:
        folder, _, name = remote.rpartition("/")
        assert name == local.name, "ncftpput resumes only under the local file's own name"
        self.call("ncftpput", "-V", "-s", "-z", HOST, folder or "/", local)

    def download(self, remote: str, local: Path) -> None:
        self.call("ncftpget", "-V", "-Z", "-C", HOST, remote, local)

    def resume_download(self, remote: str, local: Path) -> None:
        assert remote.rpartition("/")[2] == local.name, "ncftpget resumes only under the remote file's own name"
        self.call("ncftpget", "-V", "-z", HOST, local.parent, remote)


class Inetutils:
    """GNU inetutils' ftp: the classic interactive client, without TLS; `restart` is its way to resume."""

    def __init__(self, server: LiveServer, account: Account) -> None:
        self.program = require("inetutils-ftp")
        self.server = server
        self.account = account

    def call(self, *commands: str) -> str:
        lines = [f'user {self.account.name} "{self.account.password}"', "binary", *commands, "quit"]
        command = [self.program, "--no-login", "--no-prompt", "--passive", "--verbose", HOST, str(self.server.port)]
        output = call(command, stdin="\n".join([*lines, ""]).encode())
        assert "230" in output, output
        return output

    def listing(self, folder: str) -> str:
        return self.call(f'ls "{folder}"')

    def upload(self, local: Path, remote: str) -> None:
        self.call(f'put "{local}" "{remote}"')

    def resume_upload(self, local: Path, remote: str) -> None:
        size = int(self.call(f'size "{remote}"').split("\n213 ", 1)[1].split()[0])
        self.call(f"restart {size}", f'put "{local}" "{remote}"')

    def download(self, remote: str, local: Path) -> None:
        self.call(f'get "{remote}" "{local}"')

    def resume_download(self, remote: str, local: Path) -> None:
        self.call(f'reget "{remote}" "{local}"')


class ReusingFTP(ftplib.FTP_TLS):
    """ftplib's FTP_TLS, whose data connections resume the control connection's TLS session."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[ssl.SSLSocket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if not self._prot_p:  # type: ignore[attr-defined]  # typeshed leaves it out
            return connection, size  # type: ignore[return-value]
        session = self.sock.session  # type: ignore[union-attr]
        wrapped = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        return wrapped, size


def connect(
    server: LiveServer,
    account: Account,
    *,
    reuse: bool = True,
    encoding: str = "utf-8",
    version: ssl.TLSVersion | None = None,
) -> ftplib.FTP_TLS:
    """A logged-in ftplib client with private data connections; `version` is the only one it speaks."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    kind = ReusingFTP if reuse else ftplib.FTP_TLS
    ftp = kind(context=context, timeout=PATIENCE_S, encoding=encoding)
    ftp.connect(HOST, server.port)
    ftp.login(account.name, account.password)
    ftp.prot_p()
    return ftp


class Ftplib:
    """Python's own ftplib over TLS."""

    def __init__(self, server: LiveServer, account: Account) -> None:
        self.server = server
        self.account = account

    def listing(self, folder: str) -> str:
        lines: list[str] = []
        with connect(self.server, self.account) as ftp:
            ftp.dir("-a", folder, lines.append)
        return "\n".join(lines)

    def upload(self, local: Path, remote: str) -> None:
        with connect(self.server, self.account) as ftp, local.open("rb") as file:
            ftp.storbinary(f"STOR {remote}", file)

    def resume_upload(self, local: Path, remote: str) -> None:
        with connect(self.server, self.account) as ftp, local.open("rb") as file:
            ftp.voidcmd("TYPE I")
            offset = ftp.size(remote) or 0
            file.seek(offset)
            ftp.storbinary(f"STOR {remote}", file, rest=offset)

    def download(self, remote: str, local: Path) -> None:
        with connect(self.server, self.account) as ftp, local.open("wb") as file:
            ftp.retrbinary(f"RETR {remote}", file.write)

    def resume_download(self, remote: str, local: Path) -> None:
        with connect(self.server, self.account) as ftp, local.open("ab") as file:
            ftp.retrbinary(f"RETR {remote}", file.write, rest=file.tell())


ENCRYPTED: Sequence[type[Client]] = (Curl, Lftp, Ftplib)
PLAIN: Sequence[type[Client]] = (Ncftp, Inetutils)
