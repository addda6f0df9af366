"""One session of the chat, either side: sealed datagrams in, whole messages in order out, over a network that loses,
doubles, reorders and forges. No I/O: `now` comes in, and datagrams with the address where each belongs go out.

The one rule: what is not authentic changes nothing and is answered by nothing; and to an address that has not proven
that it hears us, nothing goes but one challenge, no longer than what came from there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from homeport.protocols.chat.frames import (
    CHALLENGE_BYTES,
    HEADER_BYTES,
    MAX_PLAIN_BYTES,
    PROOF_BYTES,
    PROOF_FRAME_BYTES,
    SEGMENT_HEAD_BYTES,
    Ack,
    BadDatagram,
    Challenge,
    Close,
    Frame,
    Header,
    Ping,
    Response,
    Segment,
    pack_frame,
    pack_header,
    read_frames,
    read_header,
)
from homeport.protocols.chat.receiving import Receiving
from homeport.protocols.chat.replay import ReplayWindow
from homeport.protocols.chat.sending import Patience, Sending

Where = Hashable
_NEVER = float("inf")
_PING_EVERY_S = 1.0
_LAST_NUMBER = (1 << 62) - 1  # a key seals no more datagrams than that
USED_UP = "the session's key has sealed all the datagrams that it may"


@dataclass(frozen=True, slots=True)
class Crypto:
    """`seal(number, plain, header)` gives the sealed frames, `open(number, sealed, header)` the frames, or None for
    what was not sealed by the other side; `random` gives so many bytes that nobody can guess.
    """

    seal: Callable[[int, bytes, bytes], bytes] = field(repr=False)
    open: Callable[[int, bytes, bytes], bytes | None] = field(repr=False)
    random: Callable[[int], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """`keeps_alive_s`: after so long a silence of the other side it is pinged, once a second, for either may be lost
    (0: never); `gives_up_s`: after so long a silence the session is over.
    """

    patience: Patience = field(default_factory=Patience)
    ack_delay_s: float = 0.02
    keeps_alive_s: float = 0.0
    gives_up_s: float = 60.0
    max_message_bytes: int = 65536


@dataclass(slots=True)
class Counts:
    """What became of the datagrams that came."""

    taken: int = 0
    replayed: int = 0  # seen before, or too old to tell
    forged: int = 0  # not sealed with this session's key, cut, or not ours at all
    nonsense: int = 0  # sealed by the other side, and wrong all the same


class Session:
    """Begin with `peer` None where the other side must prove its address (a server), else with its address."""

    def __init__(self, name: bytes, crypto: Crypto, options: Options, now: float, peer: Where | None = None) -> None:
        self.name = name
        self.peer = peer
        self.counts = Counts()
        self.closed: str | None = None  # why it is over
        self._crypto = crypto
        self._options = options
        self._replay = ReplayWindow()
        self._sending = Sending(options.patience)
        self._receiving = Receiving(options.max_message_bytes)
        self._number = 0
        self._heard_at = self._pinged_at = now
        self._ack_due: float | None = None
        self._unacknowledged = 0
        self._challenged: tuple[Where, bytes] | None = None
        self._now_frames: list[tuple[Frame, Where | None]] = []  # to go out alone, and where; None: to the peer

    @property
    def queued_bytes(self) -> int:
        """Bytes of messages that the other side has not acknowledged."""
        return self._sending.queued_bytes

    @property
    def repeated(self) -> int:
        """Parts that were sent again, so far."""
        return self._sending.repeated

    @property
    def is_idle(self) -> bool:
        """Whether everything that was sent has been acknowledged."""
        return self._sending.is_idle

    def send(self, message: bytes) -> None:
        """Queue a message for the other side."""
        if self.closed is None:
            self._sending.add(message)

    def messages(self) -> list[bytes]:
        """The messages that have come, whole and in order, since the last call."""
        return self._receiving.messages()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._send_alone(Ping(bytes(PROOF_BYTES)), None)

    def close(self, reason: str) -> None:
        """End it, and tell the other side once."""
        if self.closed is None:
            self.closed = reason
            self._now_frames = [(Close(reason), None)]

    def receive(self, datagram: bytes, where: Where, now: float) -> bool:
        """A datagram has come from `where`; whether it was authentic and new."""
        plain, number = self._opened(datagram)
        if plain is None:
            return False
        is_newest = self._replay.take(number)
        self.counts.taken += 1
        self._heard_at = now
        try:
            for frame in read_frames(plain):
                self._act(frame, where, now)
        except BadDatagram as error:
            self.counts.nonsense += 1
            self.close(str(error))
        if is_newest and where != self.peer and len(datagram) >= CHALLENGE_BYTES:
            self._challenge(where)
        return True

    def take_output(self, now: float) -> list[tuple[bytes, Where]]:
        """Every datagram that must be sent now, each with its address."""
        self._look_at_clock(now)
        made: list[tuple[bytes, Where]] = []
        alone, self._now_frames = self._now_frames, []
        for frame, where in alone:
            target = self.peer if where is None else where
            if target is None:
                self._now_frames.append((frame, where))  # until it has proven itself
            else:
                made.append((self._sealed(pack_frame(frame)), target))
        if self.peer is not None and self.closed is None:
            while plain := self._filled(now):
                made.append((self._sealed(plain), self.peer))
        return made

    def deadline(self) -> float:
        """When `take_output` must be called again, at the latest; never when all is over."""
        if self.closed is not None:
            return _NEVER
        options = self._options
        times = [self._heard_at + options.gives_up_s]
        if self.peer is not None:
            times += [time for time in (self._ack_due, self._sending.due()) if time is not None]
            if options.keeps_alive_s:
                times.append(self._next_ping_at())
        return min(times)

    def _opened(self, datagram: bytes) -> tuple[bytes | None, int]:
        try:
            header = read_header(datagram)
        except BadDatagram:
            self.counts.forged += 1
            return None, 0
        if header.session != self.name:
            self.counts.forged += 1
            return None, 0
        if not self._replay.is_new(header.number):
            self.counts.replayed += 1
            return None, 0
        plain = self._crypto.open(header.number, datagram[HEADER_BYTES:], datagram[:HEADER_BYTES])
        self.counts.forged += plain is None
        return plain, header.number

    def _act(self, frame: Frame, where: Where, now: float) -> None:
        match frame:
            case Ack():
                self._sending.acknowledged(frame, now)
            case Segment():
                is_well = self._receiving.take(frame)
                self._unacknowledged += 1
                # A gap, a repetition and every second part are told of at once; else something may be sent anyway.
                delay_s = self._options.ack_delay_s if is_well and self._unacknowledged < 2 else 0.0
                self._ack_due = min(self._ack_due or now + delay_s, now + delay_s)
            case Ping():
                self._ack_due = now
            case Challenge(proof):
                self._send_alone(Response(proof), None)
            case Response(proof):
                if self._challenged == (where, proof):
                    self.peer, self._challenged = where, None
            case _:
                self.closed = frame.reason or "the other side has closed the session"

    def _challenge(self, where: Where) -> None:
        """Ask an address that is not the peer's to prove that it hears us; the newest one alone."""
        if self._challenged is None or self._challenged[0] != where:
            self._challenged = (where, self._crypto.random(PROOF_BYTES))
        self._send_alone(Challenge(self._challenged[1]), where)

    def _send_alone(self, frame: Frame, where: Where | None) -> None:
        """Queue a frame for a datagram of its own: the newest of its kind alone, for perhaps nobody can take it yet."""
        self._now_frames = [entry for entry in self._now_frames if type(entry[0]) is not type(frame)]
        self._now_frames.append((frame, where))

    def _look_at_clock(self, now: float) -> None:
        if self.closed is not None:
            return
        options = self._options
        if now >= self._heard_at + options.gives_up_s:
            self.close(f"nothing was heard for {options.gives_up_s:g} s")
        elif options.keeps_alive_s and now >= self._next_ping_at():
            self._pinged_at = now
            self.ping()
        if self._number >= _LAST_NUMBER:
            self.close(USED_UP)

    def _next_ping_at(self) -> float:
        return max(self._heard_at + self._options.keeps_alive_s, self._pinged_at + _PING_EVERY_S)

    def _filled(self, now: float) -> bytes:
        """The frames of one datagram; nothing when nothing is due."""
        frames: list[bytes] = []
        room = MAX_PLAIN_BYTES
        if self._ack_due is not None and (self._ack_due <= now or not self._sending.is_idle):
            frames.append(pack_frame(self._receiving.ack()))
            self._ack_due, self._unacknowledged = None, 0
            room -= len(frames[0])
        while (part := self._sending.take(now, room - SEGMENT_HEAD_BYTES)) is not None:
            frames.append(pack_frame(part))
            room -= len(frames[-1])
        return b"".join(frames)

    def _sealed(self, plain: bytes) -> bytes:
        header = pack_header(Header(self.name, self._number))
        sealed = header + self._crypto.seal(self._number, plain, header)
        self._number += 1
        return sealed


assert PROOF_FRAME_BYTES + HEADER_BYTES < CHALLENGE_BYTES
