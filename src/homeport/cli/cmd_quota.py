"""`homeport quota`: what accounts use, and counting it again.

One rule: the same code runs with the server up and down; the ledger's own protocol stops changes while it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.core.accounts import Account
    from homeport.core.quota import Usage
    from homeport.daemon.services import Services


@click.group(name="quota", cls=SuggestingGroup)
def command() -> None:
    """Show what accounts use, or count it again."""


@command.command()
@click.argument("name", required=False)
@options.directory
@options.as_json
def show(name: str | None, directory: str | None, as_json: bool) -> None:
    """Show what all accounts, or NAME, use of what they may."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        found = [_settled(services, account) for account in _chosen(services, name)]
    if as_json:
        for account, usage in found:
            put_json(as_object(account.name, usage))
    else:
        put_table(("NAME", "USED", "QUOTA", "FILES", "MAX"), [_row(account, usage) for account, usage in found])


@command.command()
@click.argument("name", required=False)
@options.directory
@options.as_json
def check(name: str | None, directory: str | None, as_json: bool) -> None:
    """Count the files of all accounts, or of NAME, again, and repair the ledger where it differs.

    Changes of an account wait while it is counted. The exit status is 8 when some could not be counted.
    """
    from homeport.cli.exit_codes import Exit
    from homeport.cli.opening import services_of

    failures = 0
    with services_of(directory) as services:
        for account in _chosen(services, name):
            failures += not _check(services, account, as_json)
    if failures:
        raise click.exceptions.Exit(Exit.OTHER if name else Exit.PARTIAL)


def _check(services: Services, account: Account, as_json: bool) -> bool:
    """Whether it could be counted."""
    from homeport.core.errors import HomeportError

    try:
        drift = services.recount(account).drift
    except HomeportError as error:
        say(f"{printable(account.name)}: {printable(str(error))}")
        if as_json:
            put_json({"name": account.name, "error": str(error)})
        return False
    usage = services.ledger.usage(account.id)
    if as_json:
        put_json(as_object(account.name, usage) | {"drift_bytes": drift.bytes, "drift_files": drift.files})
    elif drift.bytes or drift.files:
        say(f"{printable(account.name)}: repaired, off by {drift.bytes} bytes and {drift.files} files")
    else:
        say(f"{printable(account.name)}: right, {usage.used_bytes} bytes in {usage.used_files} files")
    return True


def _chosen(services: Services, name: str | None) -> Iterator[Account]:
    if name is None:
        yield from services.accounts.all()
    else:
        yield services.accounts.get(name)


def _settled(services: Services, account: Account) -> tuple[Account, Usage]:
    """What is used right now: every worker gives back what it has not spent first."""
    services.ledger.recall(account.id)
    return account, services.ledger.usage(account.id)


def as_object(name: str, usage: Usage) -> dict[str, object]:
    """An account's use as `--json` shows it."""
    return {
        "name": name,
        "used_bytes": usage.used_bytes,
        "quota_bytes": usage.quota_bytes,
        "used_files": usage.used_files,
        "max_files": usage.max_files,
    }


def _row(account: Account, usage: Usage) -> tuple[str, ...]:
    from homeport.config.units import human_size

    quota = "none" if usage.quota_bytes is None else human_size(usage.quota_bytes)
    most = "none" if usage.max_files is None else str(usage.max_files)
    return (account.name, human_size(usage.used_bytes), quota, str(usage.used_files), most)
