"""Where the client keeps its own files: settings that a person edits, and state that nobody needs to see."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def config_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Profiles, known hosts: `$XDG_CONFIG_HOME/homeport`, else `~/.config/homeport`; on Windows `%APPDATA%`."""
    return _folder(environment, platform, "XDG_CONFIG_HOME", ".config")


def state_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Unfinished uploads, history: `$XDG_STATE_HOME/homeport`, else `~/.local/state/homeport`."""
    return _folder(environment, platform, "XDG_STATE_HOME", ".local/state")


def _folder(environment: Mapping[str, str], platform: str, variable: str, below_home: str) -> Path:
    chosen = environment.get(variable, "")
    if os.path.isabs(chosen):  # the specification says to ignore relative ones
        return Path(chosen) / "homeport"
    if platform == "win32" and environment.get("APPDATA"):
        return Path(environment["APPDATA"]) / "homeport"
    return Path.home() / below_home / "homeport"
