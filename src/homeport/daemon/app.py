"""What a worker runs: the core's services, the servers on top of them, and the master's questions answered.

One rule: the event loop never waits for the disk or the database; what blocks runs in a thread.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence

from homeport.config.model import Settings
from homeport.config.processors import processors
from homeport.core.audit_events import Kicked, Who
from homeport.core.home import Modes
from homeport.daemon.assignment import Assignment
from homeport.daemon.chat_service import chat_access
from homeport.daemon.errors import ControlRefused
from homeport.daemon.housekeeping import Housekeeping
from homeport.daemon.open_homes import OpenHomes
from homeport.daemon.server_list import build_services
from homeport.daemon.service import Place
from homeport.daemon.services import Services, session_limits
from homeport.daemon.wire import Message
from homeport.servers.core_access import CoreAccess
from homeport.servers.haste import Haste
from homeport.servers.lifecycle import Server
from homeport.servers.offload import Offload

_KICKED = "the administrator ended this session"
_RECOVER_BEFORE_READY_S = 1.0
_LISTINGS_AT_ONCE = 2  # they compute more than they wait: with more of them the loop waits longer for its turn
_LISTING_PATIENCE_S = 0.25  # many times what one works at a stretch: a disk hangs


class ServerApp:
    """See worker.App."""

    def __init__(self, assignment: Assignment) -> None:
        settings = assignment.settings
        self._place = Place(assignment.instance, assignment.slot)
        self._services = Services(assignment.instance, settings, f"worker{assignment.slot}", assignment.slot)
        self._homes = OpenHomes(self._services.accounts, self._services.home_services)
        # Where nobody waits for the disk to have it, to store a small file is a matter of memory; see Haste.
        haste = Haste() if settings.fsync == "never" else None
        few = max(1, processors() // max(1, settings.workers)) + 1
        self._files = Offload(settings.limits.transfer_threads, few=few, name="files", haste=haste)
        self._listings = Offload(
            settings.limits.transfer_threads, few=_LISTINGS_AT_ONCE, patience_s=_LISTING_PATIENCE_S, name="listings"
        )
        self._logins = Offload(settings.limits.password_checks, name="logins")
        self._housekeeping = Housekeeping(self._services, self._homes, tidies_stages=assignment.slot == 0)
        self._recovering: asyncio.Task[None] | None = None
        self._chat = chat_access(self._services, settings.chat, self._homes.watch)
        core = CoreAccess(
            login=self._services.login,
            sessions=self._services.sessions,
            open_home=self._homes.open,
            files=self._files,
            listings=self._listings,
            logins=self._logins,
            audit=self._services.audit.write,
            keys=self._services.key_login,
            proofs=self._services.proofs,
            chat=self._chat,
        )
        self._running = build_services(settings, core, self._place)
        self._verbs: dict[str, Callable[[Message], Awaitable[Message]]] = {
            "status": self._status,
            "who": self._who,
            "kick": self._kick,
            "account-changed": self._account_changed,
            "reload": self._reload,
        }

    @property
    def servers(self) -> Sequence[Server]:
        """All of them, in the order in which they are bound."""
        return [service.server for service in self._running]

    async def start(self) -> None:
        """Repair what dead processes left. Large homes are counted while clients come in already: an account that is
        being counted waits, the others do not.
        """
        self._recovering = asyncio.create_task(asyncio.to_thread(self._housekeeping.recover))
        done, _ = await asyncio.wait([self._recovering], timeout=_RECOVER_BEFORE_READY_S)
        for task in done:
            task.result()

    async def housekeep(self) -> None:
        """See Housekeeping."""
        if self._recovering is None or self._recovering.done():
            await asyncio.to_thread(self._housekeeping.tidy)

    async def answer(self, verb: str, arguments: Message) -> Message:
        """See worker.App."""
        return await self._verbs[verb](arguments)

    async def close(self) -> None:
        """Give everything back."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._files.close()
        self._listings.close()
        self._logins.close()
        if self._chat is not None:
            self._chat.threads.close()
        self._services.close()

    async def _status(self, _: Message) -> Message:
        return {"sessions": len(self._services.sessions)}

    async def _who(self, _: Message) -> Message:
        return {"sessions": [record.as_object() for record in self._services.sessions.snapshot()]}

    async def _kick(self, arguments: Message) -> Message:
        sessions, target = self._services.sessions, arguments["target"]
        kicked = sessions.kick(target, _KICKED)
        if kicked:
            self._services.audit.write(Kicked(Who(), target, kicked))
        return {"kicked": kicked}

    async def _account_changed(self, arguments: Message) -> Message:
        if self._chat is not None:
            self._chat.keys.void(arguments["account_id"])
        return {"kicked": await asyncio.to_thread(self._homes.account_changed, arguments["account_id"])}

    async def _reload(self, arguments: Message) -> Message:
        settings = Settings.model_validate(arguments["settings"])
        try:
            for service in self._running:
                service.reload(settings)
        except (OSError, ssl.SSLError) as error:
            raise ControlRefused("config", f"the certificate cannot be used: {error}") from error
        self._services.sessions.set_limits(session_limits(settings.limits))
        self._homes.set_modes(Modes(settings.storage.file_mode, settings.storage.directory_mode))
        self._housekeeping.stage_max_age_s = settings.storage.stage_max_age_s
        self._services.stages.disk.reserve_bytes = settings.storage.reserve_bytes
        self._services.audit.reopen()
        return {}


def build_app(assignment: Assignment) -> ServerApp:
    """The real thing; tests of the daemon bring another."""
    return ServerApp(assignment)
