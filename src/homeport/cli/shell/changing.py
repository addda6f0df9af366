"""Commands that change names on the server. The rule: what removes a folder with all in it asks first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeport.cli.shell.table import Call
from homeport.client.errors import UsageError

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session


def mkdir(session: Session, call: Call) -> None:
    """New folders."""
    from homeport.cli.cmd_mkdir import make, make_all

    with session.remote() as remote:
        for word in call.words:
            (make_all if "p" in call.flags else make)(remote, session.path_of(word))


def rmdir(session: Session, call: Call) -> None:
    """Empty folders."""
    with session.remote() as remote:
        for word in call.words:
            remote.remove_directory(session.path_of(word))


def rm(session: Session, call: Call) -> None:
    """Files, and with -r folders."""
    from homeport.cli.cmd_rm import on_terminal, remove

    confirm = (lambda _: True) if "y" in call.flags else on_terminal
    with session.remote() as remote:
        for word in call.words:
            path = session.path_of(word)
            remove(remote, path, recursive="r" in call.flags, confirm=confirm, literal=not word.is_pattern)


def mv(session: Session, call: Call) -> None:
    """Other names, or another folder."""
    from homeport.cli.cmd_mv import move

    *sources, target = call.words
    path = session.path_of(target)
    with session.remote() as remote:
        if len(sources) > 1 and not remote.stat(path).is_directory:
            raise UsageError(f"{path} is no folder to take {len(sources)} names")
        if target.text.endswith("/"):
            path = path.rstrip("/") + "/"
        for word in sources:
            move(remote, session.path_of(word), path, literal=not word.is_pattern)
