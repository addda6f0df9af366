"""The audit log: one JSON line an event, and one line a transfer in the xferlog format that other tools read.

The one rule: one event is one line, whatever names are in it, and a log that cannot be written never stops the
service. Lines are written by a thread, many at a time: a process killed with -9 loses those of its last moment
(`LINGER_S` and what the disk takes), no others.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from pathlib import Path
from types import NoneType
from typing import Any

from homeport.core.audit_events import MEMBERS, NAMES, Event, Transferred, Uploaded, Who

LINGER_S = 0.05
_MOST_WAITING = 100_000  # events; more are lost and counted rather than kept in memory while a disk hangs
_MOST_AT_ONCE = 1000

_log = logging.getLogger(__name__)


class LineFile:
    """A log file that several processes append to; made again when somebody moved it away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._torn = False
        self._failed = False
        self.lost = 0

    def append(self, lines: list[bytes]) -> None:
        """Write the lines, each with its end, in one go; when that fails they are lost, counted, and reported once."""
        if not lines:
            return
        block = (b"\n" if self._torn else b"") + b"".join(lines)
        try:
            self._open()
            assert self._file is not None
            written = os.write(self._file, block)
        except OSError as error:
            self._fail(len(lines), error.strerror or type(error).__name__)
            return
        self._torn = 0 < written < len(block) and block[written - 1 : written] != b"\n"
        if written < len(block):
            self._fail(block.count(b"\n", written), "the disk is full")
        elif self._failed:
            _log.warning("%s is written again; %d lines are lost in all", self._path.name, self.lost)
            self._failed = False

    def close(self) -> None:
        """Close the file; `append` opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        if self._file is not None and self._moved(self._file):
            self.close()
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(self._path, flags, 0o640)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                os.close(file)
                raise OSError(0, "it is not a regular file")
            self._file = file

    def _moved(self, file: int) -> bool:
        try:
            return not os.path.samestat(os.fstat(file), os.stat(self._path))
        except OSError:
            return True

    def _fail(self, lines: int, reason: str) -> None:
        self.lost += lines
        if not self._failed:
            _log.error("%s cannot be written: %s; its lines are lost until it can", self._path.name, reason)
            self._failed = True


class AuditLog:
    """The two files, for all threads of one process. `xferlog_path` None: no such file."""

    def __init__(
        self,
        audit_path: Path,
        xferlog_path: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._audit = LineFile(audit_path)
        self._xferlog = None if xferlog_path is None else LineFile(xferlog_path)
        self._clock = clock
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[float, Event]] = deque()
        self._overflow = 0
        self._writing = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()

    @property
    def lost(self) -> int:
        """Events and lines that could not be written."""
        return self._overflow + self._audit.lost + (self._xferlog.lost if self._xferlog else 0)

    def write(self, event: Event) -> None:
        """Note the event, with the time of now. Returns at once and never raises."""
        if len(self._waiting) >= self._most_waiting:
            self._overflow += 1
            return
        self._waiting.append((self._clock(), event))
        if self._thread is None:
            self._start()
        if not self._wake.is_set():  # a set one is cleared before what waits is written
            self._wake.set()

    def flush(self) -> None:
        """Write what is waiting now; returns when it has been handed to the kernel."""
        with self._writing:
            while self._waiting:
                self._write_some()

    def reopen(self) -> None:
        """Open the files anew, after a log rotation."""
        with self._writing:
            self._close_files()

    def close(self) -> None:
        """Write what is waiting and end the thread; later events are written by the next `flush` or `close`."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()
        with self._writing:
            self._close_files()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="homeport-audit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._stopping.wait(LINGER_S)
            self._wake.clear()
            try:
                self.flush()
            except Exception:  # noqa: BLE001  it is logged; one impossible event must not end the log
                _log.exception("an audit event could not be written")

    def _write_some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
        self._audit.append([json_line(moment, event) for moment, event in some])
        if self._xferlog is not None:
            transfers = [(moment, event) for moment, event in some if isinstance(event, Transferred)]
            self._xferlog.append([xferlog_line(moment, event) for moment, event in transfers])

    def _close_files(self) -> None:
        self._audit.close()
        if self._xferlog is not None:
            self._xferlog.close()


def json_line(moment: float, event: Event) -> bytes:
    """The event as one line of ASCII: everything else is escaped, undecodable bytes of names as lone surrogates."""
    second, micros = divmod(round(moment * 1_000_000), 1_000_000)
    kind = type(event)
    parts = [f'{{"time": "{_second_text(second)}.{micros // 1000:03d}Z", "event": {_NAMES[kind]}{_whose(event.who)}']
    for label, name in _MEMBERS[kind]:
        value = getattr(event, name)
        parts.append(label + _JSON_OF[type(value)](value))
    return "".join(parts).encode("ascii") + b"}\n"


# As json.dumps writes them, at a third of its price: a busy server writes thousands of lines a second.
_JSON_OF: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    float: float.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    NoneType: {None: "null"}.__getitem__,
}


_NAMES = {kind: encode_basestring_ascii(name) for kind, name in NAMES.items()}
# What stands before each of an event's own members, and the member's name.
_MEMBERS = {kind: tuple((f', "{name}": ', name) for name in names) for kind, names in MEMBERS.items()}


@functools.lru_cache(maxsize=1024)
def _whose(who: Who) -> str:
    """The members that all events of one session share."""
    return "".join(f', "{name}": {_JSON_OF[type(value)](value)}' for name, value in who.members())


@functools.lru_cache(maxsize=8)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


@functools.lru_cache(maxsize=8)
def _ctime(second: int) -> str:
    return time.ctime(second)


def xferlog_line(moment: float, event: Transferred) -> bytes:
    """The transfer as wu-ftpd wrote it (xferlog(5)): blanks and control characters of a field become `_`."""
    columns = (
        _ctime(int(moment)),
        str(max(1, round(event.seconds))),
        _field(event.who.peer),
        str(event.bytes),
        _field(event.path),
        "a" if event.ascii else "b",
        "_",  # no special action such as compression
        "i" if isinstance(event, Uploaded) else "o",
        "r",  # a real account, no guest
        _field(event.who.account),
        _field(event.who.protocol),
        "0",  # no ident lookup
        "*",
        "c" if event.complete else "i",
    )
    return " ".join(columns).encode("utf-8", "surrogateescape") + b"\n"


def _field(text: str | None) -> str:
    if text and text.isprintable() and " " not in text:  # as most are
        return text
    return "".join(map(_shown, text or "")) or "_"


def _shown(character: str) -> str:
    """The character itself, an undecodable byte of a name too; one that could forge a field or a line is `_`."""
    byte = 0xDC80 <= ord(character) <= 0xDCFF
    return character if byte or (character.isprintable() and character != " ") else "_"
