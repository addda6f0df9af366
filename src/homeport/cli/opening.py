"""How verbs get at an instance. One rule: they see the same settings as the running server, `--set` included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeport.config.load import load
from homeport.config.model import Settings
from homeport.daemon.control_client import ask, tell
from homeport.daemon.errors import ControlFailed, ControlRefused, NotRunning
from homeport.daemon.instance import Instance
from homeport.daemon.services import Services


def settings_of(instance: Instance) -> Settings:
    """The settings in force: the file's, and what the running server was started with on top. Raises ConfigError."""
    try:
        overrides = ask(instance, "overrides")["overrides"]
    except (NotRunning, ControlFailed, ControlRefused):
        overrides = []
    return load(instance.directory, overrides)


@contextmanager
def services_of(directory: str | None) -> Iterator[Services]:
    """The instance's services for one command. Raises ConfigError, InstanceUnusable, StateUnavailable."""
    instance = Instance.at(directory)
    settings = settings_of(instance)
    instance.create(settings)
    with Services(instance, settings, "command") as services:
        yield services


def tell_account_changed(services: Services, account_id: int) -> None:
    """Have a running server act on the account's new record at once: new limits, or the end of its sessions."""
    tell(services.instance, "account-changed", {"account_id": account_id})
