"""Settings of HPTP, Homeport's own protocol."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from homeport.config.values import Listen, Port, Section, Size

_LARGEST_WINDOW = 2**31 - 1


class HptpSettings(Section):
    """HPTP: Homeport's own protocol, for its own client"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2120
    """Port; 0 takes any free one."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - a file server serves the network; every connection is TLS
    """Addresses to listen on, or unix:PATH."""
    max_streams: Annotated[int, Field(ge=16, le=65536)] = 1024
    """Requests at once on one connection."""
    max_open_files: Annotated[int, Field(ge=4, le=4096)] = 64
    """Files open at once for one connection; more transfers wait."""
    stream_window_bytes: Annotated[Size, Field(ge=256 * 1024, le=_LARGEST_WINDOW)] = 8 * 1024 * 1024
    """How much of one upload may be under way; it limits its speed to this much in a round trip."""
    connection_window_bytes: Annotated[Size, Field(ge=1024 * 1024, le=_LARGEST_WINDOW)] = 32 * 1024 * 1024
    """How much of all uploads of one connection may be under way, and wait in memory when the disk is slow."""
