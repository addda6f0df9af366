"""Where a password comes from, and where one is kept between two commands.

The one rule: never from the command line, never in a file that others can read, never behind a mask that pretends to be
encryption. The system's keyring is first choice; where there is none, a file of mode 0600, and the person is told so.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO, cast

from homeport.client.errors import LocalFailed, UsageError
from homeport.client.private_file import replace_private
from homeport.client.toml_text import toml_string
from homeport.client.url import RemoteUrl

VARIABLE = "HOMEPORT_PASSWORD"
_SERVICE = "homeport"
_MAX_CHARACTERS = 4096
_COMMAND_WITHIN_S = 60
_HEAD = "# Passwords kept by `homeport login`, readable for this account alone. `homeport logout` removes them.\n"


class Keyring(Protocol):
    """What is used of the `keyring` package."""

    def get_password(self, service: str, name: str, /) -> str | None: ...

    def set_password(self, service: str, name: str, password: str, /) -> None: ...

    def delete_password(self, service: str, name: str, /) -> None: ...


def system_keyring() -> Keyring | None:
    """The keyring of this system, or None: the package is optional, and headless systems have no backend."""
    try:
        keyring = importlib.import_module("keyring")
        nothing = importlib.import_module("keyring.backends.fail").Keyring
    except ImportError:
        return None
    return None if isinstance(keyring.get_keyring(), nothing) else cast(Keyring, keyring)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where to look, in this order; `stdin` is given only where `--password-stdin` was."""

    stdin: TextIO | None = None
    environment: Mapping[str, str]
    command: Sequence[str] = ()
    store: SecretStore | None = None


def find_password(url: RemoteUrl, sources: Sources) -> str | None:
    """The first password that there is; None when somebody has to be asked. Raises UsageError, LocalFailed."""
    if sources.stdin is not None:
        return _first_line(sources.stdin.readline(_MAX_CHARACTERS + 2), "standard input")
    if sources.environment.get(VARIABLE):
        return sources.environment[VARIABLE]
    if sources.command:
        return _from_command(sources.command)
    return sources.store.get(account_of(url)) if sources.store is not None else None


def account_of(url: RemoteUrl) -> str:
    """What a password belongs to: the server and the account, not the path."""
    return str(url.with_path("/")).removesuffix("/")


def _first_line(text: str, whence: str) -> str:
    line = text.partition("\n")[0].removesuffix("\r")
    if not line:
        raise UsageError(f"{whence} holds no password")
    if len(line) > _MAX_CHARACTERS:
        raise UsageError(f"{whence}: a password has at most {_MAX_CHARACTERS} characters")
    return line


def _from_command(command: Sequence[str]) -> str:
    import subprocess  # few have such a command

    name = command[0]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_COMMAND_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise LocalFailed(f"password_command: {name} gave no password: {failure}") from failure
    if done.returncode != 0:
        raise LocalFailed(f"password_command: {name} ended with status {done.returncode}")
    return _first_line(done.stdout.decode("utf-8", "surrogateescape"), f"what {name} printed")


class SecretStore:
    """Passwords that `login` keeps: in the keyring, else in the file."""

    def __init__(self, path: Path, keyring: Callable[[], Keyring | None] = system_keyring) -> None:
        self.path = path
        self._keyring = keyring  # asked for late: it is slow to load, and most commands need no secret

    def get(self, account: str) -> str | None:
        """The password of `account` (see `account_of`), or None. Raises LocalFailed for a file that others can read."""
        kept = self._read().get(account)
        if kept is not None:
            return kept
        keyring = self._keyring()
        if keyring is not None:
            with contextlib.suppress(Exception):  # backends raise whatever they like; the person is asked instead
                return keyring.get_password(_SERVICE, account)
        return None

    def keep(self, account: str, password: str, *, what: str = "the password") -> str:
        """Keep it, and say where in a sentence for the person, who calls it `what`."""
        keyring = self._keyring()
        if keyring is not None:
            try:
                keyring.set_password(_SERVICE, account, password)
                return f"{what} is kept in this system's keyring"
            except Exception as failure:  # noqa: BLE001 - a locked or broken keyring; said, and the file is used
                why = f"the keyring refused ({failure})"
        else:
            why = "this system has no keyring"
        self._write({**self._read(), account: password})
        return f"{why}, so {what} is kept in {self.path}, unencrypted and readable for your account alone"

    def forget(self, account: str) -> bool:
        """Whether there was one; there is none any more."""
        kept = self._read()
        was_kept = kept.pop(account, None) is not None
        if was_kept:
            self._write(kept)
        keyring = self._keyring()
        if keyring is not None:
            with contextlib.suppress(Exception):  # it had none
                keyring.delete_password(_SERVICE, account)
                was_kept = True
        return was_kept

    def _read(self) -> dict[str, str]:
        try:
            with open(self.path, encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                    raise LocalFailed(f"{self.path} holds passwords and others can read it; chmod 600 it")
                tables = tomllib.loads(file.read())
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
            raise LocalFailed(f"{self.path} cannot be read: {failure}") from failure
        return {account: str(table["password"]) for account, table in tables.items() if "password" in table}

    def _write(self, kept: Mapping[str, str]) -> None:
        try:
            tables = [f"[{toml_string(name)}]\npassword = {toml_string(kept[name])}\n" for name in sorted(kept)]
        except UnicodeEncodeError:
            raise UsageError("a password that is no UTF-8 text cannot be kept; give it with --password-stdin") from None
        replace_private(self.path, "\n".join([_HEAD, *tables]))
