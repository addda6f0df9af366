"""Runs a job of the transfer engine for a person: draws it, and says what to do when it did not end well.

One rule: the exit status tells how it went: the error that ended it, the error of the only file, or 8 for some of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from homeport.cli.clock_check import ClockCheck
from homeport.cli.exit_codes import Exit
from homeport.cli.terminal import say
from homeport.client.places import state_folder

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.cli.connection_options import Moving
    from homeport.cli.progress import Drawing
    from homeport.client.engine import Engine
    from homeport.client.events import Notify, Summary
    from homeport.client.items import Item
    from homeport.client.url import RemoteUrl

KEPT = "what was transferred is kept; the same command goes on from there"

Items = Callable[["Engine"], Iterable["Item"]]


def engine_for(connector: Connector, url: RemoteUrl, moving: Moving, notify: Notify) -> Engine:
    """An engine for the server of `url`, which keeps what is unfinished where the next process finds it."""
    from homeport.client.engine import Engine
    from homeport.client.options import TransferOptions

    options = TransferOptions(jobs=connector.jobs_for(url, moving), state_folder=state_folder() / "uploads")
    origin = f"{url.scheme}://{connector.user_of(url)}@{url.server.partition('://')[2]}"
    return Engine(connector.dialer(url), notify, options, origin=origin)


def transfer(connector: Connector, url: RemoteUrl, moving: Moving, drawing: Drawing, items: Items) -> None:
    """Do `items` and draw it. Raises the error that ended it; click's Exit(8) when some of many failed."""
    from homeport.cli.transfer_items import Counter

    with ExitStack() as stack:
        engine = stack.enter_context(engine_for(connector, url, moving, drawing.hear))
        with engine.borrow():
            pass  # the first connection is made here, where questions can be asked
        clocks = ClockCheck(connector, url)
        stack.enter_context(drawing)
        try:
            summary = engine.run(Counter(engine).through(items(engine)))
        except BaseException as end:
            if not isinstance(end, Exception):
                stack.close()
                say(KEPT)
            raise
    clocks.report()
    settle(summary)


def settle(summary: Summary) -> None:
    """Raises what a job that was not clean means."""
    if summary.verdict is not None:
        raise summary.verdict
    if summary.failures:
        raise click.exceptions.Exit(int(Exit.PARTIAL))
    if summary.stopped:
        raise KeyboardInterrupt
