"""`homeport time`: what time a server has, or how far this machine's clock is from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.terminal import printable, put, put_json, say

if TYPE_CHECKING:
    from homeport.client.time_query import Place
    from homeport.protocols.ntp import Measurement


@click.command(name="time")
@click.argument("host", metavar="HOST[:PORT]")
@click.argument("form", metavar="[FORMAT]", required=False)
@click.option("--offset", is_flag=True, help="Compare this machine's clock with the server's; sets no clock.")
@options.as_json
def command(host: str, form: str | None, offset: bool, as_json: bool) -> None:
    """Show a server's time, such as `homeport time HOST '@Asia/Shanghai %H:%M'`.

    FORMAT is strftime's; with @ZONE and a space in front the time is that zone's.
    """
    from homeport.client.time_query import ask_text, measure_offset, parse_place

    place = parse_place(host)
    if not offset:
        text = ask_text(place, form or "")
        put_json({"time": text}) if as_json else put(_lines(text))
        return
    if form is not None:
        raise click.UsageError("a FORMAT is for the time itself; leave it out with --offset")
    _show(place, measure_offset(place), as_json=as_json)


def _lines(text: str) -> str:
    """The server's text, made safe line by line; %n and %t are the user's own wish."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def _show(place: Place, found: Measurement, *, as_json: bool) -> None:
    error_s = found.delay_s / 2
    if as_json:
        put_json(
            {
                "offset_s": found.offset_s,
                "error_s": error_s,
                "delay_s": found.delay_s,
                "stratum": found.stratum,
                "synchronised": found.synchronised,
                "dispersion_s": found.dispersion_s,
            }
        )
    else:
        put(f"offset {found.offset_s:+.6f} s +/- {error_s:.6f} s, delay {found.delay_s:.6f} s, stratum {found.stratum}")
    if not found.synchronised:
        say(f"{printable(str(place))} says that nothing keeps its own clock right; it may be the one that is wrong")
