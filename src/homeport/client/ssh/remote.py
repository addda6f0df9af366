"""SftpRemote: the Remote interface over SFTP version 3, on whatever of it and of its extensions the server has."""

from __future__ import annotations

import stat as stat_bits
from collections.abc import Iterator

from homeport.client.errors import (
    ClientError,
    Incompatible,
    ProtocolViolation,
    RemoteExists,
    RemoteNotFound,
    ServerRefused,
    UsageError,
)
from homeport.client.remote import Abilities, Digest, Kind, RemoteEntry, Space, Told
from homeport.client.ssh import extensions
from homeport.client.ssh.link import Asked, Link
from homeport.client.ssh.transfers import WINDOW_BYTES, Opened, SftpReader, SftpWriter
from homeport.protocols.sftp import asking
from homeport.protocols.sftp.answered import (
    AttributesAnswer,
    Entry,
    HandleAnswer,
    NamesAnswer,
    StatusAnswer,
)
from homeport.protocols.sftp.attributes import Attributes
from homeport.protocols.sftp.constants import Open, Status, Type

MAX_USELESS_ANSWERS = 1000  # of one listing: without a name that could be a file's
_LAST_SECOND = 2**32 - 1
_KINDS = {
    stat_bits.S_IFREG: Kind.FILE,
    stat_bits.S_IFDIR: Kind.DIRECTORY,
    stat_bits.S_IFLNK: Kind.LINK,
}


class SftpRemote:
    """One logged-in SSH connection with its SFTP subsystem. See `remote.Remote` for what each method promises."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._extended = extensions.Extended(link)
        here, limits = link.send(asking.about, Type.REALPATH, b"."), self._extended.ask_limits()
        self._extended.folder = link.expect(NamesAnswer, here, "tell the folder").entries[0].name
        self._extended.learn_sizes(limits)
        self.abilities = Abilities(
            digests=self._extended.digests,
            partial_digests=bool(self._extended.digests),
            set_mtime=True,
            machine_listing=True,
            atomic_upload=link.connection.is_ours,
            checks_uploads=self._extended.checks_uploads,
            tells_partial_uploads=self._extended.tells_partial_sizes,
            # Of other servers some write in parallel, and all go on after a write that has failed.
            unsure_tail_bytes=0 if link.connection.is_ours else WINDOW_BYTES + self._extended.sizes.write,
            describe=link.connection.version,
        )

    # --- folders ---

    def list(self, path: str) -> Iterator[RemoteEntry]:
        doing = f"list {path}"
        handle = self._link.expect(HandleAnswer, self._ask(Type.OPENDIR, path), doing).handle
        useless = 0
        try:
            while True:
                answer = self._link.answer(self._link.send(asking.about, Type.READDIR, handle))
                if isinstance(answer, StatusAnswer) and answer.code == Status.EOF:
                    return
                entries = self._link.accept(NamesAnswer, answer, doing).entries
                wanted = [entry for entry in entries if _is_file_name(entry.name)]
                useless = 0 if wanted else useless + 1
                if useless > MAX_USELESS_ANSWERS:
                    raise ProtocolViolation(f"the listing of {path} does not end")
                yield from map(self._entry, wanted)
        finally:
            self._link.let_go(handle)

    def stat(self, path: str) -> RemoteEntry:
        # Both at once: what the name stands for, and whether it is a link.
        own, followed = (self._ask(kind, path) for kind in (Type.LSTAT, Type.STAT))
        doing = f"look at {path}"
        itself = self._described(path, self._link.expect(AttributesAnswer, own, doing).attributes)
        try:
            target = self._described(path, self._link.expect(AttributesAnswer, followed, doing).attributes)
        except ServerRefused:
            return itself  # a link that leads nowhere
        if itself.kind is not Kind.LINK:
            return target
        return RemoteEntry(target.name, target.kind, target.size, target.mtime, target.mode, is_link=True)

    def partial_size(self, path: str) -> int:
        if self._extended.tells_partial_sizes:
            return self._extended.partial_size(self._encode(path), f"look at {path}")
        asked = self._ask(Type.STAT, path)
        try:
            return self._link.expect(AttributesAnswer, asked, f"look at {path}").attributes.size or 0
        except RemoteNotFound:
            return 0

    def make_directory(self, path: str) -> None:
        self._link.confirm(self._link.send(asking.make_folder, self._encode(path)), f"make the folder {path}")

    def move(self, source: str, target: str) -> None:
        raw_source, raw_target = self._encode(source), self._encode(target)
        doing = f"rename {source} to {target}"
        if self._extended.can_replace:
            self._link.confirm(self._extended.ask_replace(raw_source, raw_target), doing)
            return
        try:
            self._link.confirm(self._link.send(asking.rename, raw_source, raw_target), doing)
        except ServerRefused as refused:
            if refused.code == Status.FAILURE and self._exists(target):
                raise RemoteExists(refused.sentence, refused.code, refused.reply) from refused
            raise

    def remove_file(self, path: str) -> None:
        self._link.confirm(self._ask(Type.REMOVE, path), f"remove {path}")

    def remove_directory(self, path: str) -> None:
        self._link.confirm(self._ask(Type.RMDIR, path), f"remove the folder {path}")

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        heard: list[ClientError | None] = []
        tell = told or heard.append
        second = int(mtime // 1)
        if 0 <= second <= _LAST_SECOND:
            self._ask_mtime(path, second, tell)
        else:
            tell(Incompatible(f"{path}: SFTP knows no times before 1970 and after 2106"))
        if told is None:
            self.settle()
            if heard[0] is not None:
                raise heard[0]

    def _ask_mtime(self, path: str, second: int, tell: Told) -> None:
        def then(asked: Asked) -> None:
            failure = asked.failure
            if failure is None and asked.reply is not None:
                try:
                    self._link.accept(StatusAnswer, asked.reply, f"set the time of {path}")
                except ClientError as refused:
                    failure = refused
            tell(failure)

        self._link.send_then(then, asking.set_attributes, self._encode(path), Attributes(times=(second, second)))

    def settle(self) -> None:
        self._link.settle()

    # --- transfers ---

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> SftpReader:
        opened = self._open(path, Open.READ, f"fetch {path}")
        told = None
        if digest is not None and digest in self.abilities.digests and self._extended.tells_kept_digests:
            told = (digest, self._extended.ask_digest(self._encode(path), digest, None))
        return SftpReader(opened, offset, told)

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> SftpWriter:
        doing = f"store {path}"
        if (
            self._extended.checks_uploads
            and expected is not None
            and size is not None
            and expected.algorithm == "SHA-256"
        ):
            asked = self._extended.ask_upload(self._encode(path), offset, size, expected)
            return SftpWriter(self._opened(asked, doing), offset, expected)
        # What was not begun anew must be there: else a beginning would be missing.
        how = Open.WRITE if offset else Open.WRITE | Open.CREATE | Open.TRUNCATE
        return SftpWriter(self._open(path, how, doing), offset, None)

    def _open(self, path: str, how: Open, doing: str) -> Opened:
        return self._opened(self._link.send(asking.open_file, self._encode(path), how), doing)

    def _opened(self, asked: Asked, doing: str) -> Opened:
        return Opened(self._link, self._extended, self._link.expect(HandleAnswer, asked, doing).handle, doing)

    # --- what else a server may know ---

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        if algorithm not in self.abilities.digests:
            raise Incompatible(f"the server cannot tell a {algorithm} digest")
        asked = self._extended.ask_digest(self._encode(path), algorithm, end)
        return self._extended.digest_in(asked, algorithm, f"tell the digest of {path}")

    def space(self) -> Space:
        return self._extended.space()

    def working_directory(self) -> str:
        asked = self._link.send(asking.about, Type.REALPATH, b".")
        return self._name_in(self._link.expect(NamesAnswer, asked, "tell the folder"))

    # --- ending ---

    @property
    def is_open(self) -> bool:
        return self._link.is_open

    def interrupt(self) -> None:
        """From another thread: whatever this connection waits for fails now."""
        self._link.connection.interrupt()

    def close(self) -> None:
        self._link.close()

    # --- names and attributes ---

    def _encode(self, path: str) -> bytes:
        """A path as the server knows it. Raises UsageError."""
        if "\0" in path:
            raise UsageError(f"{path!r}: a name cannot hold NUL")
        try:
            return path.encode(self._link.charset, "surrogateescape")
        except UnicodeEncodeError:
            raise UsageError(f"{path!r} cannot be written in the charset {self._link.charset}") from None

    def _decode(self, raw: bytes) -> str:
        return raw.decode(self._link.charset, "surrogateescape")

    def _ask(self, kind: Type, path: str) -> Asked:
        return self._link.send(asking.about, kind, self._encode(path))

    def _name_in(self, answer: NamesAnswer) -> str:
        if len(answer.entries) != 1:
            raise ProtocolViolation(f"the server names {len(answer.entries)} folders where there is one")
        name = self._decode(answer.entries[0].name)
        return name if name.startswith("/") else f"/{name}"

    def _exists(self, path: str) -> bool:
        try:
            self._link.expect(AttributesAnswer, self._ask(Type.LSTAT, path), "look")
        except ServerRefused:
            return False
        return True

    def _entry(self, entry: Entry) -> RemoteEntry:
        return _remote_entry(self._decode(entry.name), entry.attributes)

    def _described(self, path: str, attributes: Attributes) -> RemoteEntry:
        return _remote_entry(path.rstrip("/").rpartition("/")[2], attributes)


def _remote_entry(name: str, attributes: Attributes) -> RemoteEntry:
    mode = attributes.mode
    if mode is None:  # without its kind; who tells a size most likely speaks of a file
        kind = Kind.OTHER if attributes.size is None else Kind.FILE
    else:
        kind = _KINDS.get(stat_bits.S_IFMT(mode), Kind.OTHER)
    size = attributes.size if kind is Kind.FILE else None
    mtime = None if attributes.times is None else float(attributes.times[1])
    return RemoteEntry(name, kind, size, mtime, mode)


def _is_file_name(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
