"""Runs one sync for a person: scan, show, ask, carry out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeport.cli.progress import Drawing, words_of
from homeport.cli.terminal import printable, put, put_json, say
from homeport.cli.transferring import KEPT, engine_for, settle
from homeport.client.errors import SafetyRefused
from homeport.client.events import Event, JobDone, JobStarted, Scanned
from homeport.client.sync import Direction, Sync, SyncOptions
from homeport.client.sync_plan import Act, Plan, Step

if TYPE_CHECKING:
    from homeport.cli.connecting import Connector
    from homeport.cli.connection_options import Moving
    from homeport.client.url import RemoteUrl

SHOWN = 20
_REMOVES = (Act.REMOVE_FILE, Act.REMOVE_FOLDER)

Ends = tuple["RemoteUrl", Path, Direction]


class SyncRun:
    """One sync. `as_json` puts the plan and the events on standard output as objects."""

    def __init__(self, connector: Connector, moving: Moving, drawing: Drawing, *, as_json: bool) -> None:
        self._connector = connector
        self._moving = moving
        self._drawing = drawing
        self._as_json = as_json
        self._is_planning = True

    def go(self, ends: Ends, wishes: SyncOptions, *, dry_run: bool, yes: bool) -> None:
        """All of it. Raises SafetyRefused, and what ended it otherwise."""
        url, local, direction = ends
        with ExitStack() as stack:
            engine = stack.enter_context(engine_for(self._connector, url, self._moving, self._hear))
            with engine.borrow():
                pass  # the first connection is made here, where questions can be asked
            sync = Sync(engine, local, url.path, direction, wishes)
            plan = sync.plan()
            for problem in plan.blocked:
                say(printable(f"{'/'.join(problem.segments)}: {problem.reason}"))
            if dry_run:
                self._show_all(plan)
                return
            if not plan.steps:
                self._nothing(plan)
                return
            if plan.deletes and not yes:
                _ask(plan)
            self._carry_out(sync, plan, stack)

    def _carry_out(self, sync: Sync, plan: Plan, stack: ExitStack) -> None:
        self._is_planning = False
        stack.enter_context(self._drawing)
        self._hear(Scanned(len(plan.transfers), plan.bytes, finished=True))
        try:
            summary = sync.execute(plan)
        except BaseException as end:
            if not isinstance(end, Exception):
                stack.close()
                say(KEPT)
            raise
        stack.close()
        settle(summary)
        if not self._as_json:
            removed = f"{plan.deletes} removed, " if plan.deletes and plan.transfers else ""  # or it was told
            say(f"{removed}{plan.unchanged} file(s) were the same already")

    def _hear(self, event: Event) -> None:
        """While it is being planned, only what must be said; the comparing of digests is a job of its own."""
        if not self._is_planning:
            self._drawing.hear(event)
        elif not isinstance(event, (Scanned, JobStarted, JobDone)) and (words := words_of(event)):
            say(printable(words))

    def _show_all(self, plan: Plan) -> None:
        if self._as_json:
            for step in plan.steps:
                put_json(_members(step))
            put_json({"event": "summary", "dry_run": True, **_figures(plan)})
            return
        for step in plan.steps:
            put(_line(step))
        say(f"this would be done: {_words(plan)}" if plan.steps else "there is nothing to do")

    def _nothing(self, plan: Plan) -> None:
        if self._as_json:
            put_json({"event": "summary", "dry_run": False, "done": 0, "failed": [], **_figures(plan)})
        else:
            say(f"nothing to do: {plan.unchanged} file(s) are the same on both sides")


def _ask(plan: Plan) -> None:
    """Show what goes, and ask. Raises SafetyRefused without a yes."""
    from homeport.cli.connecting import can_ask

    removals = [step for step in plan.steps if step.act in _REMOVES]
    for step in removals[:SHOWN]:
        say(_line(step))
    if len(removals) > SHOWN:
        say(f"... and {len(removals) - SHOWN} more; --dry-run shows all")
    if not can_ask():
        raise SafetyRefused(f"{plan.deletes} file(s) would be removed; add --yes where nobody can be asked")
    if not click.confirm(f"{_words(plan)}. Do it?", default=False, err=True):
        raise SafetyRefused("nothing was done")


def _line(step: Step) -> str:
    return f"{step.act.value + ':':15}{printable('/'.join(step.target))}  ({step.reason.value})"


def _members(step: Step) -> dict[str, object]:
    path = "/".join(step.target)
    return {"event": "step", "act": step.act.value, "path": path, "reason": step.reason.value, "size": step.size}


def _figures(plan: Plan) -> dict[str, object]:
    figures: dict[str, object] = {"transfers": len(plan.transfers), "bytes": plan.bytes}
    return {**figures, "deletes": plan.deletes, "unchanged": plan.unchanged, "left_out": len(plan.blocked)}


def _words(plan: Plan) -> str:
    from homeport.client.speed import size_text

    parts = [f"{len(plan.transfers)} file(s) to transfer, {size_text(plan.bytes)}"]
    if plan.deletes:
        parts.append(f"{plan.deletes} to remove")
    parts.append(f"{plan.unchanged} the same")
    return ", ".join(parts)
