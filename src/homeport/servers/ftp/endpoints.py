"""PORT, EPRT, PASV, EPSV: where the next data connection comes from or goes to.

The one rule: an endpoint is used once. A new one closes the old one, and a transfer takes it away, however it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.protocols.ftp.address import DataAddress, format_epsv, format_pasv, refusal
from homeport.protocols.ftp.events import Request
from homeport.servers.ftp.addresses import Ip, parse_ip
from homeport.servers.ftp.data import Socket, connect_out
from homeport.servers.ftp.errors import Refused
from homeport.servers.ftp.passive import PassiveListener
from homeport.servers.ftp.session import FtpSession
from homeport.servers.readiness import Waits


@dataclass(frozen=True, slots=True)
class ActiveTarget:
    """Where the client waits for us."""

    local: Ip
    address: DataAddress
    timeout_s: float

    def at_once(self) -> None:
        """See Endpoint: a client that waits for us is never there already."""

    async def connect(self, waits: Waits) -> Socket:
        """See Endpoint."""
        return await connect_out(self.local, self.address.host, self.address.port, waits, self.timeout_s)

    def hold(self) -> None:
        """See Endpoint."""

    def close(self) -> None:
        """See Endpoint."""


async def port(session: FtpSession, request: Request) -> None:
    """PORT and EPRT. RFC 2577 section 4: 504 for addresses where a data connection must not go."""
    address = request.argument
    assert isinstance(address, DataAddress)
    session.drop_endpoint()
    local, peer = _addresses(session)
    settings = session.front.settings
    why_not = refusal(address, str(peer), settings.refused_ports | session.front.own_ports)
    if why_not is not None:
        session.audit_refusal(f"{request.command.verb} {address.host} {address.port}", why_not)
        raise Refused(504, f"Refused: {why_not}.")
    session.endpoint = ActiveTarget(local, address, settings.times.connect_s)
    session.reply(200, f"The data connection will go to port {address.port}.")


async def passive(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """PASV."""
    listener = _listen(session)
    session.reply(227, format_pasv(_announced(session), listener.port))


async def extended_passive(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """EPSV. The engine has seen to `EPSV ALL` and to the family."""
    session.reply(229, format_epsv(_listen(session).port))


def _listen(session: FtpSession) -> PassiveListener:
    if session.endpoint is not None:
        session.drop_endpoint()
    local, peer = _addresses(session)
    listener = session.front.passive.open(local, peer, session.account.id)
    session.endpoint = listener
    return listener


def _announced(session: FtpSession) -> str:
    """The address that 227 names. RFC 959 has room for IPv4 alone, which the engine has made sure of."""
    local, peer = _addresses(session)
    public = None if peer.is_loopback else session.front.settings.public_address_for(str(peer))
    return public or str(local)


LOOPBACK = parse_ip("127.0.0.1")


def _addresses(session: FtpSession) -> tuple[Ip, Ip]:
    """Our address and the client's. Who came through a Unix socket is on this machine: loopback serves him."""
    local, peer = session.local or LOOPBACK, session.peer or LOOPBACK
    assert local is not None
    assert peer is not None
    return local, peer


HANDLERS = {"PORT": port, "EPRT": port, "PASV": passive, "EPSV": extended_passive}
