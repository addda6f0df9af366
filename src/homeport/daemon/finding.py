"""What `homeport doctor` checks are given, and what they find. One rule: what is not good comes with its fix."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from homeport.config.model import Settings
from homeport.config.problems import Problem
from homeport.daemon.instance import Instance
from homeport.daemon.wire import Message


class Level(enum.IntEnum):
    """How bad it is; the number is the exit status."""

    PASS = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `fix` says what to do, and is empty when all is well."""

    check: str
    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at; `status` is the running server's, or None."""

    instance: Instance
    settings: Settings
    problems: tuple[Problem, ...]
    status: Message | None


# What a check yields: level, text, fix. The check's name comes from the table.
Result = tuple[Level, str, str]
Check = Callable[[Patient], Iterable[Result]]


def well(text: str) -> Result:
    """All is well."""
    return (Level.PASS, text, "")


def warn(text: str, fix: str) -> Result:
    """It works, but not as it should."""
    return (Level.WARN, text, fix)


def fail(text: str, fix: str) -> Result:
    """It does not work."""
    return (Level.FAIL, text, fix)
