"""The FTP server's side of one control connection, without any input or output of its own.

Bytes go in by `receive`, events come out of `events`, the server answers by `reply` and its kin, and bytes to send
come out of `take_output`. A loop that serves a connection does, after every call that changes something:

    while (events := engine.events()) or (output := engine.take_output()): ...handle, send...

The rules that it keeps:
- every command gets exactly one final reply, and replies stand in the order of the commands. Two exceptions: ABOR is
  heard at once in a transfer, whatever waits before it; NOOP, bare STAT and QUIT are heard when the transfer has begun
  (its 1xx is out) and nothing waits. What was sent along with RETR or STOR in one burst therefore waits for its end.
- while a request is unanswered the next commands wait, in a bounded space; `wants_data` says when to stop reading.
- nothing is executed while more than `max_output_bytes` wait to be sent: a peer that reads no replies gets no service.
- what was said before TLS does not count after it, and bytes that follow AUTH in the clear end the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from homeport.protocols.ftp.arguments import Parsed
from homeport.protocols.ftp.commands import During
from homeport.protocols.ftp.events import Abort, Close, Event, Login, Quit, Reinitialize, Request, StartTls
from homeport.protocols.ftp.lines import Fault, LineReader
from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.policy import Policy
from homeport.protocols.ftp.ranges import ByteRange
from homeport.protocols.ftp.replies import CODES, Refusal, Reply, render
from homeport.protocols.ftp.routes import BARE_ROUTES, ROUTES, TRANSIENT, Route, route_of
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import Expectation, Pending, Settings
from homeport.protocols.ftp.state import WORKS, Mark, Misuse, Phase, Step, Work, next_work

_make = tuple.__new__  # what a named tuple's own class calls, by way of one more function
_LINE_COST = 64  # bytes of memory that a waiting line takes beside its text
_MAX_BURST = 1 << 20  # what may come in one go although `wants_data` was false

# Reading a member from its class takes as long as answering half a command.
_IDLE, _TRANSFER, _HANDSHAKE, _CLOSED = Work.IDLE, Work.TRANSFER, Work.HANDSHAKE, Work.CLOSED
_LOGGED_IN = Phase.LOGGED_IN
_ABORTS = During.ABORTS
_ANSWERED = Step.ANSWERED
_AFTER_IDLE = WORKS[_IDLE]
_AFTER_ANSWER = {work: steps[_ANSWERED] for work, steps in WORKS.items() if _ANSWERED in steps}
_RESTART, _RANGE, _EXPECTATION = Pending.RESTART.value, Pending.RANGE.value, Pending.EXPECTATION.value

_GOODBYE = Reply(221, ("Goodbye.",))
_STOPPED = Reply(226, ("The transfer was stopped.",))
_TLS_NOW = Reply(234, ("TLS now.",))


class FtpEngine:
    """One control connection. `tls`: it began with TLS (implicit). `ipv6`: the peer speaks IPv6, not IPv4 inside it."""

    __slots__ = (
        "_aborting", "_asides", "_begun", "_current", "_events", "_held", "_held_cost", "_lines", "_output",
        "_output_size", "_policy", "_quitting", "_unknown", "_work", "heard_at", "session",
    )  # fmt: skip

    def __init__(self, policy: Policy, *, tls: bool = False, ipv6: bool = False) -> None:
        self.session = Session(policy, tls=tls, ipv6=ipv6)
        self.heard_at = 0.0  # `now` of the last receive
        self._policy = policy
        self._lines = LineReader(policy.max_line_bytes, plain=not tls)
        self._held: list[bytes | Fault] = []  # a deque takes 600 bytes when empty, and this is short when it is not
        self._held_cost = 0
        self._output: list[bytes] = []
        self._output_size = 0
        self._events: list[Event] = []
        self._work = Work.GREETING
        self._current: tuple[Route, Parsed] | None = None
        self._asides = 0
        self._begun = False
        self._aborting = False
        self._quitting = False
        self._unknown = 0

    # What the server reads

    @property
    def settings(self) -> Settings:
        """The parameters of the coming transfer: representation, mode, protection, rename_from, ..."""
        return self.session.settings

    @property
    def names(self) -> Names:
        """The charset of this session's names; encodes listings."""
        return self.session.names

    @property
    def logged_in(self) -> bool:
        return self.session.phase is _LOGGED_IN

    @property
    def busy(self) -> bool:
        """Whether an answer of the server is awaited."""
        return self._work not in (_IDLE, _CLOSED)

    @property
    def in_transfer(self) -> bool:
        """Whether a transfer command is unanswered."""
        return self._work is _TRANSFER

    @property
    def aborting(self) -> bool:
        """Whether the peer has asked to stop the running transfer."""
        return self._aborting

    @property
    def quitting(self) -> bool:
        """Whether the peer has said QUIT and only the end of its transfer is awaited."""
        return self._quitting

    @property
    def closed(self) -> bool:
        return self._work is _CLOSED

    @property
    def wants_data(self) -> bool:
        """Whether the server should go on reading from the peer."""
        return (
            self._work is not _CLOSED
            and self._output_size < self._policy.max_output_bytes
            and (
                not (self._lines.waiting or self._held)  # a part of a line at most, which the reader bounds
                or len(self._lines) + self._held_cost <= self._policy.max_waiting_bytes
            )
        )

    # Bytes and events

    def receive(self, data: bytes, now: float) -> None:
        """What the peer sent, after TLS is taken off; `now` in seconds on any clock."""
        self.heard_at = now
        if self._work is _CLOSED or self._quitting or not data:
            return
        if self._work is _HANDSHAKE:
            self._close("bytes in the clear after AUTH: injection")
            return
        self._lines.receive(data)
        self._pump()
        if self._lines.waiting and len(self._lines) + self._held_cost > self._policy.max_waiting_bytes + _MAX_BURST:
            self.terminate("Too many commands are waiting.")

    def receive_eof(self) -> None:
        """The peer closed its side."""
        self._close("the peer closed the connection")

    def events(self) -> Sequence[Event]:
        """What happened since the last call."""
        events = self._events
        if not events:
            return ()
        self._events = []
        return events

    @property
    def has_news(self) -> bool:
        """Whether `events` or `take_output` has something."""
        return bool(self._events or self._output)

    def take_output(self) -> bytes:
        """What is to be sent. Taking it makes room for waiting commands to be executed: see `has_news` then."""
        output = self._output
        if output:
            self._output = []
            self._output_size = 0
        if self._lines.waiting or self._held:
            self._pump()
        return output[0] if len(output) == 1 else b"".join(output)

    def take_restart(self) -> int:
        """The offset of REST, 0 without; it counts once."""
        settings = self.session.settings
        offset = settings.restart_offset
        if offset:
            settings.forget(_RESTART)
        return offset

    def take_range(self) -> ByteRange | None:
        """The range of RANG; it counts once."""
        settings = self.session.settings
        wanted = settings.byte_range
        if wanted is not None:
            settings.forget(_RANGE)
        return wanted

    def take_expectation(self) -> Expectation | None:
        """What SITE EXPECT announced of the next upload; it counts once."""
        settings = self.session.settings
        expected = settings.expectation
        if expected is not None:
            settings.forget(_EXPECTATION)
        return expected

    # What the server says

    def greet(self, text: str | Sequence[str]) -> None:
        """Send 220; commands are executed from now on."""
        if not self.closed:
            self._work = next_work(self._work, Step.GREETED)
            self._say(220, text)
            self._pump()

    def reply(self, code: int, text: str | Sequence[str]) -> None:
        """Answer the running Request or Reinitialize: 1xx leaves it running, anything else ends it; 421 closes too.

        After an `Abort` the engine adds the 226 for ABOR, after QUIT in a transfer the 221. Once the connection is
        closed it does nothing. Raises Misuse when nothing is unanswered.
        """
        if self._work is _CLOSED:
            return
        if code < 200:  # only the 1xx of a transfer that begins leave its command running
            if self._current is None:
                raise Misuse(f"{code} answers no command")
            self._begun = True
            self._say(code, text)
            return
        self._work = _AFTER_ANSWER.get(self._work) or next_work(self._work, _ANSWERED)
        self._say(code, text)
        assert self._current is not None
        route, argument = self._current
        self._current = None
        self._begun = False
        settings = self.session.settings
        if settings.pending:
            settings.forget(route.uses)
        if route.remembers is not None and code < 400:
            settings.keep(route.remembers, argument)
        if code == 421:
            self._close_after(text)
        elif self._aborting or self._quitting:
            self._after_transfer()
        if self._lines.waiting or self._held:
            self._pump()

    def reply_aside(self, code: int, text: str | Sequence[str]) -> None:
        """Answer a Request that had `aside` set, with a final reply. Raises Misuse when there is none."""
        if self.closed:
            return
        if not self._asides:
            raise Misuse(f"{code} answers no command that came in a transfer")
        self._asides -= 1
        self._say(code, text)
        self._pump()

    def transfer_started(self) -> None:
        """The running Request takes long: hear ABOR, NOOP, STAT and QUIT. A 1xx does the same for a data command."""
        self._work = next_work(self._work, Step.TRANSFERRING)
        self._pump()  # what is here already was pipelined: it is held, and only ABOR heard
        self._begun = True

    def tls_started(self) -> None:
        """The handshake is done. Everything said before it is forgotten."""
        if not self.closed:
            self._work = next_work(self._work, Step.SECURED)
            self.session.tls = True
            self.session.reset()
            self._lines = LineReader(self._policy.max_line_bytes, plain=False)

    def login_accepted(self, text: str | Sequence[str] = "Welcome.", *, charset: str | None = None) -> None:
        """230. `charset` is the account's own for names (`utf-8` or a codec's name); None changes nothing."""
        if self.closed:
            return
        self._judge(Mark.ACCEPTED, 230, text)
        self._unknown = 0
        self.names.force(charset)
        self._pump()

    def login_refused(self, code: int, text: str | Sequence[str]) -> None:
        """530 with the reason for the peer, or 421 to close as well. USER must come again."""
        if self.closed:
            return
        self._judge(Mark.REFUSED, code, text)
        if code == 421:
            self._close_after(text)
        self._pump()

    def terminate(self, text: str) -> None:
        """Say 421 and close, whatever runs: a deadline, a shutdown, an administrator's kick."""
        if not self.closed:
            if self._work is not _HANDSHAKE:  # in the clear it would only break the handshake
                self._say(421, text)
            self._close(text)

    # Inside

    def _say(self, code: int, text: str | Sequence[str]) -> None:
        """Queue a reply that is made just now."""
        names = self.session.names
        if isinstance(text, str):  # as `render`, without a Reply and two calls: two for every file that is sent
            wire = CODES[code] + names.encode(text) + b"\r\n"
        else:
            wire = render(Reply.of(code, text), names.encode)
        self._output.append(wire)
        self._output_size += len(wire)

    def _send(self, reply: Reply) -> None:
        """Queue a reply that was made before, often once for all sessions."""
        wire = reply.wire or render(reply, self.names.encode)
        self._output.append(wire)
        self._output_size += len(wire)

    def _close(self, reason: str, event: Event | None = None) -> None:
        if not self.closed:
            self._work = next_work(self._work, Step.CLOSE)
            self._lines.clear()
            self._held.clear()
            self._held_cost = 0
            self._events.append(event or Close(reason))

    def _close_after(self, text: str | Sequence[str]) -> None:
        """A 421 was said: its first line is the reason."""
        self._close(Reply.of(421, text).lines[0])

    def _judge(self, mark: Mark, code: int, text: str | Sequence[str]) -> None:
        self._work = next_work(self._work, Step.JUDGED)
        self.session.move(mark)
        self._say(code, text)

    def _after_transfer(self) -> None:
        if self._aborting:
            self._aborting = False
            self._send(_STOPPED)
        if self._quitting:
            self._quit("")

    def _pump(self) -> None:
        """Execute what waits, as far as the state of things allows."""
        lines, most = self._lines, self._policy.max_output_bytes
        while (lines.waiting or self._held) and not self._asides and self._output_size < most:
            if self._work is _IDLE:
                line = self._take_held() if self._held else lines.take()
                if line is None:
                    return
                self._run(line)
            elif self._work is not _TRANSFER or self._quitting or not self._overhear():
                return

    def _take_held(self) -> bytes | Fault:
        line = self._held.pop(0)
        self._held_cost -= _cost(line)
        return line

    def _overhear(self) -> bool:
        """Look at one line that came in a transfer: hear it, or hold it for later. False when there is none."""
        line = self._lines.take() if self._held_cost <= self._policy.max_waiting_bytes else None
        if line is None or line is Fault.TOO_LONG:
            return False  # the reader says the same again when it is that line's turn
        if isinstance(line, bytes) and self._is_heard(line):
            self._run(line, aside=True)
        else:
            self._held.append(line)
            self._held_cost += _cost(line)
        return True

    def _is_heard(self, line: bytes) -> bool:
        route, rest = route_of(line)
        match route.during if route else During.WAITS:
            case During.ABORTS:
                return not self._aborting
            case During.HEARD:
                return self._begun and not self._held
            case During.HEARD_WHEN_BARE:
                return self._begun and not self._held and not rest.strip()
            case _:
                return False

    def _run(self, line: bytes | Fault, *, aside: bool = False) -> None:
        if isinstance(line, Fault):
            self._run_fault(line)
            return
        route, raw = BARE_ROUTES.get(line) or route_of(line)
        settings = self.session.settings
        if settings.pending and not aside:
            settings.forget(route.drops if route else TRANSIENT)
        if route is None:
            self._reject("Unknown command." if line else "A command is missing.")
        elif route.command.drops:
            self._close(route.command.meaning)
        else:
            self._run_command(route, raw, aside=aside)

    def _run_fault(self, fault: Fault) -> None:
        if fault is Fault.TLS_HELLO:
            self._close(fault.value)
            return
        text = f"Refused: {fault.value}."
        if fault is Fault.TOO_LONG:
            self._say(500, text)
            self._close(fault.value)
        else:
            self._reject(text)

    def _reject(self, text: str) -> None:
        """500, and 421 when there were too many: it is a scanner, or speaks another protocol."""
        self._unknown += 1
        if self._unknown > (self._policy.max_unknown if self.logged_in else self._policy.max_unknown_before_login):
            self.terminate("Too many unknown commands.")
        else:
            self._say(500, text)

    def _run_command(self, route: Route, raw: bytes, *, aside: bool) -> None:
        try:
            argument = route.admit(self.session, raw)
            if aside and route.during is _ABORTS:
                self._aborting = True
                self._events.append(Abort())
                return
            if route.answer is not None:
                reply = route.answer(self.session, argument)
            elif (own := self._OWN.get(route.name)) is not None:
                own(self, argument if isinstance(argument, str) else "")
                return
            else:
                reply = None
        except Refusal as refusal:
            reply = refusal.reply
        if reply is None:
            self._ask(route, argument, aside=aside)
            return
        wire = reply.wire or render(reply, self.session.names.encode)  # as `_send`, for every command ends here
        self._output.append(wire)
        self._output_size += len(wire)
        settings = self.session.settings
        if settings.pending and not aside:
            settings.forget(route.spent)

    def _ask(self, route: Route, argument: Parsed, *, aside: bool) -> None:
        if aside:
            self._asides += 1
        else:
            self._work = _AFTER_IDLE[route.step]
            self._current = (route, argument)
        self._events.append(_make(Request, (route.command, argument, aside)))

    def _auth(self, mechanism: str) -> None:
        if mechanism not in ("TLS", "TLS-C", "SSL"):
            raise Refusal(504, "Only AUTH TLS is here.")
        if len(self._lines) or self._held:
            self._close("bytes in the clear after AUTH: injection")
            return
        self._work = next_work(self._work, Step.AUTH)
        self._send(_TLS_NOW)
        self._events.append(StartTls())

    def _pass(self, password: str) -> None:
        self._work = next_work(self._work, Step.PASSWORD)
        self._events.append(Login(self.session.user, password))

    def _rein(self, _: str) -> None:
        self.session.reset()
        self._work = next_work(self._work, Step.ASKED)
        self._current = (ROUTES[b"REIN"], None)
        self._events.append(Reinitialize())

    def _quit(self, _: str) -> None:
        if self._work is _TRANSFER:
            self._quitting = True
            return
        self._send(_GOODBYE)
        self._close("QUIT", Quit())

    # What has its own way through the engine; all other rows are answered by ANSWERS or become a Request.
    _OWN: ClassVar[dict[str, Callable[[FtpEngine, str], None]]] = {
        "AUTH": _auth,
        "PASS": _pass,
        "REIN": _rein,
        "QUIT": _quit,
    }


def _cost(line: bytes | Fault) -> int:
    return _LINE_COST + (len(line) if isinstance(line, bytes) else 0)
