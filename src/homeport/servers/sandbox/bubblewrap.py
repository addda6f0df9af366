"""Whether this machine can confine commands, and with what: bubblewrap, the kernel's filter, device nodes, groups.

The one rule: what is missing is said with what to install or change; nothing runs half confined.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from homeport.servers.sandbox import cgroups, seccomp
from homeport.servers.sandbox.cgroups import Groups
from homeport.servers.sandbox.devices import NoDevices, own_nodes
from homeport.servers.sandbox.seccomp import Machine

PROGRAM = "bwrap"
OLDEST = (0, 8)  # the first that can forbid nested user namespaces and bound a tmpfs
INSTALL = "install bubblewrap 0.8 or newer (Debian, Ubuntu, Fedora: package bubblewrap)"
_VERSION = re.compile(r"(\d+)\.(\d+)")
_PATIENCE_S = 10.0


class SandboxUnavailable(Exception):
    """Commands cannot be confined on this machine; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Confiner:
    """What commands are confined with. Without `groups` each process has its own limits."""

    program: str
    machine: Machine
    groups: Groups | None = None
    devices: dict[str, Path] = field(default_factory=dict)


def find_program(path: str | None = None) -> str:
    """bubblewrap's file, looked for in `path` (None: $PATH). Raises SandboxUnavailable."""
    found = shutil.which(PROGRAM, path=path)
    if found is None:
        raise SandboxUnavailable(f"remote commands need bubblewrap, which is not installed; {INSTALL}")
    return found


def prepare(scratch: Path, path: str | None = None) -> Confiner:
    """Look at the machine; `scratch` is a folder for what must be made. Blocks. Raises SandboxUnavailable."""
    program = find_program(path)
    _require_version(program)
    machine = seccomp.this_machine()
    if machine is None:
        raise SandboxUnavailable("remote commands need an x86-64 or ARM64 processor (their filter of system calls)")
    try:
        devices = own_nodes(scratch / "dev")
    except NoDevices as error:
        raise SandboxUnavailable(
            f"as root, remote commands need device nodes of their own, which could not be made ({error}); "
            "run the server as an ordinary user"
        ) from error
    groups = cgroups.find()
    if groups is None and os.geteuid() == 0:
        raise SandboxUnavailable(
            "as root, remote commands need control groups (cgroups) to bound their number of processes, and none can "
            "be made here; run the server as an ordinary user"
        )
    return Confiner(program, machine, groups, devices)


def _require_version(program: str) -> None:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailable(f"bubblewrap ({program}) cannot be run: {error}; {INSTALL}") from error
    found = _VERSION.search(answer)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise SandboxUnavailable(f"{program} is too old ({answer.strip() or 'unknown version'}); {INSTALL}")
