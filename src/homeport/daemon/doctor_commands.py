"""Whether remote commands can be run here: doctor tries one. One rule: the trial leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from homeport.daemon.finding import Check, Patient, Result, warn, well

if TYPE_CHECKING:
    from homeport.servers.sandbox.bubblewrap import Confiner

_FIX = "mend it, or set exec.enabled = false"


def _commands(who: Patient) -> Iterator[Result]:
    from homeport.servers.sandbox.bubblewrap import INSTALL, SandboxUnavailable, find_program, prepare
    from homeport.servers.sandbox.launch import LaunchFailed

    if not who.settings.exec.enabled:
        yield well("remote commands are switched off")
        return
    try:
        find_program()
    except SandboxUnavailable:
        yield warn("remote commands are refused: there is no bubblewrap", INSTALL)
        return
    directory = who.instance.directory if who.instance.directory.is_dir() else None
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=directory) as folder:
            confiner = prepare(Path(folder))
            yield from _trial(Path(folder), confiner)
    except (SandboxUnavailable, LaunchFailed, OSError) as error:
        yield warn(f"remote commands are refused: {error}", _FIX)


def _trial(folder: Path, confiner: Confiner) -> Iterator[Result]:
    from homeport.servers.sandbox.environment import PATH
    from homeport.servers.sandbox.launch import Order, status_of
    from homeport.servers.sandbox.view import View

    home = folder / "home"
    home.mkdir()
    seen = View(name="doctor", home=home, devices=confiner.devices)
    status = status_of(confiner, Order(argv=("true",), environment={"PATH": PATH}, view=seen))
    if status != 0:
        yield warn(f"a command in the sandbox failed with status {status}", _FIX)
        return
    bounds = "control groups" if confiner.groups else "limits of each process; no control groups can be made here"
    yield well(f"remote commands are confined by bubblewrap and bounded by {bounds}")
    if _is_root():
        yield warn("remote commands run as root without its privileges", "run the server as an ordinary user")


def _is_root() -> bool:
    return os.geteuid() == 0


CHECKS: dict[str, Check] = {"remote commands": _commands}
