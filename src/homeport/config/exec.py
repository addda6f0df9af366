"""Settings of remote commands: what each may use, and the commands that the administrator names."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from homeport.config.command_parameters import parse_type
from homeport.config.values import Count, Seconds, Section, Size, one_or_many

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_NO_PROGRAM = "argv begins with the program's absolute path, such as /usr/bin/du"
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no command's name: letters, digits, - and _, at most 64, a letter first")
    return name


def _check_folder(text: str) -> str:
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2 or "\0" in text:
        raise ValueError(f"{text!r} is no absolute path of a folder; write such as /opt/tools")
    return text


def _check_type(text: str) -> str:
    parse_type(text)
    return text


def _check_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv or not argv[0].startswith("/"):
        raise ValueError(_NO_PROGRAM)
    if any("\0" in argument for argument in argv):
        raise ValueError("argv holds a NUL")
    return argv


Words = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
Folder = Annotated[str, AfterValidator(_check_folder)]
CommandName = Annotated[str, AfterValidator(_check_name)]
ParameterType = Annotated[str, AfterValidator(_check_type)]


class NamedCommandSettings(Section):
    """A command that the administrator names"""

    argv: Annotated[Words, AfterValidator(_check_argv)] = ()
    """The program's absolute path and its arguments; {NAME} stands for the parameter NAME."""
    parameters: dict[str, ParameterType] = Field(default_factory=dict)
    """The parameters in the order in which they are given, each with its type."""
    accounts: Words = ()
    """Accounts that may run it though they have no --exec; "*": all."""
    network: bool = False
    """Whether it reaches the network."""

    @model_validator(mode="after")
    def _all_are_used(self) -> Self:
        if not self.argv:
            raise ValueError(_NO_PROGRAM)
        places = {name for argument in self.argv for name in _PLACE.findall(argument)}
        for name in sorted(places - set(self.parameters)):
            raise ValueError(f"argv names {{{name}}}, which is no parameter")
        for name in sorted(set(self.parameters) - places):
            raise ValueError(f"the parameter {name} stands nowhere in argv; write {{{name}}} where it belongs")
        return self


class ExecSettings(Section):
    """Remote commands (ssh alice@host COMMAND) of accounts that have --exec, each in a sandbox"""

    enabled: bool = True
    """Whether there are any."""
    network: bool = False
    """Whether commands reach the network, the server's own localhost with it."""
    folders: Annotated[tuple[Folder, ...], BeforeValidator(one_or_many)] = ()
    """Folders of the machine that commands may read, beside /usr; such as /opt/tools."""
    cpu_s: Seconds = 3600.0
    """Processor time of one command with all that it starts."""
    wall_s: Seconds = 43200.0
    """How long a command or a shell may last."""
    memory_bytes: Size = 1 << 30
    """Memory of a command; without control groups, of each of its processes."""
    processes: Count = 256
    """Processes and threads of a command at once."""
    open_files: Count = 1024
    """Open files of each process."""
    output_bytes: Size = 1 << 36
    """How much a command may say."""
    tmp_bytes: Size = 1 << 28
    """The size of a command's /tmp, which is gone with it."""
    disk_reserve_bytes: Size = 1 << 28
    """When the homes' disk has less free, commands are stopped."""
    commands_per_account: Count = 8
    """Commands and shells of one account at once, in each worker."""
    commands: dict[CommandName, NamedCommandSettings] = Field(default_factory=dict)
    """Commands by name, one table [exec.commands.NAME] each; docs/commands.md tells their keys."""


def fill(argument: str, values: dict[str, str]) -> str:
    """One element of argv with the parameters' values in their places."""
    return _PLACE.sub(lambda place: values[place[1]], argument)
