"""Settings of SSH: SFTP, scp and commands."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from homeport.config.values import Count, Listen, Port, Seconds, Section, one_or_many


def _check_targets(targets: tuple[str, ...]) -> tuple[str, ...]:
    for target in targets:
        host, colon, port = target.rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{target!r} is no HOST:PORT; write such as 127.0.0.1:5432")
    return targets


Targets = Annotated[tuple[str, ...], BeforeValidator(one_or_many), AfterValidator(_check_targets)]


class SshSettings(Section):
    """SSH: SFTP, scp, and commands for accounts that may run some"""

    enabled: bool = True
    """Whether this service runs."""
    port: Port = 2122
    """Port; 0 takes any free one."""
    listen: Listen = ("0.0.0.0", "::")  # noqa: S104 - a file server serves the network
    """Addresses to listen on, or unix:PATH."""
    passwords: bool = True
    """Whether one may log in with a password; public keys (`homeport user key add`) always work."""
    max_key_offers: Annotated[int, Field(ge=1, le=1000)] = 20
    """So many public keys may be offered on one connection; more count as one failed login and end it."""
    max_channels: Annotated[int, Field(ge=1, le=1000)] = 10
    """Sessions (SFTP, commands) at once on one connection."""
    max_handles: Annotated[int, Field(ge=8, le=65536)] = 256
    """Files and folders open at once in one SFTP session."""
    max_logging_in: Count = 100
    """Connections at once, in each worker, that have not logged in yet."""
    keepalive_s: Seconds = 30.0
    """A silent client is asked so often whether it is there; four questions without an answer end the connection."""
    forward_to: Targets = ()
    """Where clients may connect to through the server (ssh -L), as HOST:PORT; nowhere when empty."""
