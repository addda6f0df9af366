"""Which servers' keys are known: `known_hosts.toml`, one table a server.

The one rule: a key that was trusted once is the only one that is accepted from then on. First contact is decided by a
person or by a fingerprint given beforehand, never by the program.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from homeport.client.errors import IdentityChanged, IdentityUnknown, LocalFailed
from homeport.client.fingerprint import as_ssh_shows
from homeport.client.private_file import replace_private
from homeport.client.toml_text import toml_string

_HEAD = "# Keys of the servers that this account trusts. Written by homeport; `homeport trust URL` adds and renews.\n"


@dataclass(frozen=True, slots=True)
class FirstContact:
    """What a person sees before the answer: the server, its key, and when the certificate ends by its own words; that
    is empty for a key without one, as SSH's.
    """

    server: str
    fingerprint: str
    expires: str

    @property
    def as_its_server_shows(self) -> str:
        """The fingerprint in the form in which the server's administrator reads it out."""
        return self.fingerprint if self.expires else as_ssh_shows(self.fingerprint)


Ask = Callable[[FirstContact], bool]


class KnownHosts:
    """The file of trusted keys. Reading a missing file is an empty one; writing replaces it whole, mode 0600.

    Without a file nobody is known, and nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fingerprint_of(self, server: str) -> str | None:
        """The key trusted for `server` (such as `ftp://host:2121`), or None."""
        return self._read().get(server)

    def remember(self, server: str, fingerprint: str) -> None:
        """From now on `server` has this key and no other."""
        self._write({**self._read(), server: fingerprint})

    def forget(self, server: str) -> bool:
        """Whether `server` was known; it is not any more."""
        known = self._read()
        was_known = known.pop(server, None) is not None
        if was_known:
            self._write(known)
        return was_known

    def all(self) -> dict[str, str]:
        """Every server with its key."""
        return self._read()

    def _read(self) -> dict[str, str]:
        if self.path is None:
            return {}
        try:
            tables = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
            # Never taken for empty: that would make every server a first contact.
            raise LocalFailed(f"{self.path} cannot be read ({failure}); mend it or move it away") from failure
        return {server: str(table["fingerprint"]) for server, table in tables.items() if "fingerprint" in table}

    def _write(self, known: dict[str, str]) -> None:
        tables = [f"[{toml_string(server)}]\nfingerprint = {toml_string(known[server])}\n" for server in sorted(known)]
        if self.path is not None:
            replace_private(self.path, "\n".join([_HEAD, *tables]))


@dataclass(frozen=True, slots=True)
class Trust:
    """How a key is judged. `pinned` is a fingerprint given beforehand; `ask` is None where nobody can answer."""

    known: KnownHosts
    pinned: str | None = None
    ask: Ask | None = None

    def expected(self, server: str) -> str | None:
        """The only key that will do, or None at first contact."""
        return self.pinned or self.known.fingerprint_of(server)

    def judge(self, contact: FirstContact) -> None:
        """Let the key pass or raise IdentityChanged or IdentityUnknown. An answer of yes is remembered."""
        expected = self.expected(contact.server)
        if expected is not None:
            if expected == contact.fingerprint:
                return
            raise IdentityChanged(
                f"{contact.server} shows another key than the one that is trusted.\n"
                f"  trusted: {expected}\n  shown:   {contact.fingerprint}\n"
                "Somebody may be between you and the server. Ask its administrator; if the key was renewed, "
                "`homeport trust` the server again.",
                expected,
                contact.fingerprint,
            )
        if self.ask is None:
            raise IdentityUnknown(
                f"{contact.server} is not known yet, and nobody is here to ask. "
                f"If this is its key, add: --fingerprint {contact.as_its_server_shows}",
                contact.fingerprint,
            )
        if not self.ask(contact):
            raise IdentityUnknown(f"{contact.server} was not trusted; nothing was sent", contact.fingerprint)
        self.known.remember(contact.server, contact.fingerprint)
