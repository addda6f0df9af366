"""A server without sockets: it feeds an engine and answers what comes out, so that tests read like a dialogue."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.protocols.ftp.engine import FtpEngine
from homeport.protocols.ftp.events import Abort, Event, Login, Reinitialize, Request, StartTls
from homeport.protocols.ftp.policy import Policy, TlsPolicy

OPEN = Policy(tls=TlsPolicy.OPTIONAL, private_data=False)


class Driver:
    """`automatic`: answer each event at once, with 150 and 226 for transfers and 250 for other requests."""

    def __init__(
        self, policy: Policy = OPEN, *, tls: bool = False, ipv6: bool = False, automatic: bool = False
    ) -> None:
        self.engine = FtpEngine(policy, tls=tls, ipv6=ipv6)
        self.automatic = automatic
        self.seen: list[Event] = []
        self.engine.greet("Homeport")
        assert self.said() == "220 Homeport\r\n"

    def drain(self) -> bytes:
        """Handle and take all that there is; what is to be sent comes back."""
        sent = b""
        while True:
            events, output = self.engine.events(), self.engine.take_output()
            if not events and not output:
                return sent
            sent += output
            self.seen += events
            if self.automatic:
                for event in events:
                    self.answer(event)

    def answer(self, event: Event) -> None:
        engine = self.engine
        match event:
            case StartTls():
                engine.tls_started()
            case Login():
                engine.login_accepted()
            case Reinitialize():
                engine.reply(220, "Again.")
            case Request(aside=True):
                engine.reply_aside(211, "Fine.")
            case Request(command=command):
                if command.data:
                    engine.reply(150, "Now.")
                engine.reply(226 if command.data else 250, "Done.")
            case Abort():
                if engine.busy:
                    engine.reply(426, "Cut.")
            case _:
                pass

    def said(self) -> str:
        return self.drain().decode()

    def tell(self, data: bytes | str) -> str:
        """Send bytes, or one line of text, and return what came back."""
        self.engine.receive(data.encode() + b"\r\n" if isinstance(data, str) else data, 1.0)
        return self.said()

    def events(self) -> list[Event]:
        """What was seen since the last call."""
        seen, self.seen = self.seen, []
        return seen

    def setting(self, name: str) -> object:
        """One of the engine's settings, looked up anew each time."""
        return getattr(self.engine.settings, name)

    def is_open(self) -> bool:
        """Whether the engine wants to hear more."""
        return self.engine.wants_data

    def log_in(self) -> Driver:
        self.tell("USER alice")
        self.tell("PASS secret")
        if not self.automatic:
            self.engine.login_accepted()
            self.said()
        assert self.engine.logged_in
        self.events()
        return self


def logged_in(policy: Policy = OPEN, *, automatic: bool = False, ipv6: bool = False) -> Driver:
    return Driver(policy, automatic=automatic, ipv6=ipv6).log_in()


def whole_and_bytewise(data: bytes) -> Iterable[list[bytes]]:
    """The same bytes in one piece and one by one."""
    yield [data]
    yield [data[index : index + 1] for index in range(len(data))]
