"""One client: how it logs in, and the channels that it may open.

The one rule: whoever is refused learns no more than that, except for what is no secret: that he tried too often, that
he is banned for a while, that there are too many sessions. Those he is told when he is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from homeport.core.accounts import Account
from homeport.core.audit_events import Event, LoggedIn, LoggedOut, LoginFailed, Who
from homeport.core.errors import HomeportError, LoginRefused
from homeport.core.home import Home
from homeport.core.key_login import KeyLogin
from homeport.core.sessions import SessionRecord
from homeport.servers.arrivals import Arrivals
from homeport.servers.core_access import CoreAccess
from homeport.servers.ssh.channels import SessionChannel
from homeport.servers.ssh.session import SshSession
from homeport.servers.ssh.settings import SshSettings
from homeport.servers.ssh.wire import Connection

_log = logging.getLogger(__name__)

_TOO_MANY_FAILURES = "too many failed logins on one connection"
_TOO_MANY_NEWCOMERS = "the server is busy with other logins; try again in a moment"


@dataclass(slots=True, eq=False)
class Front:
    """What all clients of one server share. `settings` may be replaced; clients read them anew."""

    settings: SshSettings
    core: CoreAccess
    keys: KeyLogin
    arrivals: Arrivals[Guest]
    newcomers: set[Guest] = field(default_factory=set)  # those that have not logged in


class Guest(asyncssh.SSHServer):
    """See asyncssh.SSHServer; for the event loop's thread."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._record: SessionRecord | None = None
        self._peer = "unix"
        self._name = ""
        self._account: Account | None = None  # whose password was right
        self._key: bytes | None = None  # the key that fits, until the client has proved to have it
        self._guesses = 0
        self._failures = 0
        self._offers = 0
        self._entered: asyncio.Future[SshSession] = self._loop.create_future()
        self._session: SshSession | None = None
        self._channels: set[SessionChannel] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._reason: str | None = None
        self._lost = False

    # What asyncssh says of the connection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """See asyncssh.SSHServer."""
        assert isinstance(conn, Connection)
        self._connection = conn
        peer = conn.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._peer = _plain_address(str(peer[0]))
        self._front.arrivals.came(self)
        if len(self._front.newcomers) >= self._front.settings.max_logging_in:
            conn.turn_away(lambda: self.terminate(_TOO_MANY_NEWCOMERS))
            return
        self._front.newcomers.add(self)
        try:
            self._record = self._front.core.sessions.open("ssh", self._peer, self._kick_from_anywhere)
        except HomeportError as error:
            reason = str(error)
            conn.turn_away(lambda: self.terminate(reason))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncssh.SSHServer."""
        self._lost = True
        if self._reason is None and exc is not None and not isinstance(exc, asyncssh.ConnectionLost):
            self._reason = str(exc)
        self._front.newcomers.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        if not self._entered.done():
            self._entered.cancel()
        if self._session is not None:
            self._session.close()
        self._loop.create_task(self._clean_up())

    # Logging in

    def begin_auth(self, username: str) -> bool:
        """See asyncssh.SSHServer. Another name begins anew; nobody comes in without proof."""
        self._name, self._account, self._key = username, None, None
        return True

    def password_auth_supported(self) -> bool:
        """See asyncssh.SSHServer."""
        return self._front.settings.passwords

    def public_key_auth_supported(self) -> bool:
        """See asyncssh.SSHServer."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """See asyncssh.SSHServer. A client that asks the next thing before the answer has tried all the same."""
        self._guesses += 1
        if self._guesses > self._front.settings.max_login_attempts:
            self.terminate(_TOO_MANY_FAILURES)
            return False
        self._account = await asyncio.shield(self._loop.create_task(self._holder_of(username, password)))
        return self._account is not None

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """See asyncssh.SSHServer. Called before the client has proved to have the key's other half, and after."""
        self._account, self._key = None, None
        self._offers += 1
        blob = key.public_data
        try:
            if self._offers > self._front.settings.max_key_offers:
                await self._refuse_keys(username)
                return False
            if await self._front.core.logins.run(self._front.keys.fits, username, blob, self._peer):
                self._key = blob
                return True
        except HomeportError as error:
            self._turn_away(username, error)
        return False

    async def auth_completed(self) -> None:
        """See asyncssh.SSHServer: the client knows by now that it is in, but its channels wait for its home."""
        self._front.newcomers.discard(self)
        try:
            session = await self._enter()
        except HomeportError as error:
            self._turn_away(self._name, error)
            return
        if self._lost:
            return  # `_clean_up` waits for what was entered
        self._entered.set_result(session)
        self._wait_for_channels()

    # Channels

    def session_requested(self) -> Any:
        """See asyncssh.SSHServer."""
        most = self._front.settings.max_channels
        if len(self._channels) >= most or self._connection is None:
            text = f"{most} channels are open on this connection; close some first"
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, text)
        return self._connection.make_channel(), self._begin_channel()

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:  # noqa: ARG002
        """See asyncssh.SSHServer: to where the settings allow it, and nowhere else."""
        return f"{dest_host}:{dest_port}" in self._front.settings.forward_to

    # What the server says

    def drain(self, reason: str) -> None:
        """Disconnect, unless something is under way."""
        if not self._channels:
            self.terminate(reason)

    def terminate(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Disconnect; what was being sent is kept. `code` as in RFC 4253 section 11.1."""
        self._reason = self._reason or reason
        if self._connection is not None and not self._lost:
            self._connection.disconnect(code, reason)

    def abort(self) -> None:
        """Cut the connection now."""
        if self._connection is not None and not self._lost:
            self._connection.abort()

    # Within

    @property
    def _who(self) -> Who:
        return Who(peer=self._peer, protocol="ssh") if self._record is None else Who.of(self._record)

    def _audit(self, event: Event) -> None:
        self._front.core.audit(event)

    def _kick_from_anywhere(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self.terminate, reason)

    def _turn_away(self, name: str, error: HomeportError) -> None:
        reason = error.reason if isinstance(error, LoginRefused) else str(error)
        self._audit(LoginFailed(self._who, name, reason))
        self.terminate(str(error), asyncssh.DISC_TOO_MANY_CONNECTIONS)

    async def _holder_of(self, name: str, password: str) -> Account | None:
        core = self._front.core
        try:
            return await core.logins.run(core.login.authenticate, name, password, self._peer)
        except LoginRefused as error:
            self._audit(LoginFailed(self._who, name, error.reason))
            await asyncio.sleep(error.delay_s)
            self._count_failure()
        except HomeportError as error:
            self._turn_away(name, error)
        return None

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= self._front.settings.max_login_attempts:
            self.terminate(_TOO_MANY_FAILURES)

    async def _refuse_keys(self, name: str) -> None:
        """So many keys are no search for the right one any more: it counts as one failed login."""
        self._audit(LoginFailed(self._who, name, "too many keys"))
        try:
            await asyncio.sleep(await self._front.core.logins.run(self._front.keys.failed, name, self._peer))
        finally:
            self.terminate("too many keys were offered; name the right one with -i, and IdentitiesOnly=yes")

    async def _enter(self) -> SshSession:
        core, record, account = self._front.core, self._record, self._account
        if record is None:
            raise LoginRefused("the connection has ended")
        if account is None:
            if self._key is None:
                raise LoginRefused("no proof")
            account = await core.logins.run(self._front.keys.authenticate, self._name, self._key, self._peer)
        core.sessions.log_in(record, account)
        home = await core.files.run_for(account.id, core.open_home, account, record)
        self._session = SshSession(home, record, core, self._front.settings)
        if self._lost:
            self._session.close()
        cipher = None if self._connection is None else self._connection.get_extra_info("send_cipher")
        self._audit(LoggedIn(Who.of(record), f"SSH {cipher}"))
        return self._session

    def _begin_channel(self) -> Coroutine[Any, Any, SessionChannel]:
        async def begin() -> SessionChannel:
            try:
                session = await asyncio.shield(self._entered)
            except asyncio.CancelledError:
                raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the connection has ended") from None
            if len(self._channels) >= self._front.settings.max_channels:
                raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many channels")
            channel = SessionChannel(session, self._channel_gone)
            self._channels.add(channel)
            if self._idle is not None:
                self._idle.cancel()
            return channel

        return begin()

    def _channel_gone(self, channel: SessionChannel) -> None:
        self._channels.discard(channel)
        self._wait_for_channels()

    def _wait_for_channels(self) -> None:
        if not self._channels and not self._lost:
            idle_s = self._front.settings.times.idle_s
            self._idle = self._loop.call_later(idle_s, self.terminate, f"no channel for {idle_s:.0f} s")

    async def _clean_up(self) -> None:
        try:
            session = self._session
            if session is not None:
                await session.finished()
                await self._leave(session.home)
        finally:
            if self._record is not None:
                self._front.core.sessions.close(self._record)
            self._front.arrivals.gone(self)

    async def _leave(self, home: Home) -> None:
        assert self._record is not None
        seconds = time.monotonic() - self._record.started_at
        self._audit(LoggedOut(Who.of(self._record), seconds, self._reason))
        await self._front.core.files.run_for(home.account.id, home.close)


def _plain_address(address: str) -> str:
    """Without the zone of a link-local address and without IPv6's clothes on an IPv4 address."""
    return address.removeprefix("::ffff:") if "." in address else address.partition("%")[0]
