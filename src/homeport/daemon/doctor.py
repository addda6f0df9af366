"""`homeport doctor` looks at all that usually goes wrong. One rule: no check stops another, and nothing is changed.

It runs with a broken or missing configuration too: then it looks at what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from homeport.config.load import examine
from homeport.daemon import doctor_commands, doctor_instance, doctor_machine
from homeport.daemon.finding import Check, Finding, Level, Patient
from homeport.daemon.instance import Instance


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
    for name, check in {**doctor_instance.CHECKS, **doctor_machine.CHECKS, **doctor_commands.CHECKS}.items():
        yield from _run(name, check, who)


def _run(name: str, check: Check, who: Patient) -> Iterator[Finding]:
    try:
        for level, text, fix in check(who):
            yield Finding(name, level, text, fix)
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and the others must go on
        yield Finding(name, Level.FAIL, f"could not be checked: {error}", "see whether the other findings explain it")
