"""Which settings take effect while the server runs. Rule: what is not named here applies to new sessions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeport.config.model import Settings, key_paths

# Ports are bound, folders opened and processes counted once, at the start. A certificate's files are read again at
# every reload, but always the same files.
NEEDS_RESTART = frozenset(
    {
        "workers",
        "fsync",
        "services",
        "ftp.enabled",
        "ftp.port",
        "ftp.listen",
        "ftp.implicit_port",
        "ftp.passive_ports",
        "ftp.tls",
        "time.enabled",
        "time.port",
        "time.listen",
        "ntp.enabled",
        "ntp.port",
        "ntp.listen",
        "chat.enabled",
        "chat.port",
        "chat.listen",
        "chat.rights",
        "chat.max_message_chars",
        "chat.messages_per_s",
        "chat.requests_per_s",
        "chat.max_sessions",
        "hptp.enabled",
        "hptp.port",
        "hptp.listen",
        "ssh.enabled",
        "ssh.port",
        "ssh.listen",
        "ssh.keepalive_s",
        "tls.certificate",
        "tls.key",
        "database.url",
        "storage.homes",
        "storage.stage",
        "limits.transfer_threads",
        "limits.password_checks",
        "login.first_delay_s",
        "login.max_delay_s",
        "login.failures_before_ban",
        "login.window_s",
        "login.ban_s",
        "login.max_ban_s",
        "login.never_ban",
        "login.password_cache_s",
        "logs.xferlog",
    }
)


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys that differ between two configurations, by when they take effect."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def changes(old: Settings, new: Settings) -> Changes:
    """What differs from `old` to `new`."""
    differing = [key for key in key_paths() if value_at(old, key) != value_at(new, key)]
    return Changes(
        applied=tuple(key for key in differing if key not in NEEDS_RESTART),
        needs_restart=tuple(key for key in differing if key in NEEDS_RESTART),
    )


def effective(old: Settings, new: Settings) -> Settings:
    """`new`, but with the values of `old` where a restart is needed."""
    sections: dict[str, Any] = {}
    for key in NEEDS_RESTART:
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value_at(old, key)
    top = sections.pop("", {})
    for section, kept in sections.items():
        top[section] = getattr(new, section).model_copy(update=kept)
    return new.model_copy(update=top)


def value_at(settings: Settings, key: str) -> object:
    """The value of the dotted `key`."""
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found
