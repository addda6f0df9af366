"""`homeport user stages`: what came of uploads that did not end, with the server up or down.

One rule: what is thrown away is given back to the account's quota in the same step; an upload under way stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from homeport.cli import options
from homeport.cli.lazy import SuggestingGroup
from homeport.cli.terminal import printable, put_json, put_table, say

if TYPE_CHECKING:
    from homeport.core.accounts import Account
    from homeport.core.stages import StageRecord
    from homeport.daemon.services import Services

_ID_LENGTH = 16  # of a stage's name, which is a SHA-256


@click.group(name="stages", cls=SuggestingGroup)
def command() -> None:
    """Show and drop unfinished uploads.

    They count against the quota until they are continued, dropped, or too old.
    """


@command.command(name="list")
@click.argument("name", required=False)
@options.directory
@options.as_json
def list_(name: str | None, directory: str | None, as_json: bool) -> None:
    """Show the unfinished uploads of an account, or of all; names of files are not kept with them."""
    from homeport.cli.opening import services_of

    with services_of(directory) as services:
        accounts = services.accounts.all() if name is None else [services.accounts.get(name)]
        found = [(account, stage) for account in accounts for stage in services.stages.of(account.id)]
    found.sort(key=lambda pair: pair[1].mtime_ns)
    if as_json:
        for account, stage in found:
            put_json(as_object(account, stage))
    elif not found:
        say("there are no unfinished uploads")
    else:
        put_table(("ID", "ACCOUNT", "SIZE", "LAST BYTE"), [_row(*pair) for pair in found])


@command.command()
@click.argument("name")
@click.argument("which", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of the account's, in place of WHICH.")
@options.directory
@options.as_json
def drop(name: str, which: tuple[str, ...], everything: bool, directory: str | None, as_json: bool) -> None:
    """Throw away an account's unfinished uploads: WHICH are ids, beginnings of ids, or paths such as /film.bin."""
    from homeport.cli.opening import services_of

    if bool(which) == everything:
        raise click.UsageError("name the uploads to throw away, or give --all; see `homeport user stages list`")
    with services_of(directory) as services:
        account = services.accounts.get(name)
        stages = services.stages.of(account.id)
        chosen = stages if everything else [_find(stages, wanted) for wanted in which]
        dropped = [stage for stage in chosen if _drop(services, account, stage)]
    if as_json:
        for stage in dropped:
            put_json({"event": "dropped"} | as_object(account, stage))
    else:
        say(f"dropped {len(dropped)} unfinished uploads of {printable(account.name)}")


def as_object(account: Account, stage: StageRecord) -> dict[str, object]:
    """An unfinished upload as `--json` shows it."""
    return {"id": stage.name, "account": account.name, "size": stage.size, "last_byte_at": _time(stage)}


def _find(stages: list[StageRecord], wanted: str) -> StageRecord:
    from homeport.core.paths import ROOT
    from homeport.core.stages import stage_name

    beginning = stage_name(ROOT.join(wanted)) if wanted.startswith("/") else wanted.lower()
    found = [stage for stage in stages if stage.name.startswith(beginning)]
    if len(found) != 1:
        what = "no unfinished upload is" if not found else "more than one unfinished upload is"
        raise click.UsageError(f"{what} called {printable(wanted)}; see `homeport user stages list`")
    return found[0]


def _drop(services: Services, account: Account, stage: StageRecord) -> bool:
    """Whether it is gone; what is under way is told."""
    gone = services.drop_stage(account, stage.name)
    if gone is None:
        say(f"{stage.name[:_ID_LENGTH]} is under way and stays; `homeport kick` ends its session")
    return gone is not None


def _row(account: Account, stage: StageRecord) -> tuple[str, ...]:
    from homeport.config.units import human_size

    return (stage.name[:_ID_LENGTH], printable(account.name), human_size(stage.size), _time(stage))


def _time(stage: StageRecord) -> str:
    return datetime.fromtimestamp(stage.mtime_ns / 1e9, UTC).isoformat(timespec="seconds")
