"""`homeport user`: administration of accounts, with the server up or down.

One rule: the database is changed first; then a running server is told, so that the change takes effect at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from homeport.cli import options
from homeport.cli.account_options import account_options, fields_of
from homeport.cli.cmd_user_key import command as key_command
from homeport.cli.cmd_user_stages import command as stages_command
from homeport.cli.cmd_user_token import command as token_command
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.core.accounts import Account
    from homeport.core.quota import Usage
    from homeport.daemon.services import Services


@click.group(name="user", cls=SuggestingGroup)
def command() -> None:
    """Make, change and remove accounts; with the server up or down, effective at once."""


command.add_command(key_command)
command.add_command(token_command)
command.add_command(stages_command)

password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password's line from standard input.")
generate = click.option("--generate", is_flag=True, help="Make a password and show it, once.")
name_argument = click.argument("name")


@command.command()
@name_argument
@password_stdin
@generate
@account_options
@options.directory
@options.as_json
def add(name: str, password_stdin: bool, generate: bool, directory: str | None, as_json: bool, **given: Any) -> None:
    """Make an account with an empty home."""
    from homeport.cli.new_password import obtain
    from homeport.cli.opening import services_of

    fields = fields_of(given)
    password = obtain(name, from_stdin=password_stdin, generated=generate)
    with services_of(directory, make=True) as services:
        account = services.accounts.create(name, password, **fields)
        if fields.get("home") is not None:  # it may have files already
            services.recount(account)
    _report("made", account, as_json, password=password if generate else None)


@command.command(name="set")
@name_argument
@account_options
@options.directory
@options.as_json
def set_(name: str, directory: str | None, as_json: bool, **given: Any) -> None:
    """Change an account's limits and rights; what is not named stays."""
    from homeport.cli.opening import services_of, tell_account_changed

    with services_of(directory) as services:
        before = services.accounts.get(name)
        fields = fields_of(given, before.limits)
        if not fields:
            raise click.UsageError("nothing to change was named; see `homeport user set --help`")
        account = services.accounts.update(name, **fields)
        services.ledger.limits_changed(account.id)
        tell_account_changed(services, account.id)
        if account.home != before.home:
            services.recount(account)
    _report("changed", account, as_json)


@command.command()
@name_argument
@password_stdin
@generate
@options.directory
@options.as_json
def passwd(name: str, password_stdin: bool, generate: bool, directory: str | None, as_json: bool) -> None:
    """Give an account a new password; its sessions end."""
    from homeport.cli.new_password import obtain
    from homeport.cli.opening import services_of, tell_account_changed

    with services_of(directory) as services:
        services.accounts.get(name)  # before somebody types a password for nobody
        password = obtain(name, from_stdin=password_stdin, generated=generate)
        account = services.accounts.set_password(name, password)
        tell_account_changed(services, account.id)
    _report("gave a new password to", account, as_json, password=password if generate else None)


@command.command(name="list")
@options.directory
@options.as_json
def list_(directory: str | None, as_json: bool) -> None:
    """Show all accounts."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        found = [(account, services.ledger.usage(account.id)) for account in services.accounts.all()]
    if as_json:
        for account, usage in found:
            put_json(as_object(account, usage))
    elif not found:
        say("there is no account yet; `homeport user add NAME` makes one")
    else:
        put_table(("NAME", "STATE", "RIGHTS", "USED", "QUOTA", "FILES", "MAX"), [_row(*pair) for pair in found])


@command.command()
@name_argument
@options.directory
@options.as_json
def show(name: str, directory: str | None, as_json: bool) -> None:
    """Show one account."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        account = services.accounts.get(name)
        shown = as_object(account, services.ledger.usage(account.id))
    if as_json:
        put_json(shown)
        return
    for key, value in shown.items():
        put(f"{key}: {printable(_plain(value))}")


@command.command()
@name_argument
@options.directory
@options.as_json
def enable(name: str, directory: str | None, as_json: bool) -> None:
    """Let an account log in again."""
    _switch(name, directory, as_json, enabled=True)


@command.command()
@name_argument
@options.directory
@options.as_json
def disable(name: str, directory: str | None, as_json: bool) -> None:
    """Keep an account out and end its sessions; its files stay."""
    _switch(name, directory, as_json, enabled=False)


@command.command()
@name_argument
@click.option("--delete-files", is_flag=True, help="Delete the home and everything in it, too.")
@options.yes
@options.directory
@options.as_json
def remove(name: str, delete_files: bool, yes: bool, directory: str | None, as_json: bool) -> None:
    """Remove an account and end its sessions. Its files stay unless --delete-files."""
    from homeport.cli.opening import services_of, tell_account_changed, wait_until_gone

    with services_of(directory) as services:
        account = services.accounts.get(name)
        if delete_files and not yes:
            _confirm_deletion(services, account)
        # First nobody may be inside any more: sessions would go on writing into a home that is being deleted.
        services.accounts.update(name, enabled=False)
        tell_account_changed(services, account.id)
        wait_until_gone(services, account)
        services.remove(account, keep_files=not delete_files)
    _report("removed", account, as_json)
    if not as_json:
        say("its files are deleted" if delete_files else f"its files stay in {printable(str(account.home))}")


def _switch(name: str, directory: str | None, as_json: bool, *, enabled: bool) -> None:
    from homeport.cli.opening import services_of, tell_account_changed

    with services_of(directory) as services:
        account = services.accounts.update(name, enabled=enabled)
        tell_account_changed(services, account.id)
    _report("enabled" if enabled else "disabled", account, as_json)


def _confirm_deletion(services: Services, account: Account) -> None:
    import sys

    from homeport.config.units import human_size

    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask whether the files may be deleted; add --yes")
    usage = services.ledger.usage(account.id)
    amount = f"{usage.used_files} files, {human_size(usage.used_bytes)}"
    click.confirm(f"Delete {printable(str(account.home))} ({amount}) for good?", abort=True, err=True)


def _report(deed: str, account: Account, as_json: bool, password: str | None = None) -> None:
    if as_json:
        put_json(as_object(account) | ({} if password is None else {"password": password}))
        return
    say(f"{deed} {printable(account.name)}")
    if password is not None:
        put(f"password: {password}")


def as_object(account: Account, usage: Usage | None = None) -> dict[str, object]:
    """An account as `--json` shows it; sizes in bytes, null for no limit."""
    limits = account.limits
    shown: dict[str, object] = {
        "name": account.name,
        "enabled": account.enabled,
        "rights": str(account.rights),
        "quota_bytes": account.quota_bytes,
        "max_files": account.max_files,
        "expires_at": None
        if account.expires_at is None
        else datetime.fromtimestamp(account.expires_at, UTC).isoformat(),
        "max_sessions": limits.max_sessions,
        "upload_bytes_per_s": limits.upload_bytes_per_s,
        "download_bytes_per_s": limits.download_bytes_per_s,
        "charset": account.charset,
        "exec": account.allow_exec,
        "home": str(account.home),
    }
    return shown | ({} if usage is None else {"used_bytes": usage.used_bytes, "used_files": usage.used_files})


def _row(account: Account, usage: Usage) -> tuple[str, ...]:
    from homeport.config.units import human_size

    quota = "none" if account.quota_bytes is None else human_size(account.quota_bytes)
    most = "none" if account.max_files is None else str(account.max_files)
    used = human_size(usage.used_bytes)
    return (account.name, _state(account), str(account.rights), used, quota, str(usage.used_files), most)


def _state(account: Account) -> str:
    if not account.enabled:
        return "disabled"
    expired = account.expires_at is not None and account.expires_at <= datetime.now(UTC).timestamp()
    return "expired" if expired else "enabled"


def _plain(value: object) -> str:
    words = {None: "none", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
