"""Commands that transfer, and those about transfers in the background."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from homeport.cli.shell.table import Call
from homeport.cli.shell.words import Word, escaped
from homeport.cli.terminal import printable, put, say
from homeport.cli.transferring import Items, engine_for, settle
from homeport.client.errors import UsageError

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session


def get(session: Session, call: Call) -> None:
    """A file or folder, under another name or into a folder of this machine."""
    target = session.local_path_of(call.words[1]) if len(call.words) > 1 else session.local
    _fetch(session, call, call.words[:1], target)


def mget(session: Session, call: Call) -> None:
    """Any number, into the local folder."""
    _fetch(session, call, call.words, session.local)


def put_(session: Session, call: Call) -> None:
    """A file or folder, under another name or into a folder of the server."""
    _store(session, call, call.words[:1], call.words[1].text if len(call.words) > 1 else "./")


def mput(session: Session, call: Call) -> None:
    """Any number, into the folder on the server."""
    _store(session, call, call.words, "./")


def jobs(session: Session, _call: Call) -> None:
    """The transfers in the background."""
    for job in session.jobs.all():
        put(f"[{job.number}] {printable(job.title)}: {printable(job.state)}")


def wait(session: Session, call: Call) -> None:
    """Until a job, or all, have ended. Raises what a failed one means."""
    waited = [session.jobs.find(word.text) for word in call.words] or None
    session.jobs.wait(waited)
    failed = session.jobs.take_failure()
    if failed is not None and not session.interactive:
        if failed.error is not None:
            raise failed.error
        if failed.summary is not None:
            settle(failed.summary)


def kill(session: Session, call: Call) -> None:
    """End a job; what it has transferred is kept."""
    for word in call.words:
        job = session.jobs.find(word.text)
        job.engine.stop()
        session.jobs.wait([job])


def _fetch(session: Session, call: Call, words: tuple[Word, ...], target: Path) -> None:
    from homeport.cli.cmd_get import fetch

    paths = [(session.path_of(word), not word.is_pattern) for word in words]
    recursive = "r" in call.flags
    _run(session, call, lambda engine: fetch(engine, paths, target, recursive=recursive), "get")


def _store(session: Session, call: Call, words: tuple[Word, ...], where: str) -> None:
    from homeport.cli.transfer_items import local_sources, uploads

    paths = [path for word in words for path in _matches(session, word)]
    sources = local_sources(paths, recursive="r" in call.flags)
    target = session.path_of(where)
    if where.endswith("/"):
        target = target.rstrip("/") + "/"
    _run(session, call, lambda engine: uploads(engine, sources, target), "put")
    session.forget_names()


def _matches(session: Session, word: Word) -> list[Path]:
    """What a word stands for on this machine: the name as it is written, else what fits the pattern."""
    path = session.local_path_of(word)
    if not word.is_pattern or path.exists():
        return [path]
    found = sorted(glob.glob(str(path)))
    if not found:
        raise UsageError(f"nothing on this machine fits {word.text}")
    return [Path(name) for name in found]


def _run(session: Session, call: Call, items: Items, verb: str) -> None:
    connector, url = session.connector, session.url
    if call.in_background:
        title = " ".join([verb, *(escaped(text) for text in call.texts)])
        job = session.jobs.start(connector, url, session.moving, title, items)
        say(f"[{job.number}] {printable(title)}")
        return
    from homeport.cli.progress_choice import drawing
    from homeport.cli.transfer_items import Counter

    with (
        drawing(session.moving, as_json=False) as drawn,
        engine_for(connector, url, session.moving, drawn.hear) as engine,
    ):
        summary = engine.run(Counter(engine).through(items(engine)))
    settle(summary)
