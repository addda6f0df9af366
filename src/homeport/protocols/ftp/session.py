"""What the engine knows of one control connection.

The one rule: everything that AUTH TLS must forget, and REIN and a second USER, is made anew in `reset` and lives
nowhere else.
"""

from __future__ import annotations

from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.policy import Policy
from homeport.protocols.ftp.settings import Protection, Settings
from homeport.protocols.ftp.state import Mark, Phase, next_phase


class Session:
    """`tls`: TLS is on. `ipv6`: the peer speaks IPv6 (an IPv4 address inside IPv6 is none). `user`: what USER said."""

    __slots__ = ("client", "host", "implicit", "ipv6", "names", "phase", "policy", "settings", "tls", "user")

    def __init__(self, policy: Policy, *, tls: bool = False, ipv6: bool = False) -> None:
        self.policy = policy
        self.tls = tls
        self.ipv6 = ipv6
        self.implicit = tls
        self.phase = Phase.STRANGER
        self.user = ""
        self.client = ""
        self.host = ""
        self.names = Names(policy.legacy_charset, policy.forced_charset)
        self.settings = self._new_settings()

    @property
    def needs_private_data(self) -> bool:
        """Whether data connections must be private: where this connection is, unless the policy leaves it open."""
        return self.tls and self.policy.private_data

    def move(self, mark: Mark) -> None:
        """Change the phase as the table says."""
        self.phase = next_phase(self.phase, mark)

    def reset(self) -> None:
        """Back to a stranger, as after connecting; TLS stays."""
        self.move(Mark.RESET)
        self.user = self.client = self.host = ""
        self.names = Names(self.policy.legacy_charset, self.policy.forced_charset)
        self.settings = self._new_settings()

    def name_user(self, user: str) -> None:
        """USER: whoever was logged in is no longer, and what was set under that login is forgotten."""
        if self.phase is Phase.LOGGED_IN:
            kept, self.settings = self.settings, self._new_settings()
            # These belong to the TLS connection, not to the login: clients send them before USER too (RFC 4217).
            self.settings.pbsz_done, self.settings.protection = kept.pbsz_done, kept.protection
            self.names = Names(self.policy.legacy_charset, self.policy.forced_charset)
        self.move(Mark.USER)
        self.user = user

    def _new_settings(self) -> Settings:
        # Implicit TLS means everything is private from the start, and PBSZ and PROT only repeat it.
        protection = Protection.PRIVATE if self.implicit else Protection.CLEAR
        return Settings(
            protection=protection,
            pbsz_done=self.implicit,
            hash_algorithm=self.policy.hashes[0],
            deflate_level=self.policy.deflate_level,
        )
