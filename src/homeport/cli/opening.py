"""How verbs get at an instance. One rule: they see the same settings as the running server, `--set` included, whatever
is in the file meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from homeport.cli.terminal import printable, say
from homeport.config.load import load
from homeport.config.model import Settings
from homeport.core.accounts import Account
from homeport.daemon.control_client import ask, tell
from homeport.daemon.errors import ControlFailed, ControlRefused, InstanceMissing, NotRunning
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services

_GONE_S = 10.0
_POLL_S = 0.05


def settings_of(instance: Instance) -> Settings:
    """The settings in force: the running server's, else the file's. Raises ConfigError."""
    try:
        return Settings.model_validate(ask(instance, "settings")["settings"])
    except (NotRunning, ControlFailed, ControlRefused):
        return load(instance.directory)


@contextmanager
def services_of(directory: str | None, *, make: bool = False) -> Iterator[Services]:
    """The instance's services for one command; with `make` the instance is made where there is none, and that is said.

    Raises InstanceMissing, ConfigError, InstanceUnusable, StateUnavailable.
    """
    instance = Instance.at(directory)
    is_new = not instance.exists
    settings = settings_of(instance)
    if is_new and not make:
        raise InstanceMissing(str(instance.directory))
    instance.create(settings)
    if is_new:
        say(f"made the instance folder {printable(str(instance.directory))}")
    with Services(instance, settings, "command") as services:
        yield services


def tell_account_changed(services: Services, account_id: int) -> None:
    """Have a running server act on the account's new record at once: new limits, or the end of its sessions."""
    tell(services.instance, "account-changed", {"account_id": account_id})


def wait_until_gone(services: Services, account: Account) -> None:
    """Wait up to some seconds until the account's sessions, which were told to end, have ended."""
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline:
        try:
            sessions = ask(services.instance, "who")["sessions"]
        except NotRunning:
            return
        if not any(session["account"] == account.name for session in sessions):
            return
        time.sleep(_POLL_S)
