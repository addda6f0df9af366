"""The table from deed to the function that does it, and the deeds that take one command."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from io import FileIO

from homeport.client.digesting import HASHERS, best_algorithm, feed
from homeport.client.download import download
from homeport.client.errors import ClientError, Incompatible, LocalFailed, RemoteNotFound, SafetyRefused, ServerRefused
from homeport.client.flow import Flow
from homeport.client.items import Deed, Side
from homeport.client.task import Outcome, Task
from homeport.client.upload import upload

MAX_LISTING = 2_000_000  # entries of one folder


async def perform(task: Task) -> Outcome:
    """Do the task's deed once. Raises ClientError."""
    return await _DEEDS[task.item.deed](task)


async def set_mtime_later(
    remote: Flow, path: str, mtime: float, late: Callable[[str, float, ClientError | None], None]
) -> None:
    """Ask for a file's modification time without waiting; `late` hears how it went."""
    await remote.set_mtime(path, mtime, partial(late, path, mtime))


async def _make_folder(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.makedirs(item.local, exist_ok=True), f"{item.local} cannot be made")
    try:
        await task.remote.make_directory(item.remote)
    except ServerRefused as refused:
        if not await _is_folder(task.remote, item.remote):
            raise refused from None
    return Outcome()


async def _is_folder(remote: Flow, path: str) -> bool:
    try:
        return (await remote.stat(path)).is_directory
    except ServerRefused:
        return False


async def _remove_file(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.unlink(item.local), f"{item.local} cannot be removed")
    return await _gone(task.remote.remove_file(item.remote))


async def _remove_folder(task: Task) -> Outcome:
    item = task.item
    if item.side is Side.LOCAL:
        return _on_disk(lambda: os.rmdir(item.local), f"{item.local} cannot be removed")
    return await _gone(task.remote.remove_directory(item.remote))


async def _compare(task: Task) -> Outcome:
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
    theirs = await task.remote.digest(task.item.remote, algorithm)
    return Outcome(already_complete=theirs.value == hasher.hexdigest(), verified=algorithm)


async def _list(task: Task) -> Outcome:
    listing = await task.remote.list(task.item.remote, MAX_LISTING + 1)
    if len(listing) > MAX_LISTING:
        raise SafetyRefused(f"{task.item.remote} has more than {MAX_LISTING} entries; that is no folder to copy")
    return Outcome(listing=listing)


async def _gone(removal: Awaitable[None]) -> Outcome:
    try:
        await removal
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


_DEEDS: dict[Deed, Callable[[Task], Awaitable[Outcome]]] = {
    Deed.UPLOAD: upload,
    Deed.DOWNLOAD: download,
    Deed.MAKE_FOLDER: _make_folder,
    Deed.REMOVE_FILE: _remove_file,
    Deed.REMOVE_FOLDER: _remove_folder,
    Deed.COMPARE: _compare,
    Deed.LIST: _list,
}
