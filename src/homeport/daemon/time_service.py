"""The two time services as a worker runs them. The rule: one worker, the first, has them; the others have no UDP."""

from __future__ import annotations

from collections.abc import Iterator

from homeport.config.model import Settings
from homeport.config.time import NtpSettings, TimeSettings
from homeport.daemon.service import Place, Service
from homeport.protocols.ntp import PACKET_BYTES
from homeport.protocols.timetext import MAX_REQUEST_BYTES, MIN_ANSWER_BYTES
from homeport.servers.core_access import CoreAccess
from homeport.servers.datagrams import ECHOING_PORTS, Rules
from homeport.servers.listening import Wish
from homeport.servers.networks import Networks
from homeport.servers.udp.host_clock import HostClock
from homeport.servers.udp.server import UdpServer
from homeport.servers.udp.time_answers import Sntp, TextTime, Zones

_BURST_S = 2.0  # an address may send so many seconds' requests at once
_NTP_PORT = 123  # clients of old ask from the port that they also listen on
_NTP_MOST_BYTES = PACKET_BYTES + 1024  # with extensions that we leave out


def build_time(settings: Settings, _core: CoreAccess, place: Place) -> Iterator[Service]:
    """The time as text, or nothing where it is switched off."""
    if settings.time.enabled and place.slot == 0:
        wish = Wish("time", settings.time.listen, settings.time.port)
        server = UdpServer(wish, text_rules(settings.time), TextTime(Zones()).answer)
        yield Service(server, lambda changed: server.reload(text_rules(changed.time)))


def build_ntp(settings: Settings, _core: CoreAccess, place: Place) -> Iterator[Service]:
    """SNTP, or nothing where it is switched off."""
    if settings.ntp.enabled and place.slot == 0:
        sntp = Sntp(HostClock(settings.ntp.stratum))
        wish = Wish("ntp", settings.ntp.listen, settings.ntp.port)
        server = UdpServer(wish, ntp_rules(settings.ntp), sntp.answer, over=sntp.over)

        def reload(changed: Settings) -> None:
            sntp.clock = HostClock(changed.ntp.stratum)
            server.reload(ntp_rules(changed.ntp))

        yield Service(server, reload)


def text_rules(settings: TimeSettings) -> Rules:
    """What the text service refuses."""
    return Rules(
        max_bytes=MAX_REQUEST_BYTES,
        per_s=settings.requests_per_s,
        burst=settings.requests_per_s * _BURST_S,
        reply_bytes=MIN_ANSWER_BYTES,
        networks=Networks(settings.allow, settings.deny),
    )


def ntp_rules(settings: NtpSettings) -> Rules:
    """What the SNTP service refuses."""
    return Rules(
        max_bytes=_NTP_MOST_BYTES,
        per_s=settings.requests_per_s,
        burst=settings.requests_per_s * _BURST_S,
        reply_bytes=0,
        refused_ports=ECHOING_PORTS - {_NTP_PORT},
        networks=Networks(settings.allow, settings.deny),
    )
