"""Options that several verbs share, so that they are spelled and explained alike. One rule: parsing has no effect."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import click

from homeport.config.units import parse_duration, parse_size

T = TypeVar("T")

directory = click.option(
    "--dir",
    "directory",
    metavar="DIR",
    envvar="HOMEPORT_DIR",
    help="The instance folder.  [default: $HOMEPORT_DIR, else ./homeport-data]",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
overrides = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Use VALUE for a setting; may be repeated."
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


class NoLimit(enum.Enum):
    """`none` on the command line: take the limit away. Python's None means that the option was not given."""

    NONE = "none"


def parsed(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """An option's callback that runs `parse`; its ValueError becomes a usage error."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: {error}", ctx, parameter) from error

    return callback


def or_none(parse: Callable[[str], T]) -> Callable[[str], T | NoLimit]:
    """`parse`, but `none` takes a limit away."""

    def parse_or_none(text: str) -> T | NoLimit:
        if text.strip().lower() == "none":
            return NoLimit.NONE
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error}, or none") from None

    return parse_or_none


def parse_count(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a whole number from 0 up")
    return int(text)


def parse_expiry(text: str) -> float:
    """Seconds since the epoch: the end of a day such as 2027-01-31 (UTC), or such as 2027-01-31T12:00+08:00."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("not a date; write such as 2027-01-31, the last day it works") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    is_day = len(text.strip()) == len("2027-01-31")
    return (moment + timedelta(days=1) if is_day else moment).timestamp()


__all__ = [
    "NoLimit",
    "as_json",
    "directory",
    "or_none",
    "overrides",
    "parse_count",
    "parse_duration",
    "parse_expiry",
    "parse_size",
    "parsed",
    "yes",
]
