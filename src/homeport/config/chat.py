"""Settings of the team chat."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from homeport.config.values import Count, Listen, Network, Port, Section, one_or_many
from homeport.core.chat_names import ChatRights


def _check_rights(text: str) -> str:
    ChatRights.parse(text)
    return text


class ChatSettings(Section):
    """The team chat: over UDP with keys that clients get over HPTP, and over HPTP where UDP is blocked"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2125
    """UDP port; 0 takes any free one. Clients are told it over HPTP."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - what is not sealed with a key that we gave gets no answer
    """Addresses to listen on."""
    allow: Annotated[tuple[Network, ...], BeforeValidator(one_or_many)] = ()
    """Networks that may chat over UDP; none named: all."""
    deny: Annotated[tuple[Network, ...], BeforeValidator(one_or_many)] = ()
    """Networks that may not, though `allow` names them."""
    rights: Annotated[str, AfterValidator(_check_rights)] = "all"
    """What accounts may do of which `homeport room` says nothing else: read, talk, make (rooms), all, none."""
    max_message_chars: Annotated[int, Field(ge=1, le=16_000)] = 4000
    """The longest message."""
    messages_per_s: Count = 5
    """Messages a second of one account; four times as many at once."""
    requests_per_s: Count = 50
    """Requests of all kinds a second of one account; four times as many at once."""
    datagrams_per_s: Count = 5000
    """Datagrams a second from one address (IPv6: one /64), behind which a whole class may sit."""
    max_sessions: Count = 5000
    """Sessions over UDP at once."""
