"""CWD, CDUP, PWD, MKD, RMD: where the session stands, and folders that come and go.

The one rule: the session's folder is a path and never the process's: each use of it is looked up anew.
"""

from __future__ import annotations

from homeport.core.entries import Kind
from homeport.core.errors import NotADirectory
from homeport.core.paths import VirtualPath
from homeport.protocols.ftp.events import Request
from homeport.protocols.ftp.replies import quote_path
from homeport.servers.ftp.arguments import text_of
from homeport.servers.ftp.session import FtpSession


async def change(session: FtpSession, request: Request) -> None:
    """CWD."""
    await _go(session, session.path(text_of(request)))


async def change_up(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """CDUP."""
    await _go(session, session.folder.parent)


async def show(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """PWD."""
    session.reply(257, f"{quote_path(str(session.folder))} is the current folder.")


async def make(session: FtpSession, request: Request) -> None:
    """MKD. RFC 959 appendix II: the reply names the folder by its whole path."""
    path = session.path(text_of(request))
    await session.call(session.home.make_directory, path)
    session.reply(257, f"{quote_path(str(path))} is made.")


async def remove(session: FtpSession, request: Request) -> None:
    """RMD."""
    await session.call(session.home.remove_directory, session.path(text_of(request)))
    session.reply(250, "The folder is removed.")


async def _go(session: FtpSession, path: VirtualPath) -> None:
    entry = await session.call(session.home.stat, path)
    if entry.kind is not Kind.DIRECTORY:
        raise NotADirectory(str(path))
    session.folder = path
    session.reply(250, f"{quote_path(str(path))} is the current folder.")


HANDLERS = {"CWD": change, "CDUP": change_up, "PWD": show, "MKD": make, "RMD": remove}
