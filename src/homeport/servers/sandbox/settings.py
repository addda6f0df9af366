"""What servers are told of commands: plain values, so that they know nothing of how settings are written.

The one rule: the defaults are those of the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homeport.config.command_parameters import parse_type
from homeport.config.exec import ExecSettings, NamedCommandSettings
from homeport.core.account_names import name_key
from homeport.servers.sandbox.limits import Limits
from homeport.servers.sandbox.named import EVERYBODY, NamedCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """What the administrator allows. `private` are the server's own folders, which no command may see; `scratch` is
    one among them for what must be made; bubblewrap is looked for in `path` (None: $PATH).
    """

    enabled: bool = True
    network: bool = False
    folders: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    named: Mapping[str, NamedCommand] = field(default_factory=dict)
    private: tuple[Path, ...] = ()
    scratch: Path = Path("homeport-data/run/exec")
    path: str | None = None


def command_settings(configured: ExecSettings, private: tuple[Path, ...], scratch: Path) -> CommandSettings:
    """The section `exec` in the servers' form."""
    return CommandSettings(
        enabled=configured.enabled,
        network=configured.network,
        folders=tuple(map(Path, configured.folders)),
        limits=Limits(**{name: getattr(configured, name) for name in Limits.__dataclass_fields__}),
        named={name: _named(command) for name, command in configured.commands.items()},
        private=private,
        scratch=scratch,
    )


def _named(configured: NamedCommandSettings) -> NamedCommand:
    return NamedCommand(
        configured.argv,
        tuple((name, parse_type(kind)) for name, kind in configured.parameters.items()),
        frozenset(_key(name) for name in configured.accounts),
        configured.network,
    )


def _key(name: str) -> str:
    try:
        return name_key(name)
    except ValueError:  # `*`, or a name that nobody can have
        return name if name == EVERYBODY else ""
