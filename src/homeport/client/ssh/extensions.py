"""What servers know beyond version 3: renaming over a file, the room left, sizes of requests, digests.

The one rule: an extension is used only where the server has named it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from homeport.client.errors import ClientError, ProtocolViolation, ServerRefused
from homeport.client.remote import Digest, Space
from homeport.client.ssh.link import Asked, Link
from homeport.protocols.sftp import asking
from homeport.protocols.sftp.answered import ExtendedAnswer
from homeport.protocols.sftp.requests import NO_QUOTA, UPLOAD_HAS_SIZE
from homeport.protocols.sftp.wire import Malformed, Reader, string, u32, u64

_POSIX_RENAME = b"posix-rename@openssh.com"
_STATVFS = b"statvfs@openssh.com"
_LIMITS = b"limits@openssh.com"
_CHECK_FILE = b"check-file"
_CHECK_FILE_NAME = b"check-file-name"
_UPLOAD = b"upload@homeport"
_PARTIAL_SIZE = b"partial-size@homeport"
_USAGE = b"usage@homeport"

# What every server takes (draft-ietf-secsh-filexfer-02 section 3), and what is worth asking for at once.
_LEAST_BYTES = 32 * 1024
_MOST_BYTES = 255 * 1024
_ALGORITHMS = {"SHA-256": "sha256", "SHA-512": "sha512", "SHA-1": "sha1", "MD5": "md5", "CRC32": "crc32"}
_DIGEST_BYTES = {"SHA-256": 32, "SHA-512": 64, "SHA-1": 20, "MD5": 16, "CRC32": 4}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many bytes one request may read or write."""

    read: int = _LEAST_BYTES
    write: int = _LEAST_BYTES


class Extended:
    """The extensions of one session."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._names = link.extensions
        self.folder = b"/"
        self.sizes = Sizes()
        self.can_replace = _POSIX_RENAME in self._names
        self.checks_uploads = _UPLOAD in self._names
        self.tells_partial_sizes = _PARTIAL_SIZE in self._names
        self.digests = self._known_digests()
        # Ours keeps the digests of whole files; others would read the file to tell one.
        self.tells_kept_digests = link.connection.is_ours

    def ask_limits(self) -> Asked | None:
        """The question for `sizes`, if the server knows it."""
        if _LIMITS not in self._names:
            return None
        return self._link.send(asking.extended, _LIMITS)

    def learn_sizes(self, asked: Asked | None) -> None:
        """What a server says of itself; 0 means that it does not say."""
        if asked is None:
            return
        try:
            reader = self._reader(self._link.expect(ExtendedAnswer, asked, "tell its limits"))
            _packet, read, write = reader.u64(), reader.u64(), reader.u64()
        except (ServerRefused, Malformed):
            return
        self.sizes = Sizes(_within(read), _within(write))

    def ask_replace(self, source: bytes, target: bytes) -> Asked:
        """Ask for a rename that may replace a file, as `can_replace` promises."""
        return self._link.send(asking.extended, _POSIX_RENAME, string(source), string(target))

    def ask_upload(self, path: bytes, offset: int, size: int, expected: Digest) -> Asked:
        """Ask to open a file that gets its name only if it has this size and SHA-256, as `checks_uploads` promises."""
        sha256 = string(expected.value.encode("ascii"))
        fields = (string(path), u32(UPLOAD_HAS_SIZE), u64(offset), u64(size), sha256)
        return self._link.send(asking.extended, _UPLOAD, *fields)

    def partial_size(self, path: bytes, doing: str) -> int:
        """How much of an interrupted upload is kept, as `tells_partial_sizes` promises."""
        asked = self._link.send(asking.extended, _PARTIAL_SIZE, string(path))
        try:
            return self._reader(self._link.expect(ExtendedAnswer, asked, doing)).u64()
        except Malformed as failure:
            raise ProtocolViolation(f"the server's word on an unfinished upload cannot be read: {failure}") from failure

    def ask_digest(self, path: bytes, algorithm: str, end: int | None) -> Asked:
        """Ask for the digest of a file, or of its first `end` bytes."""
        name = _ALGORITHMS[algorithm].encode("ascii")
        fields = (string(path), string(name), u64(0), u64(end or 0), u32(0))
        return self._link.send(asking.extended, _CHECK_FILE_NAME, *fields)

    def digest_in(self, asked: Asked, algorithm: str, doing: str) -> Digest:
        """The digest in the answer. Some repeat the request's name before the algorithm's, the draft does not."""
        reader = self._reader(self._link.expect(ExtendedAnswer, asked, doing))
        try:
            name = bytes(reader.bytes_())
            if name.startswith(_CHECK_FILE):
                name = bytes(reader.bytes_())
            value = bytes(reader.rest())
        except Malformed as failure:
            raise ProtocolViolation(f"the server's digest cannot be read: {failure}") from failure
        if name != _ALGORITHMS[algorithm].encode("ascii") or len(value) != _DIGEST_BYTES[algorithm]:
            raise ProtocolViolation(f"the server was asked for a {algorithm} digest and told something else")
        return Digest(algorithm, value.hex())

    def is_full(self, needed: int) -> bool:
        """Whether the server has no room for so many bytes more. For a server that fails without a reason."""
        try:
            free = self.space().free_bytes
        except ClientError:
            return False
        return free is not None and free < needed

    def space(self) -> Space:
        """The room where the login leads."""
        if _USAGE in self._names:
            return self._usage()
        if _STATVFS not in self._names:
            return Space(None)
        asked = self._link.send(asking.extended, _STATVFS, string(self.folder))
        reader = self._reader(self._link.expect(ExtendedAnswer, asked, "tell the room left"))
        try:
            _block, fragment, _blocks, _free, available = struct.unpack(">5Q", reader.rest()[:40])
        except struct.error:
            raise ProtocolViolation("the server's word on the room left cannot be read") from None
        return Space(available * fragment)  # what is used is more than this account's

    def _usage(self) -> Space:
        reader = self._reader(
            self._link.expect(ExtendedAnswer, self._link.send(asking.extended, _USAGE), "tell the room")
        )
        try:
            free, used, quota = reader.u64(), reader.u64(), reader.u64()
        except Malformed as failure:
            raise ProtocolViolation(f"the server's word on the room left cannot be read: {failure}") from failure
        return Space(free, used, None if quota == NO_QUOTA else quota)

    def _known_digests(self) -> tuple[str, ...]:
        if self._link.connection.is_ours:
            return tuple(name for name in _ALGORITHMS if name != "CRC32")
        data = next((self._names[name] for name in (_CHECK_FILE, _CHECK_FILE_NAME) if name in self._names), None)
        if data is None:
            return ()
        named = data.decode("ascii", "replace").lower().replace("-", "").split(",")
        found = tuple(name for name, word in _ALGORITHMS.items() if word in named)
        return found or ("MD5",)

    def _reader(self, answer: ExtendedAnswer) -> Reader:
        return Reader(answer.body)


def _within(limit: int) -> int:
    return min(limit, _MOST_BYTES) if limit else _LEAST_BYTES
