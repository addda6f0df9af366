"""SFTP's requests about names: folders, attributes, renames, links, digests, and what the server can.

The one rule: nothing is answered from the text of a path alone but REALPATH and its kin; all else asks the home.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from homeport.core.errors import Busy, DirectoryNotEmpty, NotFound
from homeport.core.paths import ROOT, VirtualPath
from homeport.core.rights import Rights
from homeport.protocols.sftp import replies, requests
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import MAX_DATA_BYTES, MAX_PACKET_BYTES, Status
from homeport.protocols.sftp.requests import NO_QUOTA
from homeport.protocols.sftp.wire import string, text, u64
from homeport.servers.ssh.entries import attributes_of, name_of, owner_of
from homeport.servers.ssh.errors import Refused
from homeport.servers.ssh.handles import OpenFolder
from homeport.servers.ssh.sftp_files import SftpFiles

EXTENSIONS = (
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
    ("check-file", "1"),
    ("upload@homeport", "1"),
    ("reserve@homeport", "1"),
    ("partial-size@homeport", "1"),
    ("usage@homeport", "1"),
)

_NAMES_AT_ONCE = 128
_BLOCK_BYTES = 1024  # of what statvfs counts
_LARGE = 1 << 50  # blocks or files of an account without a limit
_NAME_MAX = 255
_DIGEST_BLOCK_LEAST = 256  # draft-ietf-secsh-filexfer-extensions-00 section 3
_DIGESTS_AT_ONCE = 2048
_ALGORITHMS = {
    "sha256": "SHA-256",
    "sha512": "SHA-512",
    "sha1": "SHA-1",
    "md5": "MD5",
}


class SftpNames:
    """The requests of one session that need no open file, or only its name. Its methods block."""

    def __init__(self, files: SftpFiles, clock: Callable[[], float] = time.time) -> None:
        self._files = files
        self._home = files.home
        self._clock = clock

    # Looking

    def stat(self, request: requests.Stat) -> bytes:
        """STAT (section 6.8): an interrupted upload shows how much of it is there, for clients that go on with it."""
        path = self._files.path(request.path)
        draft = self._files.drafts.of(path)
        if draft is not None:
            return replies.attributes(request.id, self._files.draft_attributes(draft))
        try:
            found = attributes_of(self._home.stat(path), self._home.account)
        except NotFound:
            found = Attributes(self._home.resume_size(path), owner_of(self._home.account), 0o100600)
        return replies.attributes(request.id, found)

    def link_stat(self, request: requests.LinkStat) -> bytes:
        """LSTAT (section 6.8)."""
        path = self._files.path(request.path)
        draft = self._files.drafts.of(path)
        if draft is not None:
            return replies.attributes(request.id, self._files.draft_attributes(draft))
        found = self._home.stat(path, follow=False)
        return replies.attributes(request.id, attributes_of(found, self._home.account))

    def open_folder(self, request: requests.OpenFolder) -> bytes:
        """OPENDIR (section 6.7)."""
        self._files.handles.require_room()
        path = self._files.path(request.path)
        dots = [self._home.stat(path)._replace(name="."), self._home.stat(path.parent)._replace(name="..")]
        closing = ExitStack()
        entries = closing.enter_context(self._home.list(path, through_links=False))
        opened = OpenFolder(path, itertools.chain(dots, entries), closing)
        return replies.handle(request.id, self._files.handles.add(opened))

    def read_folder(self, request: requests.ReadFolder) -> bytes:
        """READDIR (section 6.7)."""
        folder = self._files.handles.folder(request.handle)
        now, account = self._clock(), self._home.account
        names = [name_of(entry, account, now) for entry in itertools.islice(folder.entries, _NAMES_AT_ONCE)]
        if not names:
            return replies.status(request.id, Status.EOF, "end of the folder")
        return replies.names(request.id, names)

    def real_path(self, request: requests.RealPath | requests.ExpandPath) -> bytes:
        """REALPATH (section 6.11) and expand-path@openssh.com, which knows `~`."""
        said = request.path
        if isinstance(request, requests.ExpandPath) and said.startswith("~"):
            name, _, rest = said[1:].partition("/")
            self._require_own(name)
            said = f"/{rest}"
        return self._path(request.id, self._files.path(said))

    def home_folder(self, request: requests.HomeFolder) -> bytes:
        """home-directory: everybody's home is his root."""
        self._require_own(request.name)
        return self._path(request.id, ROOT)

    def read_link(self, request: requests.ReadLink) -> bytes:
        """READLINK (section 6.10)."""
        target = self._home.read_link(self._files.path(request.path))
        return replies.names(request.id, [replies.Name(target, target, Attributes())])

    def file_system(self, request: requests.FileSystem | requests.HandleFileSystem) -> bytes:
        """statvfs@openssh.com and its like: the account's quota is its file system."""
        if isinstance(request, requests.HandleFileSystem):
            self._files.handles.get(request.handle)
        else:
            self._home.stat(self._files.path(request.path))
        usage, free = self._home.usage(), self._home.free_bytes() // _BLOCK_BYTES
        total = usage.quota_bytes // _BLOCK_BYTES if usage.quota_bytes is not None else None
        blocks = free + -(-usage.used_bytes // _BLOCK_BYTES) if total is None else total
        files = _LARGE if usage.max_files is None else usage.max_files
        files_free = max(0, files - usage.used_files)
        numbers = (_BLOCK_BYTES, _BLOCK_BYTES, blocks, free, free, files, files_free, files_free, 0, 0, _NAME_MAX)
        return replies.extended(request.id, b"".join(map(u64, numbers)))

    def usage(self, request: requests.Usage) -> bytes:
        """usage@homeport: to the byte, and apart from what the disk has."""
        usage, free = self._home.usage(), self._home.free_bytes()
        quota = NO_QUOTA if usage.quota_bytes is None else usage.quota_bytes
        return replies.extended(request.id, u64(free) + u64(usage.used_bytes) + u64(quota))

    def limits(self, request: requests.Limits) -> bytes:
        """limits@openssh.com."""
        numbers = (MAX_PACKET_BYTES, MAX_DATA_BYTES, MAX_DATA_BYTES, self._files.handles.most)
        return replies.extended(request.id, b"".join(map(u64, numbers)))

    def names_of_ids(self, request: requests.NamesOfIds) -> bytes:
        """users-groups-by-id@openssh.com: only the account itself has a name here."""
        account = self._home.account
        own = owner_of(account)[0]

        def known(ids: tuple[int, ...]) -> bytes:
            return b"".join(text(account.name if number == own else "") for number in ids)

        return replies.extended(request.id, string(known(request.users)) + string(known(request.groups)))

    def check_file(self, request: requests.CheckFile) -> bytes:
        """check-file (draft-ietf-secsh-filexfer-extensions-00 section 3)."""
        path = self._digested(request)
        name = next((name for name in request.algorithms if name.lower() in _ALGORITHMS), None)
        if name is None:
            raise Refused(Status.OP_UNSUPPORTED, f"digests are made with {', '.join(_ALGORITHMS)}")
        size = self._home.find(path, Rights.NONE).size
        end = min(size, request.offset + request.size) if request.size else size
        step = request.block or max(1, end - request.offset)
        if request.block and request.block < _DIGEST_BLOCK_LEAST:
            raise Refused(Status.FAILURE, f"blocks have at least {_DIGEST_BLOCK_LEAST} bytes")
        starts = range(request.offset, max(end, request.offset + 1), step)
        if len(starts) > _DIGESTS_AT_ONCE:
            raise Refused(Status.FAILURE, f"more than {_DIGESTS_AT_ONCE} digests at once; take larger blocks")
        algorithm = _ALGORITHMS[name.lower()]
        digests = [self._home.digest(path, algorithm, start, min(end, start + step)) for start in starts]
        return replies.extended(request.id, text("check-file") + text(name) + bytes.fromhex("".join(digests)))

    def md5(self, request: requests.Md5) -> bytes:
        """md5-hash (the same draft, section 4)."""
        path = self._digested(request)
        size = self._home.find(path, Rights.NONE).size
        end = min(size, request.offset + request.size) if request.size else size
        digest = bytes.fromhex(self._home.digest(path, "MD5", request.offset, max(end, request.offset)))
        return replies.extended(request.id, text("md5-hash") + string(digest))

    # Changing

    def make_folder(self, request: requests.MakeFolder) -> bytes:
        """MKDIR (section 6.6); its mode is the server's affair."""
        self._home.make_directory(self._files.path(request.path))
        return _done(request.id)

    def remove_folder(self, request: requests.RemoveFolder) -> bytes:
        """RMDIR (section 6.6)."""
        path = self._files.path(request.path)
        if self._files.drafts.below(path) is not None:
            raise DirectoryNotEmpty(str(path))
        self._home.remove_directory(path)
        return _done(request.id)

    def remove(self, request: requests.Remove) -> bytes:
        """REMOVE (section 6.5): of a file that this session is writing nothing will appear."""
        path = self._files.path(request.path)
        draft = self._files.drafts.of(path)
        if draft is None:
            self._home.remove_file(path)
            return _done(request.id)
        self._files.drafts.discard(draft)
        with suppress(NotFound):  # there was nothing but what was being written, and nothing of it was kept
            self._home.remove_file(path)
        return _done(request.id)

    def rename(self, request: requests.Rename | requests.PosixRename) -> bytes:
        """RENAME (section 6.5), which replaces nothing, and posix-rename@openssh.com, which does."""
        source, target = self._files.path(request.source), self._files.path(request.target)
        if (writing := self._files.drafts.below(source)) is not None:
            raise Busy(str(writing))
        self._home.rename(source, target, replace=isinstance(request, requests.PosixRename))
        return _done(request.id)

    def set_stat(self, request: requests.SetStat | requests.LinkSetStat) -> bytes:
        """SETSTAT (section 6.9) and lsetstat@openssh.com."""
        path = self._files.path(request.path)
        self._files.change(path, request.attributes, self._files.drafts.of(path))
        return _done(request.id)

    # Refused

    @staticmethod
    def make_link(request: requests.MakeLink | requests.HardLink) -> bytes:
        """SYMLINK and hardlink@openssh.com."""
        why = "links are not made here: every name has its own bytes in the quota"
        return replies.status(request.id, Status.OP_UNSUPPORTED, why)

    @staticmethod
    def unknown(request: requests.Unknown) -> bytes:
        """Whatever is in no table."""
        return replies.status(request.id, Status.OP_UNSUPPORTED, f"{request.name} is not supported here")

    # Within

    def _path(self, request: int, path: VirtualPath) -> bytes:
        return replies.names(request, [replies.Name(str(path), str(path), Attributes())])

    def _require_own(self, name: str) -> None:
        if name not in ("", self._home.account.name):
            raise Refused(Status.NO_SUCH_FILE, "other accounts' homes are not visible here")

    def _digested(self, request: requests.CheckFile | requests.Md5) -> VirtualPath:
        if request.path is not None:
            path = self._files.path(request.path)
        else:
            assert request.handle is not None
            path = self._files.handles.file(request.handle).path
        if self._files.drafts.of(path) is not None:
            raise Busy(str(path))
        return path


def _done(request: int) -> bytes:
    return replies.status(request, Status.OK, "done")
