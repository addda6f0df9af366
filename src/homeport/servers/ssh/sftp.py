"""One SFTP session: packets from its channel, answers in their order, and the decision where each is worked out.

The one rule: requests are answered one after another, as they came. What the kernel has in memory is read on the loop;
all else is done in a thread, many requests at a time, while the next ones come in. Nothing piles up: who does not read
his answers is asked for nothing more, and no more is taken from him.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncssh

from homeport.core.errors import HomeportError, WouldBlock
from homeport.protocols.sftp import replies, requests
from homeport.protocols.sftp.constants import Status, Type
from homeport.protocols.sftp.packets import PacketReader
from homeport.protocols.sftp.wire import Malformed
from homeport.servers import eager
from homeport.servers.ssh.errors import Refused, reply_to
from homeport.servers.ssh.session import SshSession
from homeport.servers.ssh.sftp_files import SftpFiles
from homeport.servers.ssh.sftp_names import EXTENSIONS, SftpNames

_log = logging.getLogger(__name__)

_TURN_S = 0.002  # what one session may work on the loop before the others have their turn
_BATCH = 64  # requests that a thread gets at once
_BATCH_BYTES = 1024 * 1024  # of what they carry, and of what they ask for
_WAITING = 256  # requests, and the bytes in them, beyond which no more is read
_WAITING_BYTES = 2 * 1024 * 1024
_SMALL_BYTES = 64 * 1024  # a request that may be done on the loop where nothing waits for the disk
_UNSENT_BYTES = 1024 * 1024
_READ_SIZE_AT = slice(-4, None)

_Answer = bytes | bytearray


class SftpSession:
    """Answers requests; its methods block, but `answer_now`."""

    def __init__(self, session: SshSession) -> None:
        self.files = SftpFiles(session.home, session.record, session.settings.max_handles)
        names = SftpNames(self.files)
        files = self.files
        self._at_once: dict[int, Callable[[Any], _Answer]] = {
            Type.READ: files.read_now,
            Type.OPEN: files.open_now,
            Type.CLOSE: files.close_now,
            Type.FSTAT: files.stat_now,
        }
        self._handlers: dict[type, Callable[[Any], _Answer]] = {
            requests.OpenFile: files.open,
            requests.Close: files.close,
            requests.Read: files.read,
            requests.Write: files.write,
            requests.HandleStat: files.stat,
            requests.HandleSetStat: files.set_stat,
            requests.Flush: files.flush,
            requests.CopyData: files.copy_data,
            requests.BeginUpload: files.begin_upload,
            requests.Reserve: files.reserve,
            requests.PartialSize: files.partial_size,
            requests.Stat: names.stat,
            requests.LinkStat: names.link_stat,
            requests.SetStat: names.set_stat,
            requests.LinkSetStat: names.set_stat,
            requests.OpenFolder: names.open_folder,
            requests.ReadFolder: names.read_folder,
            requests.Remove: names.remove,
            requests.MakeFolder: names.make_folder,
            requests.RemoveFolder: names.remove_folder,
            requests.RealPath: names.real_path,
            requests.ExpandPath: names.real_path,
            requests.HomeFolder: names.home_folder,
            requests.Rename: names.rename,
            requests.PosixRename: names.rename,
            requests.ReadLink: names.read_link,
            requests.MakeLink: names.make_link,
            requests.HardLink: names.make_link,
            requests.FileSystem: names.file_system,
            requests.HandleFileSystem: names.file_system,
            requests.Limits: names.limits,
            requests.Usage: names.usage,
            requests.NamesOfIds: names.names_of_ids,
            requests.CheckFile: names.check_file,
            requests.Md5: names.md5,
            requests.Unknown: names.unknown,
        }

    def answer_now(self, packet: memoryview) -> _Answer:
        """The answer, where the kernel promises not to wait. Raises WouldBlock, and nothing was done then."""
        handler = self._at_once.get(packet[0])
        if handler is None:
            raise WouldBlock
        return self._answer(packet, handler)

    def answer_all(self, packets: list[memoryview]) -> list[_Answer]:
        """The answers, in the packets' order."""
        return [self._answer(packet) for packet in packets]

    def _answer(self, packet: memoryview, handler: Callable[[Any], _Answer] | None = None) -> _Answer:
        try:
            request = requests.parse(packet)
        except requests.MalformedRequest as error:
            return replies.status(error.id, Status.BAD_MESSAGE, str(error))
        try:
            return (handler or self._handlers[type(request)])(request)
        except (Refused, HomeportError) as error:
            return replies.status(request.id, *reply_to(error))
        except WouldBlock:
            raise
        except Exception:  # noqa: BLE001 - one request's mistake must not take the session along
            _log.exception("%s failed", type(request).__name__)
            return replies.status(request.id, Status.FAILURE, "the server made a mistake, which is in its log now")


class SftpChannel(asyncssh.SSHServerSession[bytes]):
    """The channel of one session. For the event loop's thread."""

    def __init__(self, session: SshSession) -> None:
        self._session = session
        self._sftp = SftpSession(session)
        self._reader = PacketReader()
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._begun = False  # INIT has come
        self._busy = False  # a thread is at work
        self._advancing = False
        self._planned = False  # it goes on when others have had their turn
        self._full = False  # the client does not read
        self._paused = False  # we do not
        self._said_all = False
        self._lost = False
        self._idle = asyncio.Event()
        self._idle.set()

    # What asyncssh says

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """See SSHServerSession."""
        self._channel = chan
        chan.set_write_buffer_limits(_UNSENT_BYTES)

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002 - asyncssh's signature
        """See SSHServerSession."""
        if self._lost:
            return
        try:
            for packet in self._reader.receive(data):
                self._waiting.append(packet)
                self._waiting_bytes += len(packet)
        except Malformed as error:
            self._break(str(error))
            return
        self._advance()

    def eof_received(self) -> bool:
        """See SSHServerSession. What was asked before is still answered."""
        self._said_all = True
        self._advance()
        return True

    def pause_writing(self) -> None:
        """See SSHServerSession."""
        self._full = True

    def resume_writing(self) -> None:
        """See SSHServerSession."""
        self._full = False
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """See SSHServerSession."""
        self._lost = True
        self._waiting.clear()
        self._session.finish(self._clean_up("closed" if exc is None else "the connection was lost"))

    # Within

    def _advance(self) -> None:
        """Answer what waits, as far as that can be done now."""
        if self._advancing or self._busy or self._planned:
            self._read_while_wanted()
            return
        self._advancing = True
        try:
            self._take_turn(time.monotonic() + _TURN_S)
        except Malformed as error:
            self._break(str(error))
        finally:
            self._advancing = False
        self._read_while_wanted()

    def _take_turn(self, ends_at: float) -> None:
        while self._waiting and not (self._full or self._busy or self._lost):
            packet = self._waiting[0]
            if not self._begun:
                requests.parse_init(packet)
                self._begun = True
                self._send(replies.version(EXTENSIONS))
            else:
                try:
                    self._send(self._sftp.answer_now(packet))
                except WouldBlock:
                    self._hand_over()
                    continue
            self._took(self._waiting.popleft())
            if time.monotonic() >= ends_at:
                self._planned = True
                self._loop.call_soon(self._go_on)
                return
        if self._said_all and not (self._waiting or self._busy or self._lost):
            self._channel.exit(0)

    def _go_on(self) -> None:
        self._planned = False
        if not self._lost:
            self._advance()

    def _hand_over(self) -> None:
        batch: list[memoryview] = []
        size = 0
        small = self._session.core.files.haste is not None and len(self._waiting[0]) < _SMALL_BYTES
        while self._waiting and len(batch) < (1 if small else _BATCH) and size < _BATCH_BYTES:
            packet = self._waiting.popleft()
            self._took(packet)
            batch.append(packet)
            size += len(packet)
            if packet[0] == Type.READ:
                size += int.from_bytes(packet[_READ_SIZE_AT], "big")
        self._busy = True
        self._idle.clear()
        eager.start(self._work(batch, short=small), self._loop)

    async def _work(self, batch: list[memoryview], *, short: bool) -> None:
        core, owner = self._session.core, self._session.account.id
        try:
            run = core.files.run_short if short else core.files.run_for
            answers = await run(owner, self._sftp.answer_all, batch)
            del batch
            for answer in answers:
                self._send(answer)
            await self._keep_rate()
        except Malformed as error:
            self._break(str(error))
        except RuntimeError:  # the threads are closed: the server is going down
            self._lost = True
        finally:
            self._busy = False
            self._idle.set()
        if not (self._advancing or self._lost):
            self._advance()

    async def _keep_rate(self) -> None:
        files = self._sftp.files
        uploaded, files.uploaded = files.uploaded, 0
        downloaded, files.downloaded = files.downloaded, 0
        await self._session.keep_rate(uploaded, upload=True)
        await self._session.keep_rate(downloaded, upload=False)

    def _took(self, packet: memoryview) -> None:
        self._waiting_bytes -= len(packet)

    def _send(self, answer: _Answer) -> None:
        if not self._lost:
            self._channel.write(bytes(answer) if isinstance(answer, bytearray) else answer)

    def _read_while_wanted(self) -> None:
        wanted = len(self._waiting) < _WAITING and self._waiting_bytes < _WAITING_BYTES
        if self._lost or wanted != self._paused:
            return
        self._paused = not wanted
        if wanted:
            self._channel.resume_reading()
        else:
            self._channel.pause_reading()

    def _break(self, why: str) -> None:
        """Nothing that follows can be understood."""
        _log.debug("%s: %s", self._session.peer, why)
        self._waiting.clear()
        self._channel.abort()

    async def _clean_up(self, reason: str) -> None:
        await self._idle.wait()
        await self._session.core.files.run_for(self._session.account.id, self._sftp.files.end, reason)
