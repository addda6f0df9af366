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

from collections import deque
from collections.abc import Callable, Sequence

from homeport.protocols.ftp.answers import ANSWERS
from homeport.protocols.ftp.arguments import NAMING, Parsed, parse
from homeport.protocols.ftp.commands import COMMANDS, Command, During, find, find_subcommand
from homeport.protocols.ftp.events import Abort, Close, Event, Login, Quit, Reinitialize, Request, StartTls
from homeport.protocols.ftp.gates import check_access, check_use
from homeport.protocols.ftp.lines import Fault, LineReader
from homeport.protocols.ftp.names import Names
from homeport.protocols.ftp.policy import Policy
from homeport.protocols.ftp.ranges import ByteRange
from homeport.protocols.ftp.replies import Refusal, Reply, render
from homeport.protocols.ftp.session import Session
from homeport.protocols.ftp.settings import LASTING, Expectation, Pending, Settings
from homeport.protocols.ftp.state import Mark, Misuse, Phase, Step, Work, next_work

_LINE_COST = 64  # bytes of memory that a waiting line takes beside its text
_MAX_BURST = 1 << 20  # what may come in one go although `wants_data` was false

_TRANSIENT = ~LASTING


class FtpEngine:
    """One control connection. `tls`: it began with TLS (implicit). `ipv6`: the peer speaks IPv6, not IPv4 inside it."""

    def __init__(self, policy: Policy, *, tls: bool = False, ipv6: bool = False) -> None:
        self.session = Session(policy, tls=tls, ipv6=ipv6)
        self.heard_at = 0.0  # `now` of the last receive
        self._policy = policy
        self._lines = LineReader(policy.max_line_bytes, plain=not tls)
        self._held: deque[bytes | Fault] = deque()
        self._held_cost = 0
        self._output = bytearray()
        self._events: list[Event] = []
        self._work = Work.GREETING
        self._current: tuple[Command, Parsed] | None = None
        self._asides = 0
        self._begun = False
        self._aborting = False
        self._quitting = False
        self._unknown = 0
        # What has its own way through the engine; all other rows are answered by ANSWERS or become a Request.
        self._own: dict[str, Callable[[str], None]] = {
            "AUTH": self._auth,
            "PASS": self._pass,
            "REIN": self._rein,
            "QUIT": self._quit,
        }

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
        return self.session.phase is Phase.LOGGED_IN

    @property
    def busy(self) -> bool:
        """Whether an answer of the server is awaited."""
        return self._work not in (Work.IDLE, Work.CLOSED)

    @property
    def in_transfer(self) -> bool:
        """Whether a transfer command is unanswered."""
        return self._work is Work.TRANSFER

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
        return self._work is Work.CLOSED

    @property
    def wants_data(self) -> bool:
        """Whether the server should go on reading from the peer."""
        return (
            not self.closed
            and len(self._lines) + self._held_cost <= self._policy.max_waiting_bytes
            and len(self._output) < self._policy.max_output_bytes
        )

    # Bytes and events

    def receive(self, data: bytes, now: float) -> None:
        """What the peer sent, after TLS is taken off; `now` in seconds on any clock."""
        self.heard_at = now
        if self.closed or self._quitting or not data:
            return
        if self._work is Work.HANDSHAKE:
            self._close("bytes in the clear after AUTH: injection")
            return
        self._lines.receive(data)
        self._pump()
        if len(self._lines) + self._held_cost > self._policy.max_waiting_bytes + _MAX_BURST:
            self.terminate("Too many commands are waiting.")

    def receive_eof(self) -> None:
        """The peer closed its side."""
        self._close("the peer closed the connection")

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def take_output(self) -> bytes:
        """What is to be sent. Taking it makes room for waiting commands to be executed: look at `events` again."""
        output = bytes(self._output)
        self._output.clear()
        self._pump()
        return output

    def take_restart(self) -> int:
        """The offset of REST, 0 without; it counts once."""
        offset = self.settings.restart_offset
        self.settings.forget(Pending.RESTART)
        return offset

    def take_range(self) -> ByteRange | None:
        """The range of RANG; it counts once."""
        wanted = self.settings.byte_range
        self.settings.forget(Pending.RANGE)
        return wanted

    def take_expectation(self) -> Expectation | None:
        """What SITE EXPECT announced of the next upload; it counts once."""
        expected = self.settings.expectation
        self.settings.forget(Pending.EXPECTATION)
        return expected

    # What the server says

    def greet(self, text: str | Sequence[str]) -> None:
        """Send 220; commands are executed from now on."""
        if not self.closed:
            self._work = next_work(self._work, Step.GREETED)
            self._send(Reply.of(220, text))
            self._pump()

    def reply(self, code: int, text: str | Sequence[str]) -> None:
        """Answer the running Request or Reinitialize: 1xx leaves it running, anything else ends it; 421 closes too.

        After an `Abort` the engine adds the 226 for ABOR, after QUIT in a transfer the 221. Once the connection is
        closed it does nothing. Raises Misuse when nothing is unanswered.
        """
        if self.closed:
            return
        answer = Reply.of(code, text)
        if not answer.is_final:
            if self._current is None:
                raise Misuse(f"{code} answers no command")
            self._begun = True
            self._send(answer)
            return
        self._work = next_work(self._work, Step.ANSWERED)
        self._send(answer)
        self._end_request(answer)
        self._after_transfer(answer)
        self._pump()

    def reply_aside(self, code: int, text: str | Sequence[str]) -> None:
        """Answer a Request that had `aside` set, with a final reply. Raises Misuse when there is none."""
        if self.closed:
            return
        if not self._asides:
            raise Misuse(f"{code} answers no command that came in a transfer")
        self._asides -= 1
        self._send(Reply.of(code, text))
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
        self._judge(Mark.ACCEPTED, Reply.of(230, text), charset)

    def login_refused(self, code: int, text: str | Sequence[str]) -> None:
        """530 with the reason for the peer, or 421 to close as well. USER must come again."""
        self._judge(Mark.REFUSED, Reply.of(code, text), None)

    def terminate(self, text: str) -> None:
        """Say 421 and close, whatever runs: a deadline, a shutdown, an administrator's kick."""
        if not self.closed:
            if self._work is not Work.HANDSHAKE:  # in the clear it would only break the handshake
                self._send(Reply(421, (text,)))
            self._close(text)

    # Inside

    def _send(self, reply: Reply) -> None:
        self._output += render(reply, self.names.encode)

    def _close(self, reason: str, event: Event | None = None) -> None:
        if not self.closed:
            self._work = next_work(self._work, Step.CLOSE)
            self._lines.clear()
            self._held.clear()
            self._held_cost = 0
            self._events.append(event or Close(reason))

    def _judge(self, mark: Mark, verdict: Reply, charset: str | None) -> None:
        if self.closed:
            return
        self._work = next_work(self._work, Step.JUDGED)
        self.session.move(mark)
        self._send(verdict)
        if mark is Mark.ACCEPTED:
            self._unknown = 0
            self.names.force(charset)
        if verdict.code == 421:
            self._close(verdict.lines[0])
        self._pump()

    def _end_request(self, answer: Reply) -> None:
        assert self._current is not None
        command, argument = self._current
        self._current = None
        self._begun = False
        self.settings.forget(command.uses)
        if command.remembers and answer.is_agreement:
            setattr(self.settings, command.remembers, argument)

    def _after_transfer(self, answer: Reply) -> None:
        if answer.code == 421:
            self._close(answer.lines[0])
            return
        if self._aborting:
            self._aborting = False
            self._send(Reply(226, ("The transfer was stopped.",)))
        if self._quitting:
            self._quit("")

    def _pump(self) -> None:
        """Execute what waits, as far as the state of things allows."""
        while not self._asides and len(self._output) < self._policy.max_output_bytes:
            if self._work is Work.IDLE:
                line = self._take()
                if line is None:
                    return
                self._run(line)
            elif self._work is Work.TRANSFER and not self._quitting:
                if not self._overhear():
                    return
            else:
                return

    def _take(self) -> bytes | Fault | None:
        if not self._held:
            return self._lines.take()
        line = self._held.popleft()
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
        verb, _, rest = line.partition(b" ")
        command = find(verb.decode("ascii", "replace"))
        match command.during if command else During.WAITS:
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
        command, raw = self._look_up(line)
        if not aside:
            self.settings.forget(_TRANSIENT & ~(command.keeps | command.uses) if command else _TRANSIENT)
        if command is None:
            self._reject("Unknown command." if line else "A command is missing.")
        elif command.drops:
            self._close(command.meaning)
        else:
            self._run_command(command, raw, aside=aside)

    def _run_fault(self, fault: Fault) -> None:
        if fault is Fault.TLS_HELLO:
            self._close(fault.value)
            return
        text = f"Refused: {fault.value}."
        if fault is Fault.TOO_LONG:
            self._send(Reply(500, (text,)))
            self._close(fault.value)
        else:
            self._reject(text)

    def _look_up(self, line: bytes) -> tuple[Command | None, bytes]:
        """The row, and what follows its name; the parent's row where a subcommand is missing or unknown."""
        verb, _, rest = line.partition(b" ")
        command = find(verb.decode("ascii", "replace"))
        if command is None or command.subcommands is None:
            return command, rest
        word, _, after = rest.lstrip(b" ").partition(b" ")
        subcommand = find_subcommand(command, word.decode("ascii", "replace"))
        return (command, rest) if subcommand is None else (subcommand, after)

    def _reject(self, text: str) -> None:
        """500, and 421 when there were too many: it is a scanner, or speaks another protocol."""
        self._unknown += 1
        if self._unknown > (self._policy.max_unknown if self.logged_in else self._policy.max_unknown_before_login):
            self.terminate("Too many unknown commands.")
        else:
            self._send(Reply(500, (text,)))

    def _run_command(self, command: Command, raw: bytes, *, aside: bool) -> None:
        try:
            argument = self._admit(command, raw)
            if command.name in self._own:
                self._own[command.name](argument if isinstance(argument, str) else "")
                return
            if aside and command.during is During.ABORTS:
                self._aborting = True
                self._events.append(Abort())
                return
            answer = ANSWERS.get(command.name)
            reply = answer(self.session, argument) if answer else None
        except Refusal as refusal:
            reply = refusal.reply
        if reply is None:
            self._ask(command, argument, aside=aside)
            return
        self._send(reply)
        if not aside:
            self.settings.forget(command.uses & _TRANSIENT)

    def _admit(self, command: Command, raw: bytes) -> Parsed:
        """The argument, when nothing stands against the command. Raises Refusal."""
        check_access(self.session, command)
        if command.subcommands is not None:
            raise Refusal(command.otherwise, f"Syntax: {command.syntax}.")
        decode = self.names.decode_argument if command.shape in NAMING else self.names.decode_text
        argument = parse(command.shape, decode(raw), command.syntax)
        check_use(self.session, command, argument)
        return argument

    def _ask(self, command: Command, argument: Parsed, *, aside: bool) -> None:
        if aside:
            self._asides += 1
        else:
            self._begin(command, argument, Step.ASKED_FOR_DATA if command.data else Step.ASKED)
        self._events.append(Request(command, argument, aside))

    def _begin(self, command: Command, argument: Parsed, step: Step) -> None:
        self._work = next_work(self._work, step)
        self._current = (command, argument)

    def _auth(self, mechanism: str) -> None:
        if mechanism not in ("TLS", "TLS-C", "SSL"):
            raise Refusal(504, "Only AUTH TLS is here.")
        if len(self._lines) or self._held:
            self._close("bytes in the clear after AUTH: injection")
            return
        self._work = next_work(self._work, Step.AUTH)
        self._send(Reply(234, ("TLS now.",)))
        self._events.append(StartTls())

    def _pass(self, password: str) -> None:
        self._work = next_work(self._work, Step.PASSWORD)
        self._events.append(Login(self.session.user, password))

    def _rein(self, _: str) -> None:
        self.session.reset()
        self._begin(COMMANDS["REIN"], None, Step.ASKED)
        self._events.append(Reinitialize())

    def _quit(self, _: str) -> None:
        if self._work is Work.TRANSFER:
            self._quitting = True
            return
        self._send(Reply(221, ("Goodbye.",)))
        self._close("QUIT", Quit())


def _cost(line: bytes | Fault) -> int:
    return _LINE_COST + (len(line) if isinstance(line, bytes) else 0)
