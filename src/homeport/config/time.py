"""Settings of the two time services."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from homeport.config.values import Count, Listen, Network, Port, Section, one_or_many

_Networks = Annotated[tuple[Network, ...], BeforeValidator(one_or_many)]


class TimeSettings(Section):
    """The time as text, over UDP"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2123
    """UDP port; 0 takes any free one."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - it tells the time to whoever asks, and nothing else
    """Addresses to listen on."""
    allow: _Networks = ()
    """Networks that are answered; none named: all."""
    deny: _Networks = ()
    """Networks that are not, though `allow` names them."""
    requests_per_s: Count = 100
    """Datagrams a second from one address (IPv6: one /64); more are dropped."""


class NtpSettings(Section):
    """The time for clocks: SNTP, over UDP"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2124
    """UDP port; 0 takes any free one. Clients expect 123, which only root may bind."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - it tells the time to whoever asks, and nothing else
    """Addresses to listen on."""
    allow: _Networks = ()
    """Networks that are answered; none named: all."""
    deny: _Networks = ()
    """Networks that are not, though `allow` names them."""
    requests_per_s: Count = 100
    """Questions a second from one address (IPv6: one /64); who asks more hears RATE once, then nothing."""
    stratum: Annotated[int, Field(ge=1, le=15)] = 10
    """What is told while something (chrony, ntpd) keeps this machine's clock right: one more than its own stratum.
    While nothing does, clients are told so, whatever stands here."""
