"""Which program a request runs: a command that the administrator named, or a shell with what the account wrote.

The one rule: parameters of a named command never meet a shell. The request is split into words, each word is one
parameter, each parameter has a type, and the result is a list that the kernel gets as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeport.config.command_parameters import MAX_VALUE_LENGTH, Read
from homeport.config.exec import fill
from homeport.core.account_names import name_key

EVERYBODY = "*"
_MAX_COMMAND_BYTES = 100_000  # one argument has less than 128 KiB (execve(2))


class CommandRefused(Exception):
    """The account may not run this, or it is no command; the text says why."""


@dataclass(frozen=True, slots=True)
class NamedCommand:
    """A command that the administrator named; `parameters` in the order in which they are given."""

    argv: tuple[str, ...]
    parameters: tuple[tuple[str, Read], ...] = ()
    accounts: frozenset[str] = frozenset()
    network: bool = False

    def is_open_to(self, account: str) -> bool:
        """Whether it may be run by the account of this name without any further right."""
        return EVERYBODY in self.accounts or name_key(account) in self.accounts

    def filled(self, name: str, values: Sequence[str], home: str) -> tuple[str, ...]:
        """The argument list with these values; `home` is the home's name in the sandbox. Raises CommandRefused."""
        names = [known for known, _ in self.parameters]
        if len(values) != len(names):
            raise CommandRefused(f"usage: {' '.join([name, *map(str.upper, names)])}")
        read: dict[str, str] = {}
        for (parameter, reader), value in zip(self.parameters, values, strict=True):
            try:
                if len(value) > MAX_VALUE_LENGTH or "\0" in value or "\n" in value:
                    raise ValueError("it is too long, or has a line break")
                read[parameter] = reader(value, home)
            except ValueError as error:
                raise CommandRefused(f"{name}: {parameter}: {error}") from error
        return tuple(fill(argument, read) for argument in self.argv)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be run."""

    argv: tuple[str, ...]
    network: bool
    named: bool


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks: the account's name, whether it has a free shell, and what that shell is; its home in the sandbox."""

    account: str
    free: bool
    shell: str
    home: str


def choose(text: str | None, asking: Asking, commands: Mapping[str, NamedCommand], *, network: bool) -> Chosen:
    """What the request `text` (None: a shell to work in) runs; `network` is for what a shell runs.

    Raises CommandRefused.
    """
    if text is not None and ("\0" in text or len(text.encode("utf-8", "surrogateescape")) > _MAX_COMMAND_BYTES):
        raise CommandRefused(f"a command has at most {_MAX_COMMAND_BYTES} bytes and no NUL")
    words = _words(text, strict=not asking.free)
    named = commands.get(words[0]) if words else None
    if named is not None and (asking.free or named.is_open_to(asking.account)):
        return Chosen(named.filled(words[0], words[1:], asking.home), named.network, named=True)
    if not asking.free:
        raise CommandRefused(_what_may_be_run(asking.account, commands))
    return Chosen((asking.shell, *(("-l",) if text is None else ("-c", text))), network, named=False)


def _words(text: str | None, *, strict: bool) -> list[str]:
    try:
        return shlex.split(text or "")
    except ValueError as error:
        if strict:
            raise CommandRefused(f"the command cannot be read: {str(error).lower()}") from error
        return []


def _what_may_be_run(account: str, commands: Mapping[str, NamedCommand]) -> str:
    own = sorted(name for name, command in commands.items() if command.is_open_to(account))
    if own:
        return f"this account may run these commands only: {', '.join(own)}"
    return "remote commands are not allowed for this account; ask the administrator (homeport user set NAME --exec)"
