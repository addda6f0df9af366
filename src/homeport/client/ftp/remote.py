"""FtpRemote: the Remote interface over FTP, on whatever of it the server understands."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from homeport.client.errors import (
    ClientError,
    ConnectionFailed,
    Incompatible,
    IntegrityMismatch,
    ProtocolViolation,
    RemoteNotFound,
    ServerRefused,
)
from homeport.client.ftp.control import Asked, Control
from homeport.client.ftp.data import Data, Passive, open_data
from homeport.client.ftp.refusals import refusal
from homeport.client.remote import Abilities, Digest, Kind, RemoteEntry, Space, Told
from homeport.protocols.ftp import list_dialects, reply_reader
from homeport.protocols.ftp.reply_reader import ReplyError, ServerReply

MAX_LISTING_LINE_BYTES = 16 * 1024
_BLOCK_BYTES = 64 * 1024
_NOT_AS_EXPECTED = 551
_BAD_ARGUMENT = (500, 501, 504, 550, 553)
_MILLISECOND_US = 1000
# Below this, to send the file costs less than to ask whether there is room.
_ALLOCATED_FROM_BYTES = 1024 * 1024

# The commands for digests besides HASH, best first; what a server knows of them stands in FEAT.
_DIGEST_VERBS = {
    "SHA-256": ("XSHA256",),
    "SHA-512": ("XSHA512",),
    "SHA-1": ("XSHA1", "XSHA"),
    "MD5": ("XMD5",),
    "CRC32": ("XCRC",),
}
_KINDS = {"file": Kind.FILE, "dir": Kind.DIRECTORY, "cdir": Kind.DIRECTORY, "pdir": Kind.DIRECTORY}
_LISTED_KINDS = {kind.value: kind for kind in Kind}
_QUOTA = re.compile(r"Bytes: (\d{1,19}) used of (?:(\d{1,19})|any)")
_MODIFIED = re.compile(r"(\d{14})(\.\d+)?")


class FtpRemote:
    """One logged-in FTP connection. See `remote.Remote` for what each method promises."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._data: Data | None = None
        self._passive = Passive(control)
        self._sends_fractions = True
        self._hash_algorithm = _hash_in_use(control.features.get("HASH", ""))
        self.abilities = _abilities(control)

    # --- folders ---

    def list(self, path: str) -> Iterator[RemoteEntry]:
        verb, read = ("MLSD", self._machine_entry) if self.abilities.machine_listing else ("LIST", self._listed_entry)
        data = self._open(verb, path, doing=f"list {path}")
        try:
            for line in _lines(data):
                entry = read(line)
                if entry is not None and _is_file_name(entry.name):
                    yield entry
        except BaseException:  # whoever iterates has stopped early
            data.abort()
            raise
        finally:
            self._data = None
        data.finish()
        self._passive.prepare()

    def stat(self, path: str) -> RemoteEntry:
        if path == "/":
            return RemoteEntry("", Kind.DIRECTORY)
        if self.abilities.machine_listing:
            reply = self._control.must("MLST", path, doing=f"look at {path}")
            line = reply.lines[1].lstrip() if len(reply.lines) > 2 else b""
            entry = self._machine_entry(line, keep_self=True)
            if entry is None:
                raise ProtocolViolation(f"the server sent no entry for {path}")
            return RemoteEntry(_name_of(path), entry.kind, entry.size, entry.mtime, entry.mode)
        folder, name = _split(path)
        # Read to its end, or the connection would have to be given up.
        found = [entry for entry in self.list(folder) if entry.name == name]
        if found:
            return found[0]
        raise RemoteNotFound(f"{path}: no such file or folder on the server")

    def partial_size(self, path: str) -> int:
        verb, argument = ("SITE", f"RESUME {path}") if self.abilities.tells_partial_uploads else ("SIZE", path)
        reply = self._control.ask(verb, argument)
        with contextlib.suppress(ReplyError):
            return reply_reader.size(reply.text) if reply.code == 213 else 0
        return 0

    def make_directory(self, path: str) -> None:
        self._control.must("MKD", path, doing=f"make the folder {path}")

    def move(self, source: str, target: str) -> None:
        # Together: where the first fails, the second has nothing to rename.
        begun, done = self._control.send("RNFR", source), self._control.send("RNTO", target)
        self._control.accept(self._control.answer(begun), f"rename {source}")
        self._control.accept(self._control.answer(done), f"rename {source} to {target}")

    def remove_file(self, path: str) -> None:
        self._control.must("DELE", path, doing=f"remove {path}")

    def remove_directory(self, path: str) -> None:
        self._control.must("RMD", path, doing=f"remove the folder {path}")

    def set_mtime(self, path: str, mtime: float, *, told: Told | None = None) -> None:
        if not self.abilities.set_mtime:
            raise Incompatible("the server cannot set times (no MFMT)")
        if told is not None:
            self._ask_mtime(path, mtime, told, self._sends_fractions)
            return
        heard: list[ClientError | None] = []
        self._ask_mtime(path, mtime, heard.append, self._sends_fractions)
        self.settle()
        if heard[0] is not None:
            raise heard[0]

    def _ask_mtime(self, path: str, mtime: float, told: Told, with_fraction: bool) -> None:
        doing = f"set the time of {path}"
        moment = datetime.fromtimestamp(mtime, UTC)
        with_fraction = with_fraction and moment.microsecond >= _MILLISECOND_US
        stamp = moment.strftime("%Y%m%d%H%M%S")
        if with_fraction:
            stamp += f".{moment.microsecond // _MILLISECOND_US:03d}"

        def then(reply: ServerReply | None) -> None:
            if reply is None:
                told(ConnectionFailed(f"cannot {doing}: the connection was lost"))
            elif reply.is_success:
                told(None)
            elif with_fraction and reply.code in _BAD_ARGUMENT:
                self._sends_fractions = False  # RFC 3659 section 2.3 has them, but not every server
                self._ask_mtime(path, mtime, told, with_fraction=False)
            else:
                told(refusal(reply.code, self._control.text(reply), doing))

        self._control.send("MFMT", f"{stamp} {path}", then=then)

    def settle(self) -> None:
        self._control.settle()

    # --- transfers ---

    def open_reader(self, path: str, offset: int = 0, *, digest: str | None = None) -> FtpReader:
        data = self._open("RETR", path, offset=offset, doing=f"fetch {path}")
        asked = None
        if digest is not None and digest == self._hash_algorithm and self._control.answers_in_order:
            asked = self._control.send("HASH", path)
        return FtpReader(self, data, asked)

    def open_writer(
        self, path: str, offset: int = 0, *, size: int | None = None, expected: Digest | None = None
    ) -> FtpWriter:
        doing = f"store {path}"
        if size is not None and size >= _ALLOCATED_FROM_BYTES and "AVBL" in self._control.features:
            # Only a server that speaks of room takes ALLO seriously; to others it is one more round trip.
            self._control.must("ALLO", str(size), doing=doing)
        if expected is not None and size is not None and self.abilities.checks_uploads:
            # Not waited for: if the server has unlearnt it, digests are compared after the transfer all the same.
            self._control.send("SITE", f"EXPECT {size} {expected.value}")
        return FtpWriter(self, self._open("STOR", path, offset=offset, doing=doing), expected)

    # --- what else a server may know ---

    def digest(self, path: str, algorithm: str = "SHA-256", *, end: int | None = None) -> Digest:
        if algorithm not in self.abilities.digests:
            raise Incompatible(f"the server cannot tell a {algorithm} digest")
        if "HASH" in self._control.features:
            return self._hash(path, algorithm, end)
        verb = next(verb for verb in _DIGEST_VERBS[algorithm] if verb in self._control.features)
        argument = path if end is None else f'"{path}" 0 {end}'
        reply = self._control.must(verb, argument, doing=f"tell the digest of {path}")
        return self._digest_in(reply.text, algorithm)

    def _hash(self, path: str, algorithm: str, end: int | None) -> Digest:
        doing = f"tell the digest of {path}"
        if self._hash_algorithm != algorithm:
            self._control.must("OPTS", f"HASH {algorithm}", doing=doing)
            self._hash_algorithm = algorithm
        if end is not None:
            if not self.abilities.partial_digests:
                raise Incompatible("the server cannot tell the digest of a part (no RANG)")
            self._control.must("RANG", f"0 {end - 1}", doing=doing)
        return self._digest_in(self._control.must("HASH", path, doing=doing).text, algorithm)

    def _digest_in(self, text: bytes, algorithm: str) -> Digest:
        try:
            return Digest(algorithm, reply_reader.hash_value(text, algorithm=algorithm))
        except ReplyError as failure:
            raise ProtocolViolation(str(failure)) from failure

    def space(self) -> Space:
        used, quota = self._quota()
        if "AVBL" not in self._control.features:
            return Space(None, used, quota)
        reply = self._control.must("AVBL", doing="tell the room left")
        try:
            return Space(reply_reader.size(reply.text), used, quota)
        except ReplyError:
            return Space(None, used, quota)

    def _quota(self) -> tuple[int | None, int | None]:
        """Bytes used and allowed, as our own server tells them."""
        if "QUOTA" not in _site_words(self._control.features):
            return None, None
        reply = self._control.must("SITE", "QUOTA", doing="tell the quota")
        found = _QUOTA.search(self._control.text(reply))
        return (None, None) if found is None else (int(found[1]), None if found[2] is None else int(found[2]))

    def working_directory(self) -> str:
        reply = self._control.must("PWD", doing="tell the folder")
        try:
            return self._control.decode(reply_reader.quoted_path(reply.text))
        except ReplyError as failure:
            raise ProtocolViolation(str(failure)) from failure

    # --- ending ---

    def keep_alive(self) -> None:
        """A word so that neither the server nor a firewall on the way gives up an idle connection."""
        self._control.ask("NOOP")

    def interrupt(self) -> None:
        """From another thread: whatever this connection waits for fails now."""
        if self._data is not None:
            self._data.interrupt()
        self._control.interrupt()

    def close(self) -> None:
        if self._data is not None:
            self._data.abort()
        self._control.close(politely=True)

    @property
    def is_open(self) -> bool:
        return self._control.is_open

    def transfer_ended(self) -> None:
        """For readers and writers: the data connection is no longer this one's."""
        self._data = None

    def more_may_follow(self) -> None:
        """For readers and writers, after a transfer went well."""
        self._passive.prepare()

    def told_digest(self, asked: Asked) -> Digest | None:
        """For readers: the answer to a HASH that was sent behind the transfer."""
        reply = self._control.answer(asked)
        return self._digest_in(reply.text, self._hash_algorithm) if reply.is_success else None

    def _open(self, verb: str, path: str, *, offset: int = 0, doing: str) -> Data:
        if self._data is not None:
            self._data.abort()
            self._data = None
            raise ConnectionFailed("a transfer was left unfinished on this connection")
        self._data = open_data(self._control, self._passive, verb, path, offset=offset, doing=doing)
        return self._data

    # --- reading listings ---

    def _machine_entry(self, line: bytes, *, keep_self: bool = False) -> RemoteEntry | None:
        try:
            facts, raw_name = reply_reader.machine_entry(line)
        except ReplyError:
            return None
        kind_text = facts.get("type", "file").lower()
        if kind_text in ("cdir", "pdir") and not keep_self:
            return None
        kind = _KINDS.get(kind_text, Kind.LINK if "link" in kind_text else Kind.OTHER)
        return RemoteEntry(
            self._control.decode(raw_name),
            kind,
            _number(facts.get("size", facts.get("sizd", ""))) if kind is Kind.FILE else None,
            _moment(facts.get("modify", "")),
            _number(facts.get("unix.mode", ""), base=8),
        )

    def _listed_entry(self, line: bytes) -> RemoteEntry | None:
        listed = list_dialects.parse_line(self._control.decode(line), time.time())
        if listed is None:
            return None
        kind = _LISTED_KINDS[listed.kind]
        mtime = None if listed.mtime is None else float(listed.mtime)
        return RemoteEntry(listed.name, kind, listed.size if kind is Kind.FILE else None, mtime, listed.mode)


class FtpReader:
    """See `remote.Reader`. `asked` is the HASH that was sent behind the transfer, if one was."""

    def __init__(self, remote: FtpRemote, data: Data, asked: Asked | None) -> None:
        self._remote = remote
        self._data = data
        self._asked = asked

    def read_into(self, buffer: memoryview) -> int:
        return self._data.receive_into(buffer)

    def finish(self) -> Digest | None:
        self._remote.transfer_ended()
        digest = self._data.finish()
        if self._asked is not None:
            digest = self._remote.told_digest(self._asked)
        self._remote.more_may_follow()
        return digest

    def abort(self) -> None:
        self._remote.transfer_ended()
        self._data.abort()


class FtpWriter:
    """See `remote.Writer`."""

    def __init__(self, remote: FtpRemote, data: Data, expected: Digest | None) -> None:
        self._remote = remote
        self._data = data
        self._expected = expected

    def write(self, data: memoryview) -> None:
        try:
            self._data.send(data)
        except ServerRefused:
            self._remote.transfer_ended()
            raise

    def finish(self) -> Digest | None:
        self._remote.transfer_ended()
        try:
            digest = self._data.finish()
        except ServerRefused as refused:
            if self._expected is not None and refused.code == _NOT_AS_EXPECTED:
                raise IntegrityMismatch(
                    f"{refused.sentence}; the old file, if there is one, is untouched",
                    self._expected.value,
                    refused.reply,
                ) from refused
            raise
        self._remote.more_may_follow()
        return digest

    def abort(self) -> None:
        self._remote.transfer_ended()
        self._data.abort()


def _hash_in_use(listed: str) -> str:
    """The algorithm that a FEAT line such as `SHA-256*;SHA-512` marks, or nothing."""
    return next((word.rstrip("*").upper() for word in re.split(r"[;\s]+", listed) if word.endswith("*")), "")


def _site_words(features: dict[str, str]) -> list[str]:
    return re.findall(r"[A-Z]+", features.get("SITE", "").upper())


def _abilities(control: Control) -> Abilities:
    features = control.features
    by_hash = [word.rstrip("*").upper() for word in re.split(r"[;\s]+", features.get("HASH", "")) if word]
    by_verb = [name for name, verbs in _DIGEST_VERBS.items() if any(verb in features for verb in verbs)]
    site = _site_words(features)
    return Abilities(
        digests=tuple(by_hash if "HASH" in features else by_verb),
        partial_digests="RANG" in features if "HASH" in features else bool(by_verb),
        set_mtime="MFMT" in features,
        machine_listing="MLST" in features or "MLSD" in features,
        atomic_upload=control.answers_in_order,
        checks_uploads="EXPECT" in site,
        tells_partial_uploads="RESUME" in site,
        describe=control.greeting,
    )


def _lines(data: Data) -> Iterator[bytes]:
    """The lines of a listing, however they were cut into packets. Raises ProtocolViolation for an endless one."""
    pending = b""
    with memoryview(bytearray(_BLOCK_BYTES)) as buffer:
        while count := data.receive_into(buffer):
            *lines, pending = (pending + bytes(buffer[:count])).split(b"\n")
            if len(pending) > MAX_LISTING_LINE_BYTES:
                data.abort()
                raise ProtocolViolation(f"the server sent a listing line of more than {MAX_LISTING_LINE_BYTES} bytes")
            yield from (line.removesuffix(b"\r") for line in lines)
    if pending:
        yield pending.removesuffix(b"\r")


def _is_file_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder or "/", name


def _name_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _number(text: str, base: int = 10) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    """YYYYMMDDHHMMSS[.sss] in UTC (RFC 3659 section 2.3) as seconds since the epoch."""
    found = _MODIFIED.fullmatch(text)
    if found is None:
        return None
    try:
        whole = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return whole + float(found[2] or 0)
