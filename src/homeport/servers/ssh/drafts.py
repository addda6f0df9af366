"""Files that one SFTP session is writing, each shared by all its handles, until the last of them is closed.

The one rule: what was written badly is not put in place. Whoever was refused a byte and closes his handle all the
same hears the refusal again, and the old file stays.
"""

from __future__ import annotations

from homeport.core.entries import Entry, Kind
from homeport.core.errors import Busy, HomeportError, IsADirectory, NotARegularFile, NotFound
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.random_access import PatchedUpload, read_at
from homeport.core.rights import Rights
from homeport.core.transfer import Download
from homeport.protocols.sftp import requests

_NANO = 10**9
_NO_RIGHT = Rights.NONE


class Draft:
    """One file being written. Its methods block; one thread at a time calls them.

    Where a file is there and is to be kept, nothing begins before the first change: whoever opens a file to write and
    does not write leaves it as it was.
    """

    def __init__(self, home: Home, path: VirtualPath, there: Entry | None, upload: PatchedUpload | None) -> None:
        self.path = path
        self.writers = 0
        self.ended = False
        self._home = home
        self._there = there
        self._upload = upload
        self._old: Download | None = None
        self._failure: HomeportError | None = None
        self._expected: tuple[int | None, str | None] = (None, None)
        self._mode: int | None = None
        self._modified_s: int | None = None

    @property
    def size(self) -> int:
        """How long the file is now."""
        if self._upload is not None:
            self._upload.settle()
            return self._upload.size
        assert self._there is not None
        return self._there.size

    @property
    def mode(self) -> int:
        """The permission bits that it will have."""
        if self._mode is not None:
            return self._mode
        return self._there.mode if self._there is not None else 0o600

    def write(self, data: memoryview, offset: int | None) -> None:
        """Store `data` at byte `offset`; None: at the end. Raises what PatchedUpload.write_at does."""
        try:
            upload = self._begun()
            upload.write_at(data, upload.size if offset is None else offset)
        except HomeportError as error:
            self._failure = error
            raise

    def read(self, buffer: memoryview, position: int) -> int:
        """Fill `buffer` from byte `position` on; 0 at the end."""
        if self._upload is not None:
            return self._upload.read_at(buffer, position)
        if self._old is None:
            self._old = self._home.begin_download(self.path)
        return read_at(self._old, buffer, position)

    def resize(self, size: int) -> None:
        """Cut or stretch the file."""
        if size != self.size:
            self._begun().resize(size)

    def flush(self) -> None:
        """Have what was written on the disk."""
        if self._upload is not None:
            self._upload.flush()

    def expect(self, size: int | None, sha256: str | None) -> None:
        """The file is put in place only if it has then this size and SHA-256; None: any."""
        self._expected = (size, sha256)

    def set_later(self, mode: int | None, modified_s: int | None) -> None:
        """What the file is to have when it is in place; None leaves it."""
        self._mode = self._mode if mode is None else mode & 0o777
        self._modified_s = self._modified_s if modified_s is None else modified_s

    def finish(self) -> None:
        """Put the file in place. Raises what PatchedUpload.commit does, or why it cannot be."""
        self.ended = True
        self._let_go()
        upload = self._upload
        if upload is None:
            if self._modified_s is not None:
                self._home.set_modified(self.path, self._modified_s * _NANO)
        else:
            try:
                if self._failure is not None:
                    raise self._failure
                if self._modified_s is not None:
                    upload.modified_ns = self._modified_s * _NANO
                size, sha256 = self._expected
                upload.commit(expected_size=size, expected_sha256=sha256)
            except BaseException as error:
                upload.abort(str(error))
                raise
        if self._mode is not None:
            self._home.set_mode(self.path, self._mode)

    def abort(self, reason: str) -> None:
        """End without the file; what came is kept, to be continued."""
        self.ended = True
        self._let_go()
        if self._upload is not None:
            self._upload.abort(reason)

    def discard(self, reason: str) -> None:
        """End without the file, and throw away what came."""
        if self._upload is not None:
            self._upload.spoil()
        self.abort(reason)

    def _begun(self) -> PatchedUpload:
        if self._upload is None:
            self._upload = self._home.begin_patch(self.path, append=True)
            self._let_go()
        return self._upload

    def _let_go(self) -> None:
        old, self._old = self._old, None
        if old is not None:
            old.abort("read while it was being changed")


class Drafts:
    """All drafts of one session, by path."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._drafts: dict[VirtualPath, Draft] = {}

    def of(self, path: VirtualPath) -> Draft | None:
        """The draft of `path`, if there is one."""
        return self._drafts.get(path)

    def below(self, folder: VirtualPath) -> VirtualPath | None:
        """One that is being written in `folder` or deeper, or is `folder` itself: its way must last until it ends."""
        return next((path for path in self._drafts if path.is_within(folder)), None)

    def begin(self, path: VirtualPath, *, create: bool, truncate: bool, new: bool) -> Draft:
        """A new draft of `path`. `create`: it need not be there; `truncate`: it begins empty; `new`: it must not be."""
        there = self._kept(path) if not (create and (new or truncate)) else None
        if there is None and not create and not self._home.partial_size(path):
            raise NotFound(str(path))
        upload: PatchedUpload | None = None
        if new or truncate:
            upload = self._home.begin_patch(path, new=new)
        elif there is None:
            upload = self._home.begin_patch(path, append=True)
        draft = self._drafts[path] = Draft(self._home, path, there, upload)
        return draft

    def resume(self, request: requests.BeginUpload, path: VirtualPath) -> Draft:
        """A new draft that goes on with what an earlier upload left, or what is there; see BeginUpload."""
        if path in self._drafts:
            raise Busy(str(path))
        upload = self._home.begin_patch(path, offset=request.offset, append=request.append, expected_size=request.size)
        draft = self._drafts[path] = Draft(self._home, path, None, upload)
        draft.expect(request.size, request.sha256)
        return draft

    def release(self, draft: Draft) -> None:
        """A handle that wrote was closed; with the last one the file is put in place. Raises what Draft.finish does."""
        draft.writers -= 1
        if not draft.writers and not draft.ended:
            self._forget(draft)
            draft.finish()

    def discard(self, draft: Draft) -> None:
        """Its name was removed: it will not appear."""
        self._forget(draft)
        draft.discard("removed while it was being written")

    def close(self, reason: str) -> None:
        """The session has ended."""
        for draft in list(self._drafts.values()):
            self._forget(draft)
            draft.abort(reason)

    def _forget(self, draft: Draft) -> None:
        if self._drafts.get(draft.path) is draft:
            del self._drafts[draft.path]

    def _kept(self, path: VirtualPath) -> Entry | None:
        """The file that is there, if it may be changed; None where there is nothing."""
        try:
            there = self._home.find(path, _NO_RIGHT)
        except NotFound:
            return None
        if there.kind is Kind.DIRECTORY:
            raise IsADirectory(str(path))
        if there.kind is not Kind.FILE:
            raise NotARegularFile(str(path))
        return self._home.find(path, Rights.OVERWRITE)
