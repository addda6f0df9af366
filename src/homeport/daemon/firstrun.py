"""What a fresh instance gets: settings file, certificate, one account. One rule: nothing that exists is replaced."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from homeport.config.model import Settings, TlsSettings
from homeport.config.render import render
from homeport.core.account_names import clean_name
from homeport.core.accounts import Accounts
from homeport.core.errors import AccountExists
from homeport.daemon.errors import StartFailed
from homeport.daemon.instance import Instance

_FALLBACK_NAME = "user"
_UNFRIENDLY = frozenset({"root", "nobody"})


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """The account that was made; its password is told once and kept nowhere."""

    name: str
    password: str


def write_settings_file(instance: Instance) -> bool:
    """Make homeport.toml with every default as a comment; whether there was none."""
    try:
        fd = os.open(instance.config_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(render(Settings()))
    return True


def make_certificate(instance: Instance, settings: Settings) -> bool:
    """Make the self-signed pair where the settings leave the files at their defaults and both are missing.

    Returns whether it did. Raises StartFailed.
    """
    certificate, key = instance.path(settings.tls.certificate), instance.path(settings.tls.key)
    if certificate.exists() and key.exists():
        return False
    if settings.tls != TlsSettings():
        missing = key if certificate.exists() else certificate
        raise StartFailed(f"{missing} does not exist, and tls.certificate or tls.key names it; put it there")
    from homeport.daemon.certificate import make_self_signed

    listen = [address for address in settings.ftp.listen if not address.startswith("unix:")]
    public = settings.ftp.public_address
    named = list(public.values()) if isinstance(public, dict) else [public] if public else []
    try:
        make_self_signed(certificate, key, [*listen, *named])
    except OSError as error:
        raise StartFailed(f"no certificate can be made: {error.strerror} ({error.filename})") from error
    return True


def make_first_account(accounts: Accounts, password: str) -> FirstAccount | None:
    """Make an account with `password` where there is none at all; None where there is one."""
    name = account_name_of_user()
    try:
        accounts.create(name, password)
    except AccountExists:  # another process was faster
        return None
    return FirstAccount(name, password)


def account_name_of_user() -> str:
    """This system user's name, where an account can have it and it is nobody special."""
    try:
        name = clean_name(pwd.getpwuid(os.geteuid()).pw_name)
    except (KeyError, ValueError):  # a container's user without a name, or one that no account can have
        return _FALLBACK_NAME
    return _FALLBACK_NAME if name in _UNFRIENDLY else name
