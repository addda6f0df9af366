"""One download: find out what there is already, fetch the rest, compare, and give it its name.

The one rule: nothing that a server sends is believed until sizes and digests agree, and the target is untouched until
then.
"""

from __future__ import annotations

import os
import stat

from homeport.client.digesting import HASHERS, Hasher, best_algorithm
from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    IntegrityMismatch,
    LocalFailed,
    SafetyRefused,
    ServerRefused,
)
from homeport.client.flow import FlowReader
from homeport.client.partial import Partial, PartSource
from homeport.client.remote import Digest, Kind, RemoteEntry
from homeport.client.task import Outcome, Task

MTIME_SLACK_S = 1.0  # servers without fractions cut them off


async def download(task: Task) -> Outcome:
    """Fetch `task.item.remote` into `task.item.local`. Raises ClientError."""
    entry = await _entry(task)
    if _is_there_already(task, entry):
        return Outcome(entry.size or 0, already_complete=True)
    source = PartSource(task.origin, task.item.remote, entry.size, entry.mtime)
    with Partial(task.item.local, source) as part:
        return await _Download(task, entry, part).run()


async def _entry(task: Task) -> RemoteEntry:
    known = task.item.known
    # What was listed may be old by the second try.
    entry = known.entry if known is not None and not task.is_retry else None
    if entry is None or entry.kind is Kind.LINK:
        entry = await task.remote.stat(task.item.remote)
    if entry.kind is Kind.DIRECTORY:
        raise SafetyRefused(f"{task.item.remote} is a folder on the server, not a file")
    return entry


def _is_there_already(task: Task, entry: RemoteEntry) -> bool:
    """Whether the target is this very file by size and modification time."""
    try:
        found = os.lstat(task.item.local)
    except FileNotFoundError:
        return False
    except OSError as failure:
        raise LocalFailed(f"{task.item.local} cannot be looked at: {failure.strerror}") from failure
    if stat.S_ISDIR(found.st_mode):
        raise SafetyRefused(f"{task.item.local} is a folder here; a file does not replace it")
    if not stat.S_ISREG(found.st_mode) or entry.size is None or entry.mtime is None:
        return False
    return found.st_size == entry.size and abs(found.st_mtime - entry.mtime) <= MTIME_SLACK_S


class _Download:
    """One try."""

    def __init__(self, task: Task, entry: RemoteEntry, part: Partial) -> None:
        self._task = task
        self._entry = entry
        self._part = part
        self._algorithm = best_algorithm(task.remote.abilities) if task.options.verify else None
        self._hasher: Hasher | None = None

    async def run(self) -> Outcome:
        offset = await self._offset()
        outcome = await self._fetch(offset)
        if outcome is None:
            self._task.track.restarted("the file on the server has changed meanwhile")
            self._entry = await self._task.remote.stat(self._task.item.remote)
            self._part.discard()
            return await self._again()
        return outcome

    async def _again(self) -> Outcome:
        source = PartSource(self._task.origin, self._task.item.remote, self._entry.size, self._entry.mtime)
        with Partial(self._task.item.local, source) as part:
            self._part = part
            outcome = await self._fetch(self._from_nothing())
        if outcome is None:
            raise self._mismatch("a file that stands still", "one that changes while it is fetched")
        return outcome

    # --- what is there already ---

    def _from_nothing(self) -> int:
        self._hasher = HASHERS[self._algorithm]() if self._algorithm else None
        return 0

    async def _offset(self) -> int:
        """Where to go on: behind what is there and proven, else at 0."""
        self._from_nothing()
        usable = self._part.usable_bytes() if self._task.options.resume else 0
        if not usable or not self._task.remote.abilities.resume_download:
            return 0
        if self._hasher is not None:
            self._part.hash_prefix(self._hasher, usable)
        objection = await self._objection_to(usable)
        if objection:
            self._task.track.restarted(objection)
            return self._from_nothing()
        return usable

    async def _objection_to(self, usable: int) -> str:
        """Why the first `usable` bytes cannot be gone on from, or nothing."""
        abilities = self._task.remote.abilities
        if self._hasher is not None and self._algorithm and abilities.partial_digests:
            try:
                theirs = await self._task.remote.digest(self._task.item.remote, self._algorithm, end=usable)
            except ServerRefused:
                return ""  # size and time are the same, and the whole is compared at the end
            return "" if theirs.value == self._hasher.hexdigest() else "what is here is not the beginning of it"
        if self._entry.mtime is None and self._hasher is None:
            return "the server tells neither time nor digest, so what is here cannot be proven to belong to it"
        return ""

    # --- fetching ---

    async def _fetch(self, offset: int) -> Outcome | None:
        """The rest from `offset` on, to the end. None when the file over there has been replaced."""
        task, size = self._task, self._entry.size
        self._part.begin(offset)
        task.track.begin(offset, size)
        if offset and offset == size:
            return await self._judge_digest(None)  # only the last step was missing
        reader = await task.remote.open_reader(task.item.remote, offset, self._algorithm)
        try:
            await self._receive(reader)
        except BaseException:
            reader.abort()
            raise
        theirs = await reader.finish()
        if size is not None and task.track.position != size:
            await self._judge_size(size)
            return None
        return await self._judge_digest(theirs)

    async def _receive(self, reader: FlowReader) -> None:
        """All that comes, up to the announced size and not a byte more."""
        track, size = self._task.track, self._entry.size
        while block := await reader.read():
            count = len(block)
            if size is not None and track.position + count > size:
                raise self._overlong(size)
            self._part.write(block)
            if self._hasher is not None:
                self._hasher.update(block)
            track.add(count)

    # --- judging ---

    def _overlong(self, size: int) -> ClientError:
        if self._task.is_retry or self._task.item.known is None:  # looked at a moment ago
            self._part.discard()
            return self._mismatch(f"{size} bytes", f"more than {size} bytes")
        return ConnectionFailed(f"{self._task.item.remote} is longer than when it was listed; looking again")

    async def _judge_size(self, size: int) -> None:
        """Fewer bytes than announced: the file was replaced, else the server lies."""
        if not await self._has_changed():
            self._part.discard()
            raise self._mismatch(f"{size} bytes", f"{self._task.track.position} bytes")

    async def _has_changed(self) -> bool:
        now = await self._task.remote.stat(self._task.item.remote)
        return (now.size, now.mtime) != (self._entry.size, self._entry.mtime)

    async def _judge_digest(self, theirs: Digest | None) -> Outcome | None:
        verified = None
        if self._hasher is not None and self._algorithm:
            theirs = theirs or await self._ask_digest(self._algorithm)
            if theirs is not None:
                if theirs.value != self._hasher.hexdigest():
                    await self._judge_difference(theirs, self._hasher.hexdigest())
                    return None
                verified = self._algorithm
        self._part.finish(self._entry.mtime, fsync=self._task.options.fsync)
        return Outcome(self._task.track.position, verified=verified)

    async def _ask_digest(self, algorithm: str) -> Digest | None:
        try:
            return await self._task.remote.digest(self._task.item.remote, algorithm)
        except ServerRefused as refused:
            self._task.track.notice(f"not compared: {refused}")
            return None

    async def _judge_difference(self, theirs: Digest, ours: str) -> None:
        if not await self._has_changed():
            self._part.discard()
            raise self._mismatch(f"{theirs.algorithm} {theirs.value}", ours)

    def _mismatch(self, expected: str, actual: str) -> IntegrityMismatch:
        return IntegrityMismatch(
            f"{self._task.item.remote}: what came is not what the server has "
            f"(expected {expected}, received {actual}); {self._task.item.local} is untouched. Try again.",
            expected,
            actual,
        )
