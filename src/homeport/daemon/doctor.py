"""`homeport doctor` looks at all that usually goes wrong. One rule: no check stops another, and nothing is changed.

It runs with a broken or missing configuration too: then it looks at what is left of it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from homeport.config.load import examine
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


def patient(instance: Instance, overrides: Iterable[str] = ()) -> Patient:
    """Everything that can be learned without opening the state."""
    from homeport.daemon.control_client import ask
    from homeport.daemon.errors import DaemonError

    try:
        status = ask(instance, "status", timeout_s=5.0)
        overrides = [*ask(instance, "overrides", timeout_s=5.0)["overrides"], *overrides]
    except DaemonError:
        status = None
    settings, problems = examine(instance.directory, overrides)
    return Patient(instance, settings, tuple(problems), status)


def examine_all(who: Patient) -> Iterator[Finding]:
    """Every check's findings, in the order of the table."""
    from homeport.daemon import doctor_instance, doctor_machine

    for name, check in {**doctor_instance.CHECKS, **doctor_machine.CHECKS}.items():
        yield from _run(name, check, who)


def _run(name: str, check: Check, who: Patient) -> Iterator[Finding]:
    try:
        for level, text, fix in check(who):
            yield Finding(name, level, text, fix)
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and the others must go on
        yield Finding(name, Level.FAIL, f"could not be checked: {error}", "see whether the other findings explain it")
