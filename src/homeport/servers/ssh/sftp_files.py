"""SFTP's requests about open files: opening, reading, writing and closing them.

The one rule: whatever is open is in `Handles`, and whatever is written is in `Drafts`; both end with the session.
"""

from __future__ import annotations

from homeport.core.errors import AlreadyExists, HomeportError, WouldBlock
from homeport.core.home import Home
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.random_access import read_at
from homeport.core.sessions import SessionRecord
from homeport.core.transfer import Download
from homeport.protocols.sftp import replies, requests
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import MAX_DATA_BYTES, Open, Status
from homeport.protocols.sftp.wire import u64
from homeport.servers.ssh.drafts import Draft, Drafts
from homeport.servers.ssh.entries import attributes_of, owner_of
from homeport.servers.ssh.errors import Refused
from homeport.servers.ssh.handles import Handles, OpenFile, OpenFolder

_COPY_BLOCK_BYTES = 1024 * 1024
_WRITES = Open.WRITE | Open.APPEND | Open.CREATE | Open.TRUNCATE
_REGULAR = 0o100000


class SftpFiles:
    """The open files of one session. Its methods block, but `read_now`; one thread at a time calls them."""

    def __init__(self, home: Home, record: SessionRecord, max_handles: int) -> None:
        self.home = home
        self.handles = Handles(max_handles)
        self.drafts = Drafts(home)
        self.uploaded = 0  # bytes, since somebody took notice
        self.downloaded = 0
        self._record = record

    @staticmethod
    def path(text: str) -> VirtualPath:
        """What `text` names; every path that is not absolute starts at the home. Raises InvalidPath."""
        return ROOT.join(text)

    def open(self, request: requests.OpenFile) -> bytes:
        """OPEN (section 6.3)."""
        self.handles.require_room()
        path, flags = self.path(request.path), request.flags
        if not flags & (Open.READ | _WRITES):
            raise Refused(Status.FAILURE, f"{path}: open it for reading or for writing")
        opened = self._open_to_write(path, flags) if flags & _WRITES else self._open_to_read(path)
        size = None if opened.writes else opened.source.size
        self._record.begin("upload" if opened.writes else "download", str(path), total_bytes=size)
        return replies.handle(request.id, self.handles.add(opened))

    def begin_upload(self, request: requests.BeginUpload) -> bytes:
        """upload@homeport."""
        self.handles.require_room()
        path = self.path(request.path)
        _check_span(request.offset, 0)
        draft = self.drafts.resume(request, path)
        draft.writers += 1
        self._record.begin("upload", str(path), total_bytes=request.size)
        opened = OpenFile(path, draft, reads=False, writes=True, appends=request.append)
        return replies.handle(request.id, self.handles.add(opened))

    def reserve(self, request: requests.Reserve) -> bytes:
        """reserve@homeport."""
        _check_span(request.size, 0)
        self.home.reserve(request.size)
        return _ok(request.id)

    def partial_size(self, request: requests.PartialSize) -> bytes:
        """partial-size@homeport."""
        return replies.extended(request.id, u64(self.home.partial_size(self.path(request.path))))

    def read(self, request: requests.Read) -> bytes | bytearray:
        """READ (section 6.4)."""
        return self._read(request, may_block=True)

    def read_now(self, request: requests.Read) -> bytes | bytearray:
        """READ from the kernel's memory. Raises WouldBlock."""
        return self._read(request, may_block=False)

    def open_now(self, request: requests.OpenFile) -> bytes:
        """OPEN of a file that is only read, where the kernel need not wait. Raises WouldBlock, and nothing was done."""
        self.handles.require_room()
        path = self.path(request.path)
        if request.flags != Open.READ or self.drafts.of(path) is not None:
            raise WouldBlock
        download = self.home.begin_download(path, may_block=False)
        self._record.begin("download", str(path), total_bytes=download.size)
        return replies.handle(request.id, self.handles.add(OpenFile(path, download, reads=True)))

    def close_now(self, request: requests.Close) -> bytes:
        """CLOSE of what was only read. Raises WouldBlock for all else, and nothing was done."""
        self._require_download(request.handle)
        return self.close(request)

    def stat_now(self, request: requests.HandleStat) -> bytes:
        """FSTAT of what is only read. Raises WouldBlock for all else."""
        self._require_download(request.handle)
        return self.stat(request)

    def write(self, request: requests.Write) -> bytes:
        """WRITE (section 6.4)."""
        file = self.handles.file(request.handle)
        if not file.writes or not isinstance(file.source, Draft):
            raise Refused(Status.PERMISSION_DENIED, f"{file.path}: it was not opened for writing")
        _check_span(request.offset, len(request.data))
        file.source.write(request.data, None if file.appends else request.offset)
        self._moved(up=len(request.data))
        return _ok(request.id)

    def close(self, request: requests.Close) -> bytes:
        """CLOSE (section 6.3): a file that was written is in place when this has been answered."""
        opened = self.handles.remove(request.handle)
        if isinstance(opened, OpenFolder):
            opened.closing.close()
        else:
            self._close_file(opened)
        if not len(self.handles):
            self._record.rest()
        return _ok(request.id)

    def flush(self, request: requests.Flush) -> bytes:
        """fsync@openssh.com."""
        source = self.handles.file(request.handle).source
        if isinstance(source, Draft):
            source.flush()
        return _ok(request.id)

    def stat(self, request: requests.HandleStat) -> bytes:
        """FSTAT (section 6.8)."""
        opened = self.handles.present(request.handle)
        if isinstance(opened, OpenFile) and isinstance(opened.source, Draft) and not opened.source.ended:
            found = self.draft_attributes(opened.source)
        elif isinstance(opened, OpenFile) and isinstance(opened.source, Download):
            download = opened.source
            changed = download.mtime_ns // 10**9
            owner = owner_of(self.home.account)
            found = Attributes(download.whole_size, owner, _REGULAR | 0o600, (changed, changed))
        else:
            found = attributes_of(self.home.stat(opened.path), self.home.account)
        return replies.attributes(request.id, found)

    def set_stat(self, request: requests.HandleSetStat) -> bytes:
        """FSETSTAT (section 6.9). Of a file being written, modes and times take effect when it is in place."""
        opened = self.handles.present(request.handle)
        draft = opened.source if isinstance(opened, OpenFile) and isinstance(opened.source, Draft) else None
        if draft is not None and isinstance(opened, OpenFile) and not opened.writes:
            raise Refused(Status.PERMISSION_DENIED, f"{opened.path}: it was not opened for writing")
        self.change(opened.path, request.attributes, draft)
        return _ok(request.id)

    def copy_data(self, request: requests.CopyData) -> bytes:
        """copy-data: from one open file to another, within the server."""
        source, target = self.handles.file(request.source), self.handles.file(request.target)
        if not source.reads or not target.writes or not isinstance(target.source, Draft):
            raise Refused(Status.PERMISSION_DENIED, "open one file for reading and the other for writing")
        if source.source is target.source:
            raise Refused(Status.FAILURE, f"{source.path}: it cannot be copied onto itself")
        _check_span(request.offset, request.size)
        _check_span(request.target_offset, request.size)
        block = memoryview(bytearray(_COPY_BLOCK_BYTES))
        done = 0
        while not request.size or done < request.size:
            room = block[: request.size - done] if request.size else block
            count = self._read_into(source, room, request.offset + done, may_block=True)
            if not count:
                break
            target.source.write(block[:count], None if target.appends else request.target_offset + done)
            done += count
        return _ok(request.id)

    def change(self, path: VirtualPath, wanted: Attributes, draft: Draft | None) -> None:
        """Set what of `wanted` is said. Owners stay; who asks for another one is refused, before anything is done."""
        if wanted.owner is not None and wanted.owner != owner_of(self.home.account):
            raise Refused(
                Status.PERMISSION_DENIED, f"{path}: owners cannot be changed; all here belongs to the account"
            )
        modified_s = None if wanted.times is None else wanted.times[1]
        if draft is not None and not draft.ended:
            if wanted.size is not None:
                _check_span(wanted.size, 0)
                draft.resize(wanted.size)
            draft.set_later(wanted.mode, modified_s)
            return
        if wanted.size is not None:
            self._resize(path, wanted.size)
        if wanted.mode is not None:
            self.home.set_mode(path, wanted.mode)
        if modified_s is not None:
            self.home.set_modified(path, modified_s * 10**9)

    def draft_attributes(self, draft: Draft) -> Attributes:
        """What is known of a file being written."""
        return Attributes(draft.size, owner_of(self.home.account), _REGULAR | draft.mode)

    def end(self, reason: str) -> None:
        """The session has ended: what was written is kept, to be continued; what is open is closed."""
        for opened in self.handles.clear():
            if isinstance(opened, OpenFolder):
                opened.closing.close()
            elif isinstance(opened.source, Download):
                opened.source.abort(reason)
        self.drafts.close(reason)
        self._record.rest()

    # Within

    def _require_download(self, handle: bytes) -> None:
        opened = self.handles.get(handle)
        if not (isinstance(opened, OpenFile) and isinstance(opened.source, Download)):
            raise WouldBlock

    def _open_to_read(self, path: VirtualPath) -> OpenFile:
        draft = self.drafts.of(path)
        return OpenFile(path, draft or self.home.begin_download(path), reads=True)

    def _open_to_write(self, path: VirtualPath, flags: Open) -> OpenFile:
        create, truncate = bool(flags & Open.CREATE), bool(flags & Open.TRUNCATE)
        new = create and bool(flags & Open.EXCLUSIVE)
        draft = self.drafts.of(path)
        if draft is None:
            draft = self.drafts.begin(path, create=create, truncate=truncate, new=new)
        elif new:
            raise AlreadyExists(str(path))
        elif truncate:
            draft.resize(0)
        draft.writers += 1
        return OpenFile(path, draft, bool(flags & Open.READ), writes=True, appends=bool(flags & Open.APPEND))

    def _close_file(self, file: OpenFile) -> None:
        source = file.source
        if isinstance(source, Draft):
            if file.writes:
                self.drafts.release(source)
        elif source.remaining > 0:
            source.abort("closed before its end")
        else:
            source.finish()

    def _read(self, request: requests.Read, *, may_block: bool) -> bytes | bytearray:
        file = self.handles.file(request.handle)
        if not file.reads:
            raise Refused(Status.PERMISSION_DENIED, f"{file.path}: it was not opened for reading")
        size = min(request.size, MAX_DATA_BYTES)
        _check_span(request.offset, size)
        if isinstance(file.source, Download):  # what is behind the end needs no buffer
            size = max(0, min(size, file.source.size - request.offset))
        reply = bytearray(replies.DATA_HEAD_BYTES + size)
        count = self._read_into(file, memoryview(reply)[replies.DATA_HEAD_BYTES :], request.offset, may_block=may_block)
        if not count:
            return replies.status(request.id, Status.EOF, "end of the file")
        reply[: replies.DATA_HEAD_BYTES] = replies.data_head(request.id, count)
        if count < size:
            del reply[replies.DATA_HEAD_BYTES + count :]
        self._moved(down=count)
        return reply

    def _read_into(self, file: OpenFile, room: memoryview, position: int, *, may_block: bool) -> int:
        source = file.source
        if isinstance(source, Download):
            return read_at(source, room, position, may_block=may_block)
        if not may_block:
            raise WouldBlock
        if source.ended:  # it is in place now
            file.source = self.home.begin_download(file.path)
            return read_at(file.source, room, position)
        return source.read(room, position)

    def _resize(self, path: VirtualPath, size: int) -> None:
        _check_span(size, 0)
        draft = self.drafts.begin(path, create=False, truncate=False, new=False)
        draft.writers += 1
        try:
            draft.resize(size)
        except HomeportError as error:
            self.drafts.discard(draft)
            raise error from None
        self.drafts.release(draft)

    def _moved(self, *, up: int = 0, down: int = 0) -> None:
        self.uploaded += up
        self.downloaded += down
        self._record.moved_bytes += up + down


def _check_span(offset: int, size: int) -> None:
    """No file reaches beyond 2^63 bytes."""
    if offset + size >= 1 << 63:
        raise Refused(Status.FAILURE, f"no file is {offset + size} bytes long")


def _ok(request: int) -> bytes:
    return replies.status(request, Status.OK, "done")
