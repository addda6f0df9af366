"""`homeport user key`: the public keys that open an account through SSH, with the server up or down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.core.ssh_keys import SshKey


@click.group(name="key", cls=SuggestingGroup)
def command() -> None:
    """Public keys that open an account through SSH."""


@command.command()
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@options.directory
@options.as_json
def add(name: str, file: IO[str], directory: str | None, as_json: bool) -> None:
    """Let the keys in FILE (such as ~/.ssh/id_ed25519.pub; - or nothing: standard input) open an account.

    A line may begin with from="ADDRESS,NETWORK/BITS", which bounds from where its key may be used.
    """
    from homeport.cli.opening import services_of

    lines = [line for line in file.read().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise click.UsageError(
            "there is no key in it; a public key looks like: ssh-ed25519 AAAAC3NzaC1lZDI1... name@machine"
        )
    with services_of(directory) as services:
        account = services.accounts.get(name)
        for line in lines:
            _report("added", account.name, services.keys.add(account, line), as_json)


@command.command(name="list")
@click.argument("name")
@options.directory
@options.as_json
def list_(name: str, directory: str | None, as_json: bool) -> None:
    """Show an account's keys."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        keys = services.keys.of(services.accounts.get(name).id)
    if as_json:
        for key in keys:
            put_json(as_object(key))
    elif not keys:
        say(f"{printable(name)} has no key; `homeport user key add {printable(name)} FILE` adds one")
    else:
        put_table(("FINGERPRINT", "TYPE", "COMMENT", "FROM", "ADDED", "USED"), [_row(key) for key in keys])


@command.command()
@click.argument("name")
@click.argument("key")
@options.directory
@options.as_json
def remove(name: str, key: str, directory: str | None, as_json: bool) -> None:
    """Remove a key: its fingerprint, the beginning of it, or its comment. Sessions under way go on."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        account = services.accounts.get(name)
        removed = services.keys.remove(account, key)
    _report("removed", account.name, removed, as_json)


def as_object(key: SshKey) -> dict[str, object]:
    """A key as `--json` shows it; times in ISO 8601, null for never."""
    return {
        "fingerprint": key.fingerprint,
        "type": key.key.type,
        "comment": key.key.comment,
        "from": list(key.key.sources),
        "created_at": _time(key.created_at),
        "used_at": None if key.used_at is None else _time(key.used_at),
    }


def _row(key: SshKey) -> tuple[str, ...]:
    used = "never" if key.used_at is None else _time(key.used_at)
    sources = ",".join(key.key.sources) or "everywhere"
    return (key.fingerprint, key.key.type, printable(key.key.comment), sources, _time(key.created_at), used)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _report(deed: str, name: str, key: SshKey, as_json: bool) -> None:
    if as_json:
        put_json({"event": deed, "account": name} | as_object(key))
    else:
        say(f"{deed} {key.fingerprint} ({key.key.type}) of {printable(name)}")
