"""What `homeport serve` prints for people: addresses, fingerprint, and commands that work when they are pasted."""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeport.daemon.certificate import CertificateFacts
    from homeport.daemon.host_keys import HostKeyFacts
    from homeport.daemon.wire import Message

_EVERYWHERE = {"0.0.0.0": "localhost", "::": "localhost"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Greeting:
    """`services` as `status` shows them; `certificate` is None where TLS is off; `name` is the account to show.

    `host_key` is the SSH server's, where it runs.
    """

    services: dict[str, Message]
    certificate: Path | None
    facts: CertificateFacts | None
    name: str
    host_key: HostKeyFacts | None = None

    def lines(self) -> list[str]:
        """Everything but the ready line."""
        return [
            *self._addresses(),
            *self._fingerprints(),
            *self._commands(),
            *self._ssh_command(),
            *self._own_command(),
        ]

    def ready_line(self) -> str:
        """The line that scripts wait for."""
        return f"ready: {', '.join(f'{name} {_where(service)}' for name, service in self.services.items())}"

    def _addresses(self) -> list[str]:
        return [f"{name}: {', '.join(service['listen'])}" for name, service in self.services.items()]

    def _fingerprints(self) -> list[str]:
        host_key = []
        if self.host_key is not None:
            host_key = [f"SSH host key: {self.host_key.kind} {self.host_key.fingerprint}"]
        if self.facts is None:
            return ["TLS is off: passwords and files can be read on the way", *host_key]
        return [
            f"key fingerprint: sha256:{self.facts.key_sha256}",
            f"certificate fingerprint: sha256:{self.facts.certificate_sha256}",
            *host_key,
        ]

    def _commands(self) -> list[str]:
        ftp = self.services.get("ftp")
        if ftp is None or ftp["port"] is None:
            return []
        url = f"ftp://{url_host(ftp['host'])}:{ftp['port']}"
        name = shlex.quote(self.name)
        if self.certificate is None:
            curl, lftp_settings = "curl", "set ftp:ssl-allow false"
        else:
            curl = f"curl --cacert {shlex.quote(str(self.certificate))} --ssl-reqd"
            lftp_settings = (
                f'set ssl:ca-file "{self.certificate}"; set ftp:ssl-force true; set ftp:ssl-protect-data true'
            )
        return [
            "to upload FILE (curl asks for the password):",
            f"  {curl} --user {name} -T FILE {url}/",
            "to look around (lftp asks for the password):",
            # Without a slash at the end: lftp would go there before it has read the settings.
            f"  lftp -e {shlex.quote(lftp_settings)} -u {name} {url}",
        ]

    def _ssh_command(self) -> list[str]:
        ssh = self.services.get("ssh")
        if ssh is None or ssh["port"] is None:
            return []
        host = url_host(ssh["host"]).strip("[]")
        return [
            "the same through SSH (compare the host key with the one above):",
            f"  sftp -P {ssh['port']} {shlex.quote(self.name)}@{host}",
        ]

    def _own_command(self) -> list[str]:
        hptp = self.services.get("hptp")
        if hptp is None or hptp["port"] is None:
            return []
        url = f"hp://{self.name}@{url_host(hptp['host'])}:{hptp['port']}"
        return ["with Homeport's own client (nothing to compare):", f"  homeport shell {shlex.quote(url)}"]


def url_host(host: str) -> str:
    """How a client on this machine names the address that a service listens on."""
    shown = _EVERYWHERE.get(host, host)
    try:
        return f"[{shown}]" if ipaddress.ip_address(shown).version == 6 else shown
    except ValueError:
        return shown


def _where(service: Message) -> str:
    return ", ".join(service["listen"])
