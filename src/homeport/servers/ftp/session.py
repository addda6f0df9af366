"""One client as the handlers see it: who it is, where it stands, and the way to answer it.

The one rule: handlers reach the disk through `call` and its kin alone, and the client through `reply`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

from homeport.core.accounts import Account
from homeport.core.audit_events import Refused as Denied
from homeport.core.audit_events import Who
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.sessions import SessionRecord
from homeport.protocols.ftp.engine import FtpEngine
from homeport.protocols.ftp.settings import Settings
from homeport.servers.ftp.addresses import Ip
from homeport.servers.ftp.data import Socket
from homeport.servers.ftp.errors import Refused
from homeport.servers.ftp.front import Front
from homeport.servers.ftp.pump import Bucket
from homeport.servers.readiness import Waits

P = ParamSpec("P")
T = TypeVar("T")


class Wire(Protocol):
    """The control connection under a session."""

    def flush(self) -> None:
        """Send what the engine has to say, unless more is about to follow."""
        ...

    def write(self, data: bytes) -> None:
        """Send `data`, a piece of a reply, behind what the engine has to say."""
        ...

    async def drained(self) -> bool:
        """Wait until the client has read most of what was sent; False when it has gone."""
        ...


class Endpoint(Protocol):
    """One way to a data connection: a PassiveListener or an ActiveTarget."""

    def at_once(self) -> Socket | None:
        """The connection, where it is there already: as `connect`, which is to follow when this gives None."""
        ...

    async def connect(self, waits: Waits) -> Socket:
        """The connection, non-blocking. Raises DataRefused. It cannot be used again."""
        ...

    def hold(self) -> None:
        """A transfer is being prepared that will use it, however long that takes. Raises DataRefused."""
        ...

    def close(self) -> None:
        """Nobody will use it. Works twice."""
        ...


class Running(Protocol):
    """The Transfer under way, as far as other commands concern themselves with it."""

    moved: int
    started_at: float

    @property
    def title(self) -> str:
        """Such as `Sending /file`."""
        ...

    def stop(self, reason: str) -> None:
        """End it soon; `reason` is what the client is told."""
        ...


class FtpSession:
    """`peer` and `local` are None for a Unix socket. `home` and `account` are there while somebody is logged in."""

    def __init__(self, front: Front, engine: FtpEngine, wire: Wire, local: Ip | None, peer: Ip | None) -> None:
        self.front = front
        self.engine = engine
        self.local = local
        self.peer = peer
        self.record: SessionRecord | None = None
        self.folder: VirtualPath = ROOT
        self.endpoint: Endpoint | None = None
        self.transfer: Running | None = None
        self.tls_context: ssl.SSLContext | None = None
        self.idle_s = front.settings.times.idle_s
        self._home: Home | None = None
        self._wire = wire

    @property
    def home(self) -> Home:
        """The account's home. Raises Refused when nobody is logged in (any more)."""
        if self._home is None:
            raise Refused(530, "Log in with USER and PASS.")
        return self._home

    @property
    def is_logged_in(self) -> bool:
        return self._home is not None

    @property
    def who(self) -> Who:
        """Whoever this is, for the audit log."""
        return Who(peer=self.peer_name, protocol="ftp") if self.record is None else Who.of(self.record)

    def audit_refusal(self, deed: str, reason: str) -> None:
        """Note that `deed` was not done; core notes what it refuses itself."""
        self.front.core.audit(Denied(self.who, deed, str(self.folder), reason))

    @property
    def account(self) -> Account:
        """The account as it is now: rights and limits may change while the session lasts."""
        return (self._home or self.home).account

    @property
    def settings(self) -> Settings:
        """The parameters of the coming transfer."""
        return self.engine.session.settings

    @property
    def peer_name(self) -> str:
        """The client's address for logs and guards; `unix` where it has none."""
        return "unix" if self.peer is None else str(self.peer)

    def enter(self, home: Home) -> None:
        """Somebody has logged in."""
        self._home = home
        self.folder = ROOT

    def leave(self) -> Home | None:
        """Nobody is logged in any more; the home, which the caller closes."""
        home, self._home = self._home, None
        self.folder = ROOT
        self.drop_endpoint()
        return home

    def path(self, text: str | None) -> VirtualPath:
        """What `text` names from the current folder; the folder itself for None. Raises InvalidPath."""
        return self.folder if text is None else self.folder.join(text)

    def reply(self, code: int, text: str | Sequence[str]) -> None:
        """Answer the running command."""
        self.engine.reply(code, text)
        self._wire.flush()

    def reply_aside(self, code: int, text: str | Sequence[str]) -> None:
        """Answer a command that came during a transfer."""
        self.engine.reply_aside(code, text)
        self._wire.flush()

    def write(self, data: bytes) -> None:
        """Send a piece of a reply that is too long to be held in memory; `reply` then sends the last line."""
        self._wire.write(data)

    async def drained(self) -> bool:
        """Wait until the client has read most of what was sent; False when it has gone."""
        return await self._wire.drained()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of the core, which may block, in a thread: of those that the account may have at once."""
        return await self.front.files.run_for(self._owner, function, *args, **kwargs)

    async def call_listing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, for a piece of a folder's listing: few of these are made at once."""
        return await self.front.listings.run_for(self._owner, function, *args, **kwargs)

    async def call_short(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, for what takes microseconds unless the disk is slow; see Offload.run_short."""
        return await self.front.files.run_short(self._owner, function, *args, **kwargs)

    @property
    def _owner(self) -> int | None:
        return None if self._home is None else self._home.account.id

    def bucket(self, account: Account, *, upload: bool) -> Bucket | None:
        """The rate limit of the account's uploads or downloads, shared by its sessions; None where it has none."""
        own, common = account.limits, self.front.settings
        if upload:
            rate = own.upload_bytes_per_s or common.upload_bytes_per_s
        else:
            rate = own.download_bytes_per_s or common.download_bytes_per_s
        return None if rate is None else self.front.core.rates.bucket(account.id, rate, upload=upload)

    def require_endpoint(self) -> None:
        """Refuse a transfer before anything is opened for it when it has no way to the client (425).

        That way then stays open while the transfer is prepared: an upload that goes on from a large file is hashed
        for longer than an unused listener lives.
        """
        if self.endpoint is None:
            raise Refused(425, "Send PASV, EPSV, PORT or EPRT first.")
        self.endpoint.hold()

    def take_endpoint(self) -> Endpoint | None:
        """The way to the next data connection, for one use."""
        endpoint, self.endpoint = self.endpoint, None
        return endpoint

    def drop_endpoint(self) -> None:
        """Forget PASV, PORT and the like."""
        endpoint = self.take_endpoint()
        if endpoint is not None:
            endpoint.close()
