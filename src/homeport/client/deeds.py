"""The table from deed to the function that does it, and the deeds that take one command."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from io import FileIO
from itertools import islice

from homeport.client.digesting import HASHERS, best_algorithm, feed
from homeport.client.download import download
from homeport.client.errors import ClientError, Incompatible, LocalFailed, RemoteNotFound, SafetyRefused, ServerRefused
from homeport.client.items import Deed, Side
from homeport.client.remote import Remote
from homeport.client.task import Outcome, Task
from homeport.client.upload import upload

MAX_LISTING = 2_000_000  # entries of one folder


def perform(task: Task) -> Outcome:
    """Do the task's deed once. Raises ClientError."""
    return _DEEDS[task.item.deed](task)


def set_mtime_later(
    remote: Remote, path: str, mtime: float, late: Callable[[str, float, ClientError | None], None]
) -> None:
    """Ask for a file's modification time without waiting; `late` hears how it went."""
    remote.set_mtime(path, mtime, told=partial(late, path, mtime))


def _make_folder(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.makedirs(item.local, exist_ok=True), f"{item.local} cannot be made")
    try:
        task.remote.make_directory(item.remote)
    except ServerRefused as refused:
        if not _is_folder(task.remote, item.remote):
            raise refused from None
    return Outcome()


def _is_folder(remote: Remote, path: str) -> bool:
    try:
        return remote.stat(path).is_directory
    except ServerRefused:
        return False


def _remove_file(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.unlink(item.local), f"{item.local} cannot be removed")
    return _gone(lambda: task.remote.remove_file(item.remote))


def _remove_folder(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.rmdir(item.local), f"{item.local} cannot be removed")
    return _gone(lambda: task.remote.remove_directory(item.remote))


def _compare(task: Task) -> Outcome:
    """Whether both sides' contents are equal: `already_complete` says so."""
    algorithm = best_algorithm(task.remote.abilities)
    if algorithm is None:
        raise Incompatible("the server tells no digests, so contents cannot be compared; leave --checksum out")
    hasher = HASHERS[algorithm]()
    try:
        with FileIO(task.item.local, "rb") as file:
            feed(hasher, file, os.fstat(file.fileno()).st_size)
    except OSError as failure:
        raise LocalFailed(f"{task.item.local} cannot be read: {failure.strerror}") from failure
    theirs = task.remote.digest(task.item.remote, algorithm)
    return Outcome(already_complete=theirs.value == hasher.hexdigest(), verified=algorithm)


def _list(task: Task) -> Outcome:
    entries = task.remote.list(task.item.remote)
    listing = tuple(islice(entries, MAX_LISTING + 1))
    if len(listing) > MAX_LISTING:
        task.remote.close()
        raise SafetyRefused(f"{task.item.remote} has more than {MAX_LISTING} entries; that is no folder to copy")
    return Outcome(listing=listing)


def _gone(remove: Callable[[], None]) -> Outcome:
    try:
        remove()
    except RemoteNotFound:
        return Outcome(already_complete=True)  # done by an earlier try whose answer was lost, or by somebody else
    return Outcome()


def _on_disk(act: Callable[[], None], complaint: str) -> Outcome:
    try:
        act()
    except FileNotFoundError:
        return Outcome(already_complete=True)
    except OSError as failure:
        raise LocalFailed(f"{complaint}: {failure.strerror}") from failure
    return Outcome()


_DEEDS: dict[Deed, Callable[[Task], Outcome]] = {
    Deed.UPLOAD: upload,
    Deed.DOWNLOAD: download,
    Deed.MAKE_FOLDER: _make_folder,
    Deed.REMOVE_FILE: _remove_file,
    Deed.REMOVE_FOLDER: _remove_folder,
    Deed.COMPARE: _compare,
    Deed.LIST: _list,
}
