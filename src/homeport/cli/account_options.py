"""The options of `user add` and `user set`, and the account fields that they mean. One rule: one table for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from homeport.cli.options import NoLimit, or_none, parse_count, parse_expiry, parse_size, parsed

if TYPE_CHECKING:
    from homeport.core.account_fields import AccountFields, AccountLimits

F = TypeVar("F", bound=Callable[..., Any])

_SIZE = parsed(or_none(parse_size))
_COUNT = parsed(or_none(parse_count))
_OPTIONS = (
    click.option("--quota", "quota_bytes", metavar="SIZE|none", callback=_SIZE, help="Bytes, such as 10GiB."),
    click.option("--max-files", metavar="N|none", callback=_COUNT, help="Files, folders and links."),
    click.option("--rights", metavar="RIGHTS", help="all, read-only, upload-only, or such as list,read,write."),
    click.option("--charset", metavar="NAME|none", help="The charset of names from clients without UTF-8."),
    click.option("--max-sessions", metavar="N|none", callback=_COUNT, help="Sessions at once."),
    click.option("--upload-rate", "upload_bytes_per_s", metavar="SIZE|none", callback=_SIZE, help="Bytes a second."),
    click.option(
        "--download-rate", "download_bytes_per_s", metavar="SIZE|none", callback=_SIZE, help="Bytes a second."
    ),
    click.option(
        "--expires",
        "expires_at",
        metavar="DATE|none",
        callback=parsed(or_none(parse_expiry)),
        help="The last day it works (UTC), such as 2027-01-31.",
    ),
    click.option("--exec/--no-exec", "allow_exec", default=None, help="Whether remote commands are allowed."),
    click.option("--home", metavar="FOLDER", help="An absolute path; 'default' means homes/NAME."),
)
_LIMITS = ("max_sessions", "upload_bytes_per_s", "download_bytes_per_s")


def account_options(function: F) -> F:
    """Decorate a command with all of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fields_of(given: dict[str, Any], old_limits: AccountLimits | None = None) -> AccountFields:
    """The fields that the options name; those that were not given are left out.

    Raises click.UsageError for rights that do not exist.
    """
    from dataclasses import replace

    from homeport.core.account_fields import AccountFields, AccountLimits

    told = {name: _plain(value) for name, value in given.items() if value is not None}
    limits = {name: told.pop(name) for name in _LIMITS if name in told}
    fields: dict[str, Any] = {name: _CONVERT.get(name, _same)(value) for name, value in told.items()}
    if limits:
        fields["limits"] = replace(old_limits or AccountLimits(), **limits)
    return cast(AccountFields, fields)  # the options' names are the fields'


def _plain(value: Any) -> Any:
    return None if value is NoLimit.NONE else value


def _same(value: Any) -> Any:
    return value


def _rights(text: str) -> object:
    from homeport.core.rights import Rights

    try:
        return Rights.parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _home(text: str) -> object:
    from pathlib import Path

    return None if text == "default" else Path(text)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "rights": _rights,
    "home": _home,
    "charset": lambda text: None if text == "none" else text,
}
