"""All commands that need more than the session's own state, each with its handler.

The one rule: this list is explicit. A test compares it with the command table, so no command is without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from homeport.protocols.ftp.events import Request
from homeport.servers.ftp import endpoints, files, folders, listings, status, transfers
from homeport.servers.ftp.session import FtpSession

Handler = Callable[[FtpSession, Request], Coroutine[Any, Any, None]]

HANDLERS: dict[str, Handler] = {
    **endpoints.HANDLERS,
    **folders.HANDLERS,
    **files.HANDLERS,
    **listings.HANDLERS,
    **status.HANDLERS,
    **transfers.HANDLERS,
}
