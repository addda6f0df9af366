"""Commands that look: nothing on either side is changed by them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from homeport.cli.shell.table import Call
from homeport.cli.shell.words import Word
from homeport.cli.terminal import printable, put
from homeport.client.errors import LocalFailed, ServerRefused, UsageError

if TYPE_CHECKING:
    from homeport.cli.shell.session import Session
    from homeport.client.remote import Remote, RemoteEntry

HERE = Word(".")


def cd(session: Session, call: Call) -> None:
    """Another folder on the server; `-` is the one before."""
    from homeport.cli.remote_globs import expand

    with session.remote() as remote:
        if not call.words:
            session.change_folder(remote.working_directory())
            return
        word = call.words[0]
        if word.text == "-":
            if session.previous is None:
                raise UsageError("there is no folder to go back to yet")
            session.change_folder(session.previous)
            put(printable(session.folder))
            return
        matches = expand(remote, session.path_of(word), literal=not word.is_pattern)
        if len(matches) > 1:
            raise UsageError(f"{len(matches)} names fit {word.text}")
        path, entry = matches[0]
        if not entry.is_directory:
            _must_open(remote, path, entry)
    session.change_folder(path)


def _must_open(remote: Remote, path: str, entry: RemoteEntry) -> None:
    """Whether a link leads to a folder, only trying tells. Raises UsageError."""
    from homeport.client.remote import Kind

    try:
        if entry.kind is Kind.LINK:
            for _ in remote.list(path):
                pass
            return
    except ServerRefused:
        pass
    raise UsageError(f"{path} is no folder")


def pwd(session: Session, _call: Call) -> None:
    """The folder on the server."""
    put(printable(session.folder))


def ls(session: Session, call: Call) -> None:
    """What is in folders on the server."""
    from homeport.cli.cmd_ls import Style, show

    exact = "b" in call.flags
    style = Style(long="l" in call.flags or exact, exact=exact, recursive="R" in call.flags)
    with session.remote() as remote:
        for word in call.words or (HERE,):
            show(remote, session.path_of(word), style, literal=bool(call.words) and not word.is_pattern)


def cat(session: Session, call: Call) -> None:
    """Files on standard output."""
    from homeport.cli.cmd_cat import pour
    from homeport.cli.remote_globs import expand

    with session.remote() as remote:
        for word in call.words:
            for path, _ in expand(remote, session.path_of(word), literal=not word.is_pattern):
                pour(remote, path)


def stat(session: Session, call: Call) -> None:
    """All that the server tells of a name."""
    from homeport.cli.cmd_stat import show
    from homeport.cli.remote_globs import expand

    word = call.words[0]
    with session.remote() as remote:
        for path, entry in expand(remote, session.path_of(word), literal=not word.is_pattern):
            show(path, entry)


def hash_(session: Session, call: Call) -> None:
    """A file's digest, compared with a local file's when there are two words."""
    from homeport.cli.cmd_hash import compare, digest_of, local_digest
    from homeport.cli.remote_globs import expand

    word = call.words[0]
    with session.remote() as remote:
        for path, _ in expand(remote, session.path_of(word), literal=not word.is_pattern):
            digest = digest_of(remote, path, None)
            put(f"{digest.algorithm} {digest.value}  {printable(path)}")
            if len(call.words) > 1:
                file = session.local_path_of(call.words[1])
                compare(file, local_digest(file, digest.algorithm), digest, quiet=False)


def df(session: Session, _call: Call) -> None:
    """The room left."""
    from homeport.cli.cmd_df import show

    with session.remote() as remote:
        show(remote.space())


def lcd(session: Session, call: Call) -> None:
    """Another folder on this machine."""
    folder = session.local_path_of(call.words[0] if call.words else "~")
    if not folder.is_dir():
        raise LocalFailed(f"{folder} is no folder on this machine")
    session.local = folder


def lpwd(session: Session, _call: Call) -> None:
    """The folder on this machine."""
    put(printable(str(session.local)))


def lls(session: Session, call: Call) -> None:
    """What is in a folder on this machine, drawn like a server's."""
    from homeport.cli.listing import in_order, put_long, put_short
    from homeport.client.remote import Kind, RemoteEntry

    folder = session.local_path_of(call.words[0] if call.words else ".")
    entries = []
    try:
        with os.scandir(folder) as found:
            for name in found:
                facts = name.stat(follow_symlinks=False)
                kind = Kind.LINK if name.is_symlink() else Kind.DIRECTORY if name.is_dir() else Kind.FILE
                size = facts.st_size if kind is Kind.FILE else None
                entries.append(RemoteEntry(name.name, kind, size, facts.st_mtime, facts.st_mode & 0o7777))
    except OSError as failure:
        raise LocalFailed(f"{folder} cannot be listed: {failure.strerror}") from failure
    if call.flags:
        put_long(in_order(entries), exact="b" in call.flags)
    else:
        put_short(in_order(entries))


def run_here(session: Session, command: str) -> None:
    """A command of this machine's own shell, in the local folder. Raises LocalFailed when it fails."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    words = [shell, "-c", command] if command else [shell]
    try:
        status = subprocess.run(words, cwd=session.local, check=False).returncode
    except OSError as failure:
        raise LocalFailed(f"{shell} cannot be started: {failure.strerror}") from failure
    if status:
        raise LocalFailed(f"the command ended with {status}")
