"""scp's old protocol (`scp -O`): files in and out, each by the home's own uploads and downloads.

The one rule: a file is put in place when all of its announced bytes came and the client said that it sent them well. A
client that goes away in between leaves what came, to be continued through another protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import asyncssh

from homeport.core.entries import Entry, Kind
from homeport.core.errors import HomeportError, NotARegularFile, NotFound
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.rights import Rights
from homeport.core.transfer import Upload
from homeport.servers.ssh.scp_messages import (
    LINE_MAX,
    BadMessage,
    Coming,
    FolderEnds,
    ScpCommand,
    Times,
    Trouble,
    entry_line,
    error_line,
    parse_message,
    times_line,
)
from homeport.servers.ssh.session import SshSession

P = ParamSpec("P")
T = TypeVar("T")
Process = asyncssh.SSHServerProcess[bytes]

_OK = b"\0"
_BLOCK_BYTES = 256 * 1024
_DEPTH_MAX = 128
_NANO = 10**9


class _Gone(Exception):
    """The client ended the conversation."""


async def run_scp(process: Process, session: SshSession) -> None:
    """Serve one `scp -t` or `scp -f` to its end; the exit status says whether all went well."""
    try:
        command = ScpCommand.parse(process.command or "")
        talk = _Talk(process, session)
        await (_Sink(talk, command).run() if command.sends else _Source(talk, command).run())
    except BadMessage as error:
        process.stdout.write(error_line(str(error), fatal=True))
        process.exit(1)
    except (_Gone, asyncssh.Error, OSError):
        process.exit(1)
    else:
        process.exit(1 if talk.failed else 0)
    finally:
        session.record.rest()


class _Talk:
    """Both directions' small talk, and the way to the home."""

    def __init__(self, process: Process, session: SshSession) -> None:
        self.session = session
        self.home = session.home
        self.failed = False
        self._stdin = process.stdin
        self._stdout = process.stdout

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What may block, in a thread."""
        return await self.session.core.files.run_for(self.session.account.id, function, *args, **kwargs)

    async def line(self) -> bytes | None:
        """The next message without its end; None when there is none. Raises BadMessage for one that does not end."""
        line = b""
        while not line.endswith(b"\n"):
            piece = await self._stdin.read(1)
            if not piece:
                if line:
                    raise _Gone
                return None
            line += piece
            if len(line) > LINE_MAX:
                raise BadMessage("a message longer than any name")
        return line[:-1]

    async def content(self, size: int) -> bytes:
        """Some of the `size` bytes that are to come. Raises _Gone."""
        data = await self._stdin.read(min(size, _BLOCK_BYTES))
        if not data:
            raise _Gone
        return data

    async def say(self, data: bytes) -> None:
        """Send, as fast as the client reads."""
        self._stdout.write(data)
        await self._stdout.drain()

    async def complain(self, error: Exception) -> None:
        """Say what went wrong with one entry."""
        self.failed = True
        await self.say(error_line(str(error)))

    async def heard(self) -> str | None:
        """The client's word on what it was sent: None for yes, else its complaint. Raises _Gone."""
        first = await self._stdin.read(1)
        if first == _OK:
            return None
        rest = await self.line()
        if not first or rest is None or first == b"\2":
            raise _Gone
        return rest.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Folder:
    """Where files come to be; no path: the one file that comes has the target's own name."""

    path: VirtualPath | None
    changed: int | None = None


class _Sink:
    """`scp -t`: the client sends."""

    def __init__(self, talk: _Talk, command: ScpCommand) -> None:
        self._talk = talk
        self._command = command
        self._target = ROOT
        self._folders: list[_Folder] = []
        self._changed: int | None = None

    async def run(self) -> None:
        target = ROOT.join(self._command.path)
        is_folder = await self._is_folder(target)
        if self._command.into_folder and not is_folder:
            raise BadMessage(f"{target}: not a folder")
        self._folders = [_Folder(target if is_folder else None)]
        self._target = target
        await self._talk.say(_OK)
        while (line := await self._talk.line()) is not None:
            message = parse_message(line)
            if isinstance(message, Trouble):
                self._talk.failed = True
                if message.fatal:
                    return
            else:
                await self._take(message)

    async def _take(self, message: Coming | Times | FolderEnds) -> None:
        match message:
            case Times(seconds):
                self._changed = seconds
                await self._talk.say(_OK)
            case FolderEnds():
                if len(self._folders) == 1:
                    raise BadMessage("a folder ends that was not begun")
                await self._leave(self._folders.pop())
                await self._talk.say(_OK)
            case Coming():
                into = self._folders[-1].path
                path = self._target if into is None else into.child(message.name)
                changed, self._changed = self._changed, None
                if message.is_folder:
                    await self._enter(path, changed)
                else:
                    await self._receive(path, message.size, changed)

    async def _is_folder(self, path: VirtualPath) -> bool:
        try:
            return (await self._talk.call(self._talk.home.find, path, Rights.NONE)).kind is Kind.DIRECTORY
        except NotFound:
            return False

    async def _enter(self, path: VirtualPath, changed: int | None) -> None:
        if not self._command.recursive or len(self._folders) > _DEPTH_MAX:
            raise BadMessage(f"{path}: a folder that was not asked for")
        try:
            if not await self._is_folder(path):
                await self._talk.call(self._talk.home.make_directory, path)
        except HomeportError as error:
            await self._talk.complain(error)
            return
        self._folders.append(_Folder(path, changed))
        await self._talk.say(_OK)

    async def _receive(self, path: VirtualPath, size: int, changed: int | None) -> None:
        talk = self._talk
        talk.session.record.begin("upload", str(path), total_bytes=size)
        try:
            upload = await talk.call(talk.home.begin_upload, path, expected_size=size)
        except HomeportError as error:
            await talk.complain(error)
            return
        try:
            await talk.say(_OK)
            trouble = await self._pour(upload, size)
            complaint = await talk.heard()
            if trouble is not None:
                raise trouble
            if complaint is not None:
                talk.failed = True
                await talk.call(upload.abort, complaint)
                await talk.say(_OK)
                return
            if changed is not None and self._command.preserve:
                upload.modified_ns = changed * _NANO
            await talk.call(upload.commit, expected_size=size)
        except HomeportError as error:
            await talk.call(upload.abort, str(error))
            await talk.complain(error)
        except BaseException:
            await talk.call(upload.abort, "the connection was lost")
            raise
        else:
            await talk.say(_OK)

    async def _pour(self, upload: Upload, size: int) -> HomeportError | None:
        """Take the file's bytes; when they cannot be stored the rest is read past, for messages follow it."""
        trouble: HomeportError | None = None
        while size:
            data = await self._talk.content(size)
            size -= len(data)
            self._talk.session.record.moved_bytes += len(data)
            if trouble is None:
                try:
                    await self._talk.call(upload.write, data)
                except HomeportError as error:
                    trouble = error
                await self._talk.session.keep_rate(len(data), upload=True)
        return trouble

    async def _leave(self, folder: _Folder) -> None:
        if folder.path is not None and folder.changed is not None and self._command.preserve:
            try:
                await self._talk.call(self._talk.home.set_modified, folder.path, folder.changed * _NANO)
            except HomeportError as error:
                await self._talk.complain(error)


class _Source:
    """`scp -f`: the client fetches."""

    def __init__(self, talk: _Talk, command: ScpCommand) -> None:
        self._talk = talk
        self._command = command

    async def run(self) -> None:
        await self._talk.heard()
        path = ROOT.join(self._command.path)
        try:
            entry = await self._talk.call(self._talk.home.stat, path)
        except HomeportError as error:
            await self._talk.complain(error)
            return
        await self._send(path, entry, 0)

    async def _send(self, path: VirtualPath, entry: Entry, depth: int) -> None:
        try:
            if entry.kind is Kind.DIRECTORY:
                await self._send_folder(path, entry, depth)
            elif entry.kind is Kind.FILE:
                await self._send_file(path, entry)
            else:
                raise NotARegularFile(str(path))
        except (HomeportError, BadMessage) as error:
            await self._talk.complain(error)

    async def _announce(self, path: VirtualPath, entry: Entry, size: int) -> bool:
        """Say what comes; whether the client wants it."""
        line = entry_line(path.name or ".", entry.mode, size, is_folder=entry.kind is Kind.DIRECTORY)
        if self._command.preserve:
            await self._talk.say(times_line(entry.mtime_ns // _NANO))
            await self._talk.heard()
        await self._talk.say(line)
        refused = await self._talk.heard()
        self._talk.failed = self._talk.failed or refused is not None
        return refused is None

    async def _send_folder(self, path: VirtualPath, entry: Entry, depth: int) -> None:
        if not self._command.recursive:
            raise BadMessage(f"{path}: is a folder; add -r")
        if depth > _DEPTH_MAX:
            raise BadMessage(f"{path}: too deep")
        entries = await self._talk.call(self._entries, path)
        if not await self._announce(path, entry, 0):
            return
        for inside in entries:
            await self._send(path.child(inside.name), inside, depth + 1)
        await self._talk.say(b"E\n")
        await self._talk.heard()

    def _entries(self, path: VirtualPath) -> list[Entry]:
        with self._talk.home.list(path) as entries:
            return list(entries)

    async def _send_file(self, path: VirtualPath, entry: Entry) -> None:
        talk = self._talk
        download = await talk.call(talk.home.begin_download, path)
        talk.session.record.begin("download", str(path), total_bytes=download.size)
        try:
            if not await self._announce(path, entry, download.size):
                download.abort("the client did not want it")
                return
            block = memoryview(bytearray(_BLOCK_BYTES))
            while download.remaining:
                count = await talk.call(download.read_into, block)
                await talk.say(bytes(block[:count]))
                talk.session.record.moved_bytes += count
                await talk.session.keep_rate(count, upload=False)
            download.finish()
        except BaseException as error:
            download.abort(str(error))
            # Bytes that were announced and do not come cannot be taken back: the conversation is over.
            raise (_Gone() if isinstance(error, HomeportError) else error) from error
        await talk.say(_OK)
        talk.failed = await talk.heard() is not None or talk.failed
