"""Where a person's settings and the state of their transfers are.

One rule: the XDG variables decide where they are set.
"""

from __future__ import annotations

import os
from pathlib import Path


def config_folder() -> Path:
    """`known_hosts.toml`, profiles."""
    return _folder("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """What interrupted transfers need to go on; the shell's history."""
    return _folder("XDG_STATE_HOME", ".local/state")


def _folder(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    return (Path(base) if os.path.isabs(base) else Path.home() / default) / "homeport"
