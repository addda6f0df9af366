"""STAT, SITE QUOTA, SITE WHO, SITE IDLE: what is known of the session and the account.

The one rule: nobody learns anything here about other accounts.
"""

from __future__ import annotations

import time

from homeport.core.quota import Usage
from homeport.core.sessions import SessionRecord
from homeport.protocols.ftp.arguments import Listing
from homeport.protocols.ftp.events import Request
from homeport.servers.ftp.arguments import argument_of
from homeport.servers.ftp.errors import Refused
from homeport.servers.ftp.listings import list_here
from homeport.servers.ftp.session import FtpSession

_LEAST_IDLE_S = 10


async def status(session: FtpSession, request: Request) -> None:
    """STAT: 211 and the session, or 213 and a listing of the path."""
    if argument_of(request, Listing).path is not None:
        await list_here(session, request)
        return
    answer = session.reply_aside if request.aside else session.reply
    answer(211, ("Status:", *_lines(session), "End"))


def _lines(session: FtpSession) -> list[str]:
    settings = session.settings
    control = "TLS" if session.tls_context else "in the clear"
    lines = [
        f"Logged in as {session.account.name} from {session.peer_name}",
        f"Folder: {session.folder}",
        f"TYPE {settings.representation.value}, MODE {settings.mode.value}, STRU F, names in "
        f"{session.engine.names.charset or 'utf-8 so far'}",
        f"Control connection {control}, data connections PROT {settings.protection.value}",
        f"An idle session is closed after {session.idle_s:.0f} s",
    ]
    transfer = session.transfer
    if transfer is None:
        lines.append("No transfer is running")
    else:
        seconds = max(time.monotonic() - transfer.started_at, 0.001)
        done = transfer.moved
        lines.append(f"{transfer.title}: {done} bytes so far, {done / seconds:.0f} bytes/s")
    return lines


async def quota(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """SITE QUOTA."""
    usage = await session.call(session.home.usage)
    session.reply(200, ("Quota:", *quota_lines(usage), "End"))


def quota_lines(usage: Usage) -> list[str]:
    """Bytes and files, used and allowed."""
    return [
        f"{name}: {used} used of {'any number' if limit is None else limit}"
        for name, used, limit in (
            ("Bytes", usage.used_bytes, usage.quota_bytes),
            ("Files", usage.used_files, usage.max_files),
        )
    ]


async def who(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """SITE WHO: the account's own sessions, through whichever protocol."""
    own = session.front.core.sessions.of_account(session.account.id)
    session.reply(200, ("Sessions:", *map(_session_line, own), "End"))


def _session_line(record: SessionRecord) -> str:
    line = f"{record.id} {record.protocol} from {record.peer}: {record.doing}"
    return line if record.path is None else f"{line} {record.path}, {record.moved_bytes} bytes so far"


async def idle(session: FtpSession, request: Request) -> None:
    """SITE IDLE: a session may give up earlier than the server would, not later."""
    most = session.front.settings.times.idle_s
    if request.argument is not None:
        seconds = argument_of(request, int)
        if not _LEAST_IDLE_S <= seconds <= most:
            raise Refused(501, f"The time lies between {_LEAST_IDLE_S} and {most:.0f} s.")
        session.idle_s = float(seconds)
    session.reply(200, f"An idle session is closed after {session.idle_s:.0f} s.")


HANDLERS = {"STAT": status, "SITE QUOTA": quota, "SITE WHO": who, "SITE IDLE": idle}
